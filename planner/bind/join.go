package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

var joinKinds = map[string]logical.JoinKind{
	"INNER": logical.Inner, "CROSS": logical.Inner, "LEFT": logical.Left, "RIGHT": logical.Right, "FULL": logical.Full,
}

// join binds right and joins it to left; j tells how.
func (fb *fromBinder) join(left *fromItem, right parse.TableExpr, j *parse.Join) (*fromItem, error) {
	op := &logical.Join{Kind: joinKinds[j.Kind], Lateral: mayBeLateral(right), Pos: tablePos(right)}
	left, err := fb.spread(left)
	if err != nil {
		return nil, err
	}
	inner := *fb
	_, inner.joined = right.(*parse.TableRef)
	fb.near = append(fb.near, nearby{left.rels, op.Kind == logical.Right || op.Kind == logical.Full})
	if op.Lateral = op.Lateral && op.Kind != logical.Right && op.Kind != logical.Full; op.Lateral {
		inner.parent = &frame{parent: fb.parent, rels: left.rels, merged: left.merged}
	}
	if op.Kind == logical.Left || op.Kind == logical.Full {
		fb.within = append(fb.within, "an outer join")
	}
	r, err := inner.table(right)
	if op.Kind == logical.Left || op.Kind == logical.Full {
		fb.within = fb.within[:len(fb.within)-1]
	}
	fb.near = fb.near[:len(fb.near)-1]
	if err == nil {
		r, err = inner.spread(r)
	}
	if err != nil {
		return nil, err
	}
	if op.Kind == logical.Left || op.Kind == logical.Full {
		if r, err = fb.optional(r); err != nil {
			return nil, err
		}
	}
	if op.Kind == logical.Right || op.Kind == logical.Full {
		if left, err = fb.optional(left); err != nil {
			return nil, err
		}
	}
	for _, a := range left.rels {
		for _, b := range r.rels {
			if a.alias != "" && a.alias == b.alias && (a.schema == b.schema || a.schema == "" || b.schema == "") {
				return nil, sqlerr.New(sqlerr.DuplicateAlias, "table name %q specified more than once", b.alias).At(tablePos(right))
			}
		}
	}
	width := len(left.node.Schema.Cols)
	out := &fromItem{rels: append([]*rel(nil), left.rels...), merged: append([]mergedCol(nil), left.merged...)}
	for _, x := range r.rels {
		out.rels = append(out.rels, x.shifted(width))
	}
	shifted := &fromItem{node: r.node, rels: out.rels[len(left.rels):], star: shiftCols(r.star, width)}
	for _, m := range r.merged {
		shifted.merged = append(shifted.merged, m.shifted(width))
	}
	out.merged = append(out.merged, shifted.merged...)
	out.star = append(append([]relCol(nil), left.star...), shifted.star...)
	schema := types.Schema{Cols: append(append([]types.Column(nil), left.node.Schema.Cols...), r.node.Schema.Cols...)}
	out.node = &logical.Node{Op: op, In: []*logical.Node{left.node, r.node}, Schema: schema}
	if op.Conds, err = fb.joinConds(j, left, shifted, out); err != nil {
		return nil, err
	}
	if done, err := fb.lookupJoin(j, right, left, out); done || err != nil {
		return out, err
	}
	return out, fb.streamJoin(right, left, out)
}

// joinConds binds ON, USING or NATURAL.
func (fb *fromBinder) joinConds(j *parse.Join, left, right, out *fromItem) ([]expr.Expr, error) {
	using := j.Using
	if j.Natural {
		for _, c := range left.star {
			for _, d := range right.star {
				if c.name == d.name {
					using = addOnce(using, c.name)
				}
			}
		}
	}
	if len(using) > 0 {
		return fb.using(j, using, left, right, out)
	}
	if j.On == nil {
		return nil, nil
	}
	s := &scalar{binder: fb.binder, f: out.frame(fb.parent), ctes: fb.ctes, clause: "JOIN conditions"}
	cond, err := s.condition(j.On, "JOIN/ON")
	if err != nil {
		return nil, err
	}
	return logical.Conjuncts(cond), nil
}

// frame is the name scope of a FROM item.
func (it *fromItem) frame(parent *frame) *frame {
	return &frame{parent: parent, rels: it.rels, merged: it.merged, near: it.near}
}

// using joins by equally named columns, which become one.
func (fb *fromBinder) using(j *parse.Join, names []string, left, right, out *fromItem) ([]expr.Expr, error) {
	var conds []expr.Expr
	var star []relCol
	used := map[string]bool{}
	for _, name := range names {
		l, err := fb.usingColumn(left, name, "left")
		if err != nil {
			return nil, err
		}
		r, err := fb.usingColumn(right, name, "right")
		if err != nil {
			return nil, err
		}
		cond, err := fb.compare("=", term{l, j.Pos}, term{r, j.Pos}, j.Pos)
		if err != nil {
			return nil, err
		}
		conds = append(conds, cond)
		m := mergedCol{name: name, value: l, hides: []expr.Expr{l, r}}
		switch out.node.Op.(*logical.Join).Kind {
		case logical.Right:
			m.value = r
		case logical.Full:
			cmp := cond.(*expr.Compare)
			m.value = &expr.Coalesce{Args: []expr.Expr{cmp.L, cmp.R}, Typ: cmp.L.Type()}
		}
		kept := out.merged[:0]
		for _, old := range out.merged {
			if old.name != name {
				kept = append(kept, old)
			} else {
				m.hides = append(m.hides, old.hides...)
			}
		}
		out.merged = append(kept, m)
		star = append(star, relCol{name: name, value: m.value})
		used[name] = true
	}
	for _, c := range out.star {
		if !used[c.name] {
			star = append(star, c)
		}
	}
	out.star = star
	if j.UsingAlias != "" {
		out.rels = append(out.rels, &rel{alias: j.UsingAlias, te: j, cols: append([]relCol(nil), star[:len(names)]...)})
	}
	return conds, nil
}

