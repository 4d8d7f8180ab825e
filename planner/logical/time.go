package logical

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// NoTime marks a column that does not carry event time.
const NoTime = int64(-1)

// WindowTime is the name of the hidden column of relations that have window_end: window_end - 1 microsecond, the time at
// which a result row counts when it is grouped or joined again.
const WindowTime = "window_time"

// Times tells, per output column of a node of a continuous query, how far (microseconds) its rows may lie behind the
// watermark when they come, by that column; NoTime for columns that are no event time. Each operator's file adds its case.
func Times(n *Node) []int64 { return timer{}.times(n) }

// timer remembers the times of nodes while a tree is looked at: joins ask for those of their inputs again and again.
type timer map[*Node][]int64

func (t timer) times(n *Node) []int64 {
	out, ok := t[n]
	if !ok {
		out = t.compute(n)
		t[n] = out
	}
	return out
}

func (t timer) compute(n *Node) []int64 {
	out := make([]int64, len(n.Schema.Cols))
	for i := range out {
		out[i] = NoTime
	}
	switch op := n.Op.(type) {
	case *Scan:
		scanTimes(op, out)
	case *Filter, *Sort, *Limit, *Result:
		copy(out, t.times(n.In[0]))
	case *ProjectSet:
		copy(out, t.times(n.In[0]))
	case *Over, *FirstSeen, *Suppress:
		t.over(n, out)
	case *Project:
		in := t.times(n.In[0])
		for i, e := range op.Exprs {
			if c, ok := e.(*expr.Column); ok {
				out[i] = in[c.Index]
			} else if base := windowTimeOf(e); base >= 0 && in[base] != NoTime {
				out[i] = in[base]
			}
		}
	case *Aggregate:
		if op.Window != nil && op.Window.Kind != window.Count { // a window of rows ends with its last row, whatever its time
			out[1] = op.Window.Lateness // window_end: rows come when the watermark is there, or correct it
		}
	case *LookupJoin:
		copy(out, t.times(n.In[0])) // a table holds nothing back
	case *Join:
		t.join(n, op, out)
	case *Match:
		t.match(n, op.Spec, out)
	case *SetOp:
		l, r := t.times(n.In[0]), t.times(n.In[1])
		for i := range out {
			if l[i] != NoTime && r[i] != NoTime {
				out[i] = max(l[i], r[i])
			}
		}
	}
	return out
}

func scanTimes(op *Scan, out []int64) {
	switch r := op.Rel.(type) {
	case *catalog.Stream:
		if r.TimeCol >= 0 {
			out[r.TimeCol] = 0
		}
	case *catalog.Query:
		copy(out, r.Times)
	}
}

// windowTimeOf returns the column of which e is the window_time (the column less one microsecond), -1 when it is none.
func windowTimeOf(e expr.Expr) int {
	call, ok := e.(*expr.Call)
	if !ok || call.Def.Name != "-" || len(call.Args) != 2 {
		return -1
	}
	c, ok := call.Args[0].(*expr.Column)
	by, ok2 := call.Args[1].(*expr.Const)
	if !ok || !ok2 || by.Val.Null || by.Val.Type.Kind != types.Interval {
		return -1
	}
	iv, err := types.DecodeInterval(by.Val.S)
	if err != nil || iv.Months != 0 || iv.Span() != 1 {
		return -1
	}
	return c.Index
}

// DefaultTime is the column that is meant where a statement names no time: window_time, else the first time column; -1
// when the node has none.
func DefaultTime(n *Node) int { return timer{}.defaultTime(n) }

func (t timer) defaultTime(n *Node) int {
	first := -1
	for i, d := range t.times(n) {
		if d == NoTime {
			continue
		}
		if n.Schema.Cols[i].Name == WindowTime {
			return i
		}
		if first < 0 {
			first = i
		}
	}
	return first
}

// Lateness is the allowed lateness (microseconds) of the streams that a node's rows come from as they are: the longest of
// several.
func Lateness(n *Node) int64 {
	switch op := n.Op.(type) {
	case *Scan:
		if s, ok := op.Rel.(*catalog.Stream); ok {
			return s.AllowedLateness
		}
	case *Filter, *Project, *SetOp, *LookupJoin:
		most := int64(0)
		for _, in := range n.In {
			most = max(most, Lateness(in))
		}
		return most
	}
	return 0
}
