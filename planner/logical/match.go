package logical

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Match is MATCH_RECOGNIZE. It is planned completely when it is bound: its input is a projection of what it reads.
type Match struct{ Spec *spec.Match }

func (*Match) op() {}

// match rewrites the expressions of a Match.
func (f Rewrite) match(o *Match, depth int) Op {
	c := *o.Spec
	c.Keys, c.Measures = f.List(c.Keys, depth), f.List(c.Measures, depth)
	changed := !same(c.Keys, o.Spec.Keys) || !same(c.Measures, o.Spec.Measures)
	c.Vars = append([]spec.MatchVar(nil), c.Vars...)
	for i := range c.Vars {
		x := f.Expr(c.Vars[i].Cond, depth)
		changed = changed || x != c.Vars[i].Cond
		c.Vars[i].Cond = x
	}
	c.Refs = append([]spec.MatchRef(nil), c.Refs...)
	for i := range c.Refs {
		r := &c.Refs[i]
		x, args, filter := f.Expr(r.X, depth), f.List(r.Agg.Args, depth), f.Expr(r.Agg.Filter, depth)
		changed = changed || x != r.X || !same(args, r.Agg.Args) || filter != r.Agg.Filter
		r.X, r.Agg.Args, r.Agg.Filter = x, args, filter
	}
	if !changed {
		return o
	}
	return &Match{&c}
}

// match tells which columns of a Match are event times: those of a row of the match, which comes when the match is
// certain; without WITHIN that may take for ever.
func (t timer) match(n *Node, op *spec.Match, out []int64) {
	in := t.times(n.In[0])
	if op.Sequence != nil && len(op.Sequence.After) == 0 {
		out[len(op.Keys)+1] = in[op.TimeCol] // sequence_end: with the row that completes it
	}
	if in[op.TimeCol] == NoTime || op.Within == 0 {
		return
	}
	delay := in[op.TimeCol] + op.Within
	width := len(n.In[0].Schema.Cols)
	first := len(op.Keys)
	if op.AllRows {
		first = len(n.Schema.Cols) - len(op.Measures)
		out[op.TimeCol] = delay
	}
	isTime := func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		return ok && c.Index == op.TimeCol
	}
	for i, e := range op.Measures {
		c, ok := e.(*expr.Column)
		switch {
		case !ok || out[first+i] != NoTime:
		case c.Index == op.TimeCol:
			out[first+i] = delay
		case c.Index >= width:
			if r := &op.Refs[c.Index-width]; r.Kind == spec.MatchRow && r.Back == 0 && isTime(r.X) {
				out[first+i] = delay
			}
		}
	}
}
