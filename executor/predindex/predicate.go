package predindex

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/vigil-sql/vigil/executor/expr"
)

// Predicate is a rule's condition, taken apart. It is immutable: any number of indexes may hold it.
type Predicate struct {
	// fast are the conditions that are tested row by row, all of which must hold; cheap ones first.
	fast []*node
	// slow are evaluated batch-wise, in this order, on the rows that are left.
	slow []*slowTerm
	// key is the same for predicates that are the same; "" where that cannot be told.
	key string
	// whole is the conjunction of fast as an expression, for rules that are asked about every row; nil without any.
	whole expr.Expr
}

// nodeKind says what a node is.
type nodeKind uint8

const (
	nodeAtom nodeKind = iota
	nodeAnd
	nodeOr
)

// node is a monotone tree over atoms: NOT has moved into them.
type node struct {
	kind nodeKind
	atom *atom
	kids []*node
}

// slowTerm is a condition that is evaluated batch-wise.
type slowTerm struct {
	key string
	new func() (Filterer, error)
	// shared: it cannot fail for a row, so that one evaluation serves all rules that have it.
	shared bool
	// asks is the term as an atom that can be looked up, of a question to a table; nil: it is none.
	asks *atom
	// col, when not negative, is the only thing that the term reads, besides the lists of the epoch: a text column.
	col int
}

// New takes a condition apart; nil is true for all rows. Terms are conditions that must hold too.
func New(cond expr.Expr, terms []Term) *Predicate {
	p := &Predicate{key: keyOf(cond, terms)}
	var fast, fallible []expr.Expr
	for _, c := range conjuncts(cond, false, nil) {
		switch n := analyse(c, false); {
		case n != nil && !asksTable(c):
			p.fast = append(p.fast, n)
			fast = append(fast, c)
		case safe(c):
			p.slow = append(p.slow, slowOf(c, true))
		default:
			fallible = append(fallible, c)
		}
	}
	for _, t := range terms {
		p.slow = append(p.slow, &slowTerm{key: "term " + t.Key, new: t.New, shared: true, col: -1})
	}
	for _, c := range fallible {
		p.slow = append(p.slow, slowOf(c, false))
	}
	slices.SortStableFunc(p.fast, func(a, b *node) int { return cmp.Compare(a.cost(), b.cost()) })
	switch len(fast) {
	case 0:
	case 1:
		p.whole = fast[0]
	default:
		p.whole = &expr.And{Args: fast}
	}
	return p
}

func keyOf(cond expr.Expr, terms []Term) string {
	key, unique := "true", true
	if cond != nil {
		key = Canonical(cond)
		expr.Walk(cond, func(e expr.Expr) bool {
			switch e.(type) {
			case *expr.Subquery, *expr.Outer, *expr.Param:
				unique = false // their text does not tell all
			}
			return unique
		})
	}
	if !unique {
		return ""
	}
	for _, t := range terms {
		key += "\x00" + t.Key
	}
	return key
}

// Key is equal for predicates that are true for the same rows, and not empty; "" when that cannot be told of the predicate.
func (p *Predicate) Key() string { return p.key }

// All reports that the predicate is true for every row.
func (p *Predicate) All() bool { return len(p.fast) == 0 && len(p.slow) == 0 }

func slowOf(e expr.Expr, shared bool) *slowTerm {
	t := &slowTerm{col: textColumn(e), key: Canonical(e), shared: shared, new: func() (Filterer, error) { return expr.Compile(e) }}
	if shared && asksTable(e) {
		if a := atomOf(e, false); a != nil && lookable(a) {
			t.asks = a
		}
	}
	return t
}

// fixes reports that all rows which pass the conditions that are tested row by row have the same value in the column that a shared term
// reads: one answer is all rows' then.
func (p *Predicate) fixes(t *slowTerm) bool {
	return t.shared && t.col >= 0 && slices.ContainsFunc(p.fast, func(n *node) bool {
		return n.kind == nodeAtom && opcodeOf(n.atom) == opEqual && !n.atom.not && n.atom.x.col == t.col
	})
}

// asksTable reports a question to a table, or its negation, that is a condition of its own. It costs a lookup for each row that it is
// asked about, so it is asked after what is tested row by row; as a part of other conditions it is computed for all rows.
func asksTable(e expr.Expr) bool {
	if n, ok := e.(*expr.Not); ok {
		e = n.X
	}
	_, ok := e.(*expr.InTable)
	return ok
}

