package predindex

import (
	"encoding/binary"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Tests of the elements of an array column against constants: x = ANY (column), column && ARRAY[..], column @> ARRAY[..]. They are looked
// up by element: a row leads to the rules that ask for one of its elements, or, where a rule asks for several at once, for the first
// of those.

// membersMax bounds the elements of a test that wants all of them: one bit each.
const membersMax = 64

// atomAny is constant = ANY (column). With an element that is NULL and none that is equal it is NULL, which no atom of a column that is not
// NULL can be: so it is one only where it is asked whether it is true (see atomOf).
func atomAny(e *expr.AnyArray) *atom {
	c, ok := e.L.(*expr.Const)
	if !ok || e.All || e.Op != expr.EQ || e.Like != nil || e.Regex != nil {
		return nil
	}
	return atomMembers(e.Array, []types.Value{c.Val}, false)
}

// atomArrays is a comparison of an array column with a constant array: they share an element, or the column has all of them.
func atomArrays(e *expr.Call) *atom {
	if len(e.Args) != 2 || e.Args[0].Type().Kind != types.Array {
		return nil
	}
	column, other := e.Args[0], e.Args[1]
	switch _, right := other.(*expr.Column); {
	case e.Def.Name == "&&" && right, e.Def.Name == "<@" && right:
		column, other = other, column
	case e.Def.Name != "&&" && e.Def.Name != "@>":
		return nil
	}
	list, ok := constantArray(other)
	if !ok {
		return nil
	}
	return atomMembers(column, list, e.Def.Name != "&&")
}

// constantArray is the elements of an array that is constant and not NULL.
func constantArray(e expr.Expr) ([]types.Value, bool) {
	switch e := e.(type) {
	case *expr.Const:
		if e.Val.Null || e.Val.Type.Kind != types.Array {
			return nil, false
		}
		list, err := types.DecodeArray(e.Val.Type.Elem, e.Val.S)
		return list, err == nil
	case *expr.ArrayCtor:
		list := make([]types.Value, 0, len(e.Elems))
		for _, x := range e.Elems {
			c, ok := x.(*expr.Const)
			if !ok {
				return nil, false
			}
			v := c.Val
			v.Type = types.T(e.Typ.Elem)
			list = append(list, v)
		}
		return list, true
	}
	return nil, false
}

// atomMembers makes the test whether an array column has one of some values, or every one. A NULL is equal to nothing.
func atomMembers(array expr.Expr, list []types.Value, every bool) *atom {
	col, ok := array.(*expr.Column)
	if !ok || col.Typ.Kind != types.Array {
		return nil
	}
	elem := types.T(col.Typ.Elem)
	if elem.Phys() == types.PhysFloat || elem.Phys() == types.PhysBytes && !types.EqualByBytes(elem) {
		return nil
	}
	a := &atom{x: subject{col: col.Index, x: col, typ: col.Typ}, kind: atomMember, every: every}
	for _, v := range list {
		switch {
		case !v.Null && !likeElem(v.Type, elem):
			return nil
		case !v.Null:
			a.members = append(a.members, memberOf(elem, v))
		case every:
			a.kind = atomNever
			return a
		}
	}
	slices.Sort(a.members)
	a.members = slices.Compact(a.members)
	switch {
	case len(a.members) == 0 && every, every && len(a.members) > membersMax:
		return nil
	case len(a.members) == 0:
		a.kind = atomNever
	}
	return a
}

// likeElem reports that a value and the elements of an array are equal when what is stored of them is.
func likeElem(t, elem types.Type) bool {
	switch {
	case t.Kind == elem.Kind:
		return true
	case t.Phys() == types.PhysBytes:
		return t.Kind.IsText() && elem.Kind.IsText() && types.EqualByBytes(t)
	}
	return isInteger(t.Kind) && isInteger(elem.Kind)
}

func isInteger(k types.Kind) bool { return k == types.Int2 || k == types.Int4 || k == types.Int8 }

// memberOf is a value as elements of an array are stored, without what says that it is not NULL and how long it is.
func memberOf(elem types.Type, v types.Value) string {
	if elem.Phys() == types.PhysInt {
		return string(binary.LittleEndian.AppendUint64(nil, uint64(v.I)))
	}
	return v.S
}

// members walks through the elements of a stored array: see types.AppendArrayBytes.
type members struct {
	rest []byte
	n    uint64
	text bool
}

func membersIn(array []byte, elem types.Type) members {
	n, size := binary.Uvarint(array)
	if size <= 0 {
		return members{}
	}
	return members{array[size:], n, elem.Phys() == types.PhysBytes}
}

// next is the next element that is not NULL, false at the end.
func (m *members) next() ([]byte, bool) {
	for ; m.n > 0 && len(m.rest) > 0; m.n-- {
		null := m.rest[0] == 0
		if m.rest = m.rest[1:]; null {
			continue
		}
		n := uint64(8)
		if m.text {
			size := 0
			if n, size = binary.Uvarint(m.rest); size <= 0 {
				return nil, false
			}
			m.rest = m.rest[size:]
		}
		if n > uint64(len(m.rest)) {
			return nil, false
		}
		e := m.rest[:n:n]
		m.rest, m.n = m.rest[n:], m.n-1
		return e, true
	}
	return nil, false
}

// hasMembers tests a stored array.
func (a *atom) hasMembers(array []byte) bool {
	seen := uint64(0)
	all := uint64(1)<<len(a.members) - 1
	for m := membersIn(array, types.T(a.x.typ.Elem)); ; {
		e, ok := m.next()
		if !ok {
			return false
		}
		i, found := slices.BinarySearchFunc(a.members, e, compareMember)
		switch {
		case !found:
		case !a.every:
			return true
		default:
			if seen |= 1 << i; seen == all {
				return true
			}
		}
	}
}

func compareMember(a string, b []byte) int {
	switch {
	case a == string(b):
		return 0
	case a < string(b):
		return -1
	}
	return 1
}

// looked are the elements by which the atom is looked up: where all are wanted, the longest one, which is the rarest, perhaps.
func (a *atom) looked() []string {
	if !a.every {
		return a.members
	}
	best := a.members[0]
	for _, e := range a.members {
		if len(e) > len(best) {
			best = e
		}
	}
	return []string{best}
}

// hitsKnown is how many lists of a row are compared with each other, so that an element that comes twice leads to its list once.
const hitsKnown = 16

// findMembers appends the lists that the elements of a stored array lead to.
func (p *probe) findMembers(array []byte, dst []hit) []hit {
	for m := membersIn(array, types.T(p.typ.Elem)); ; {
		e, ok := m.next()
		if !ok {
			return dst
		}
		list, ok := p.members[string(e)]
		if h := (hit{list: list, exact: true}); ok && (len(dst) > hitsKnown || !slices.Contains(dst, h)) {
			dst = append(dst, h)
		}
	}
}

// members makes the rows that have one of the elements by which an atom is looked up lead to a rule. A row may come several times: one
// element may be there twice.
func (b *builder) members(p *probeBuilder, a *atom, post posting) (keys int) {
	if p.members == nil {
		p.members = map[string]uint32{}
	}
	for _, e := range a.looked() {
		list, ok := p.members[e]
		if !ok {
			list = b.newList()
			p.members[e] = list
		}
		b.posts[list] = append(b.posts[list], post)
	}
	return 2
}
