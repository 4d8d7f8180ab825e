package task

import (
	"math"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
)

// historyScan reads the retained history of a stream. The bounds of its times are computed when it is opened: they may read
// parameters, the clock of the statement, and outer rows.
type historyScan struct {
	run  *run
	node *spec.Node
	op   *spec.StreamScan
	// at is the node with what is known of the times; nil when no row can matter.
	at *spec.Node
}

var _ op.Source = (*historyScan)(nil)

// Open implements op.Source.
func (s *historyScan) Open(ctx *expr.Ctx) error {
	s.at = s.node
	if len(s.op.Bounds) == 0 {
		return nil
	}
	within := spec.TimeRange{Min: math.MinInt64, Max: math.MaxInt64}
	for _, b := range s.op.Bounds {
		v, err := expr.EvalRow(ctx, b.X, nil)
		switch {
		case err != nil: // the filter above fails by the same, if there is a row for it
		case v.Null:
			s.at = nil
			return nil
		default:
			within = narrow(within, b.Op, v.I)
		}
	}
	if within.Empty() {
		s.at = nil
		return nil
	}
	o := *s.op
	o.Bounds, o.Within = nil, &within
	s.at = &spec.Node{Op: &o, In: s.node.In, Schema: s.node.Schema}
	return nil
}

// narrow leaves the times that compare so with t.
func narrow(r spec.TimeRange, o expr.CmpOp, t int64) spec.TimeRange {
	switch o {
	case expr.EQ:
		r.Min, r.Max = max(r.Min, t), min(r.Max, t)
	case expr.GE:
		r.Min = max(r.Min, t)
	case expr.LE:
		r.Max = min(r.Max, t)
	case expr.GT:
		if t == math.MaxInt64 {
			return spec.TimeRange{Min: 1}
		}
		r.Min = max(r.Min, t+1)
	case expr.LT:
		if t == math.MinInt64 {
			return spec.TimeRange{Min: 1}
		}
		r.Max = min(r.Max, t-1)
	}
	return r
}

// Run implements op.Source.
func (s *historyScan) Run(out op.Emitter) error {
	if s.at == nil {
		return nil
	}
	return s.run.scan(s.at, out)
}

// Close implements op.Source.
func (s *historyScan) Close() error { return nil }

// String implements op.Source.
func (s *historyScan) String() string { return "StreamScan " + s.op.Name }
