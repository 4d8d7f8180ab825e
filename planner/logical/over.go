package logical

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// OverFunc is one window function: an aggregate by Def, or another one by Name. lag is first_value over a frame of one row,
// its second argument what stands for a row that is not there.
type OverFunc struct {
	Name   string
	Def    *agg.Def
	Args   []expr.Expr
	Filter expr.Expr // nil: every row counts
	Frame  Frame
	Typ    types.Type
}

// Frame is a window frame: rows, or microseconds of event time, from Start to End, negative before the current row.
type Frame struct {
	Rows       bool
	Start, End int64
}

// FrameUnbounded, negated, is the start of a frame that begins where the partition does.
const FrameUnbounded = int64(1<<63 - 1)

// The operators of a continuous query that look at the rows before a row.
type (
	// Over appends a column per window function. Rows are ordered by event time: TimeCol plus TimeShift microseconds.
	Over struct {
		Keys      []expr.Expr
		TimeCol   int
		TimeShift int64
		Funcs     []OverFunc
	}
	// FirstSeen appends a boolean: no row of the key came within Span microseconds before.
	FirstSeen struct {
		Keys    []expr.Expr
		Span    int64
		TimeCol int
	}
	// Suppress drops the rows of a key that come within For microseconds of one that passed.
	Suppress struct {
		Keys    []expr.Expr
		For     int64
		TimeCol int
	}
)

func (*Over) op()      {}
func (*FirstSeen) op() {}
func (*Suppress) op()  {}

// over rewrites the expressions of these operators.
func (f Rewrite) over(o Op, depth int) Op {
	switch o := o.(type) {
	case *Over:
		keys := f.List(o.Keys, depth)
		changed := !same(keys, o.Keys)
		funcs := append([]OverFunc(nil), o.Funcs...)
		for i := range funcs {
			fn := &funcs[i]
			args, filter := f.List(fn.Args, depth), f.Expr(fn.Filter, depth)
			changed = changed || !same(args, fn.Args) || filter != fn.Filter
			fn.Args, fn.Filter = args, filter
		}
		if changed {
			return &Over{Keys: keys, TimeCol: o.TimeCol, TimeShift: o.TimeShift, Funcs: funcs}
		}
	case *FirstSeen:
		if l := f.List(o.Keys, depth); !same(l, o.Keys) {
			return &FirstSeen{Keys: l, Span: o.Span, TimeCol: o.TimeCol}
		}
	case *Suppress:
		if l := f.List(o.Keys, depth); !same(l, o.Keys) {
			return &Suppress{Keys: l, For: o.For, TimeCol: o.TimeCol}
		}
	}
	return o
}

// Ahead is how far the frames look ahead, microseconds.
func (o *Over) Ahead() int64 {
	ahead := int64(0)
	for _, f := range o.Funcs {
		if !f.Frame.Rows && (f.Def != nil || len(f.Args) > 0) && f.Frame.Start <= f.Frame.End {
			ahead = max(ahead, f.Frame.End)
		}
	}
	return ahead
}

// over gives the times of these operators' rows: those of their input, later by what frames look ahead.
func (t timer) over(n *Node, out []int64) {
	in := t.times(n.In[0])
	copy(out, in)
	if o, ok := n.Op.(*Over); ok {
		for i, d := range in {
			if d != NoTime {
				out[i] = d + o.Ahead()
			}
		}
	}
}

// OrderTime tells what must be added to a column (microseconds) to get the event time of a row by which the watermark passes
// it: 0 for times of streams and window_time, -1 for window_end, the size of the window less one for window_start where
// all windows have one size. It returns false for columns that do not follow the event time.
func OrderTime(n *Node, col int) (shift int64, ok bool) {
	switch op := n.Op.(type) {
	case *Filter, *Over, *FirstSeen, *Suppress:
		if col < len(n.In[0].Schema.Cols) {
			return OrderTime(n.In[0], col)
		}
	case *Project:
		if c, isCol := op.Exprs[col].(*expr.Column); isCol {
			return OrderTime(n.In[0], c.Index)
		}
		if base := windowTimeOf(op.Exprs[col]); base >= 0 {
			shift, ok = OrderTime(n.In[0], base)
			return shift + 1, ok
		}
	case *Aggregate:
		switch {
		case op.Window == nil || col > 1:
		case col == 1:
			return -1, true
		}
		if size, fixed := fixedSize(op.Window); fixed && col == 0 {
			return size - 1, true
		}
	}
	return 0, Times(n)[col] != NoTime
}