// usingColumn finds a USING column on one side.
func (fb *fromBinder) usingColumn(it *fromItem, name, side string) (expr.Expr, error) {
	list := it.frame(nil).bare(name)
	switch len(list) {
	case 0:
		return nil, sqlerr.New(sqlerr.UndefinedColumn, "column %q specified in USING clause does not exist in %s table", name, side)
	case 1:
		return list[0].value, nil
	}
	return nil, sqlerr.New(sqlerr.AmbiguousColumn, "common column name %q appears more than once in %s table", name, side)
}

func (m mergedCol) shifted(by int) mergedCol {
	out := mergedCol{name: m.name, value: shift(m.value, by)}
	for _, h := range m.hides {
		out.hides = append(out.hides, shift(h, by))
	}
	return out
}

func shiftCols(cols []relCol, by int) []relCol {
	out := make([]relCol, len(cols))
	for i, c := range cols {
		c.value = shift(c.value, by)
		out[i] = c
	}
	return out
}

// aliasJoin gives a parenthesised join one name.
func (fb *fromBinder) aliasJoin(it *fromItem, j *parse.Join) (*fromItem, error) {
	r := &rel{alias: j.Alias, te: j, cols: append([]relCol(nil), it.star...)}
	out := &fromItem{node: it.node, rels: []*rel{r}, star: append([]relCol(nil), r.cols...), near: it.rels}
	return out, out.rename(j.Columns, j.Alias, j.Pos)
}

// nearby are the relations on the left of what is being bound; outer: by a join that lets nothing on its right name them.
type nearby struct {
	rels  []*rel
	outer bool
}

// outOfReach is Postgres' error for a relation that exists but cannot be named here, nil when there is none.
func (b *binder) outOfReach(f *frame, table string, pos int) error {
	err := func() *sqlerr.Error {
		return sqlerr.New(sqlerr.UndefinedTable, "invalid reference to FROM-clause entry for table %q", table).At(pos)
	}
	has := func(list []*rel) bool {
		for _, r := range list {
			if r.alias == table {
				return true
			}
		}
		return false
	}
	const there = "There is an entry for table %q, but it cannot be referenced from this part of the query."
	for i := len(b.near) - 1; i >= 0; i-- {
		if n := b.near[i]; has(n.rels) && n.outer {
			return sqlerr.New(sqlerr.InvalidColumnReference, "invalid reference to FROM-clause entry for table %q", table).At(pos).
				WithDetail("The combining JOIN type must be INNER or LEFT for a LATERAL reference.")
		} else if has(n.rels) {
			return err().WithHint(there, table)
		}
	}
	for fr := f; fr != nil; fr = fr.parent {
		if fr.blocked && has(fr.rels) || has(fr.near) {
			return err().WithHint(there, table)
		}
	}
	return nil
}

// mayBeLateral tells whether a table expression could read columns of what stands left of it.
func mayBeLateral(te parse.TableExpr) bool {
	switch te := te.(type) {
	case *parse.TableSubquery:
		return te.Lateral
	case *parse.TableFunc:
		for _, f := range te.Rows {
			if hasNames(f.Func.Args) {
				return true
			}
		}
		return te.Lateral || te.Func != nil && hasNames(te.Func.Args)
	case *parse.Join:
		return mayBeLateral(te.Left) || mayBeLateral(te.Right)
	}
	return false
}

// hasNames tells whether arguments of a function in FROM mention anything that is not a literal or a parameter.
func hasNames(args []parse.Expr) bool {
	for _, a := range args {
		switch a := a.(type) {
		case *parse.Number, *parse.String, *parse.Null, *parse.Bool, *parse.Interval, *parse.Param:
		case *parse.Cast:
			if hasNames([]parse.Expr{a.X}) {
				return true
			}
		case *parse.Unary:
			if hasNames([]parse.Expr{a.X}) {
				return true
			}
		case *parse.FuncCall:
			if hasNames(a.Args) {
				return true
			}
		default:
			return true
		}
	}
	return false
}

// tablePos is where a table expression is written.
func tablePos(te parse.TableExpr) int {
	switch te := te.(type) {
	case *parse.TableRef:
		return te.Name.Pos
	case *parse.TableSubquery:
		return te.Pos
	case *parse.TableFunc:
		if te.Func == nil {
			return te.Rows[0].Func.Pos
		}
		return te.Func.Pos
	case *parse.TableWindow:
		return te.Window.Pos
	case *parse.TableMatch:
		return te.Pos
	case *parse.TableSequence:
		return te.Pos
	case *parse.Join:
		return te.Pos
	}
	return 0
}
