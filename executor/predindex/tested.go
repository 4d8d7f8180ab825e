package predindex

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/types"
)

// opcode says how a test is made.
type opcode uint8

const (
	opTree  opcode = iota // of kids
	opNull                // IS NULL
	opInt                 // a column of integers
	opEqual               // a column of bytes, compared as it is
	opText                // a text column, by way of its dict
	opOther               // all else
)

// test is a node with what the index knows of its atom.
type test struct {
	kind nodeKind
	op   opcode
	// What most tests need of the atom, kept here so that they need not look at it: col is -1 for subjects that are no column.
	not, fold, costs bool
	col              int32
	// ref numbers costly atoms of columns; for subjects that are no column it is the computed value's index.
	ref uint32
	// Of opEqual: the text's length, its first and its last 8 bytes.
	size        uint32
	first, last uint64
	*atom
	kids *[]test // of a tree
	_    uint64  // one test, one cache line
}

// setTests gives a rule its tests: those that are always made, and those that an exact hit makes needless.
func (b *builder) setTests(r *rule, rest, more []uint32) {
	r.tests, r.rest, r.full = uint32(len(b.asks)), uint32(len(rest)), uint32(len(rest)+len(more))
	b.asks = append(append(b.asks, rest...), more...)
}

// asksSpare is how much further than a rule's tests may be looked.
const asksSpare = 2

// testID finds or makes the test of a node.
func (b *builder) testID(n *node) uint32 {
	key := n.key()
	id, ok := b.testOf[key]
	if !ok {
		t := b.test(n)
		id = uint32(len(b.tests))
		b.testOf[key] = id
		b.tests = append(b.tests, t)
	}
	return id
}

// key is the same for nodes that are the same test.
func (n *node) key() string {
	if n.kind == nodeAtom {
		return n.atom.key
	}
	key := fmt.Sprintf("\x00%d", n.kind) // no atom's begins with a zero byte
	for _, kid := range n.kids {
		k := kid.key()
		key += fmt.Sprintf(" %d:%s", len(k), k)
	}
	return key
}

func (b *builder) test(n *node) test {
	t := test{kind: n.kind, atom: n.atom}
	if n.kind != nodeAtom {
		kids := make([]test, len(n.kids))
		for i, kid := range n.kids {
			kids[i] = b.test(kid)
		}
		t.kids = &kids
		return t
	}
	a := n.atom
	t.op, t.not, t.fold, t.costs = opcodeOf(a), a.not, a.folds(), a.costly()
	if t.col = int32(a.x.col); t.op == opEqual {
		t.compare(a.text)
	}
	if a.x.col < 0 {
		t.ref = b.calc(&a.x)
	} else if a.costly() {
		t.ref = b.atomID(a.key)
	}
	return t
}

func (b *builder) atomID(key string) uint32 {
	id, ok := b.atomOf[key]
	if !ok {
		id = uint32(b.atoms)
		b.atomOf[key] = id
		b.atoms++
	}
	return id
}

func opcodeOf(a *atom) opcode {
	phys := a.x.typ.Phys()
	switch {
	case a.kind == atomNull:
		return opNull
	case a.x.col < 0 || a.kind == atomNever:
		return opOther
	case phys == types.PhysInt && (a.kind == atomRange || a.kind == atomInts):
		return opInt
	case a.kind == atomEqual && !a.x.lower:
		return opEqual
	case phys == types.PhysBytes && a.x.typ.Kind.IsText() && (a.costly() || a.folds()):
		return opText
	}
	return opOther
}