// hasTable reports a question to a table anywhere in an expression.
func hasTable(e expr.Expr) (found bool) {
	expr.Walk(e, func(e expr.Expr) bool {
		_, ok := e.(*expr.InTable)
		found = found || ok
		return !found
	})
	return found
}

// textColumn is the column in [NOT] column IN IOC list; -1 of other terms.
func textColumn(e expr.Expr) int {
	if n, ok := e.(*expr.Not); ok {
		e = n.X
	}
	if in, ok := e.(*expr.InIOC); ok {
		if c, ok := in.X.(*expr.Column); ok && c.Typ.Kind.IsText() {
			return c.Index
		}
	}
	return -1
}

// Canonical is the text of an expression whatever its columns are called: equal texts mean equal expressions over a stream's rows.
func Canonical(e expr.Expr) string { return canonical(e).String() }

func canonical(e expr.Expr) expr.Expr {
	return expr.Transform(e, func(e expr.Expr) expr.Expr {
		switch e := e.(type) {
		case *expr.Column:
			return &expr.Column{Index: e.Index, Name: "$" + strconv.Itoa(e.Index), Typ: e.Typ}
		case *expr.InTable: // tables of several schemas may share a name
			c := expr.InTables(e, ofTable).(*expr.InTable)
			c.Name = "$" + strconv.FormatUint(e.Table, 10)
			return c
		case *expr.TableQuery:
			c := expr.InTables(e, ofTable).(*expr.TableQuery)
			c.Name = "$" + strconv.FormatUint(e.Table, 10)
			return c
		}
		return e
	})
}

// ofTable is canonical for expressions over the rows of a table.
func ofTable(e expr.Expr) expr.Expr {
	return expr.Transform(canonical(e), func(e expr.Expr) expr.Expr {
		if c, ok := e.(*expr.Column); ok {
			return &expr.Column{Index: c.Index, Name: "#" + c.Name, Typ: c.Typ}
		}
		return e
	})
}

// conjuncts appends the conditions that e, or its negation, is the conjunction of.
func conjuncts(e expr.Expr, neg bool, dst []expr.Expr) []expr.Expr {
	switch x := e.(type) {
	case nil:
		return dst
	case *expr.And:
		if !neg {
			for _, a := range x.Args {
				dst = conjuncts(a, false, dst)
			}
			return dst
		}
	case *expr.Or:
		if neg {
			for _, a := range x.Args {
				dst = conjuncts(a, true, dst)
			}
			return dst
		}
	case *expr.Not:
		return conjuncts(x.X, !neg, dst)
	}
	if neg {
		e = &expr.Not{X: e}
	}
	return append(dst, e)
}

// analyse makes a tree over atoms of a condition, or of its negation; nil when some part of it is no atom.
func analyse(e expr.Expr, neg bool) *node {
	switch x := e.(type) {
	case *expr.And:
		return analyseAll(x.Args, neg, neg)
	case *expr.Or:
		return analyseAll(x.Args, neg, !neg)
	case *expr.Not:
		return analyse(x.X, !neg)
	}
	if a := atomOf(e, neg); a != nil {
		return &node{kind: nodeAtom, atom: a}
	}
	return nil
}

func analyseAll(args []expr.Expr, neg, or bool) *node {
	n := &node{kind: nodeAnd}
	if or {
		n.kind = nodeOr
	}
	for _, a := range args {
		k := analyse(a, neg)
		if k == nil {
			return nil
		}
		if k.kind == n.kind {
			n.kids = append(n.kids, k.kids...)
		} else {
			n.kids = append(n.kids, k)
		}
	}
	slices.SortStableFunc(n.kids, func(a, b *node) int { return cmp.Compare(a.cost(), b.cost()) })
	return n
}

// cost is about what it takes to test the node for a row, in nanoseconds.
func (n *node) cost() float64 {
	if n.kind == nodeAtom {
		return n.atom.cost()
	}
	sum := 1.0
	for _, k := range n.kids {
		sum += k.cost()
	}
	return sum
}

// atoms calls fn for each atom.
func (n *node) atoms(fn func(*atom)) {
	if n.kind == nodeAtom {
		fn(n.atom)
		return
	}
	for _, k := range n.kids {
		k.atoms(fn)
	}
}
