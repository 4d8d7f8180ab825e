package spec

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// SortedFunc is one window function of a SortedOver: an aggregate (Kernel), or another one by Name: row_number, rank,
// dense_rank, percent_rank, cume_dist, ntile(n), lag and lead(x[, offset[, default]]), first_value(x), last_value(x),
// nth_value(x, n). Args and Filter are over the input row.
type SortedFunc struct {
	Name   string
	Kernel agg.Kernel
	Args   []expr.Expr
	Filter expr.Expr
	Frame  RowFrame
	Typ    types.Type
}

// FrameUnit says what offsets of a frame count: values of the order, rows, or groups of rows that are equal in the order.
type FrameUnit uint8

// The units.
const (
	FrameRange FrameUnit = iota
	FrameRows
	FrameGroups
)

// FrameExclude says which rows around the current one a frame leaves out.
type FrameExclude uint8

// The exclusions: none, the current row, it and its peers, its peers alone.
const (
	ExcludeNone FrameExclude = iota
	ExcludeCurrent
	ExcludeGroup
	ExcludeTies
)

// RowFrame is the frame of a window function: from Start to End, without what Exclude names.
type RowFrame struct {
	Unit       FrameUnit
	Start, End FrameEdge
	Exclude    FrameExclude
}

// EdgeKind is the kind of one end of a frame.
type EdgeKind uint8

// The kinds: the partition's end, the current row (with its peers, unless rows are counted), and an offset from it.
const (
	EdgeUnbounded EdgeKind = iota
	EdgeCurrent
	EdgeOffset
)

// FrameEdge is one end of a frame. Offset (of EdgeOffset) reads no columns: a bigint for rows and groups, else what the order
// key can be moved by. Where numbers cannot be added as they are, Limit, over the input row, is the order key moved by the
// offset; nil: the operator adds.
type FrameEdge struct {
	Kind      EdgeKind
	Following bool
	Offset    expr.Expr
	Limit     expr.Expr
}

// SortedExprs lists all expressions of the operator.
func SortedExprs(o *SortedOver) []expr.Expr {
	out := append([]expr.Expr(nil), o.Partition...)
	for _, k := range o.Order {
		out = append(out, k.X)
	}
	for i := range o.Funcs {
		f := &o.Funcs[i]
		out = append(out, f.Args...)
		for _, e := range []expr.Expr{f.Filter, f.Frame.Start.Offset, f.Frame.Start.Limit, f.Frame.End.Offset, f.Frame.End.Limit} {
			if e != nil {
				out = append(out, e)
			}
		}
	}
	return out
}

func describeSortedOver(o *SortedOver) string {
	parts := make([]string, len(o.Funcs))
	for i := range o.Funcs {
		f := &o.Funcs[i]
		parts[i] = windowCall(f.Name, f.Args, f.Kernel != nil, f.Filter)
		if Framed(f) {
			parts[i] += " " + describeRowFrame(&f.Frame)
		}
	}
	return fmt.Sprintf("SortedOver partition: %s order: %s functions: %s",
		orNone(list(o.Partition)), orNone(sorts(o.Order)), strings.Join(parts, ", "))
}

// Framed reports that a function looks at its frame; the others at the whole partition.
func Framed(f *SortedFunc) bool {
	return f.Kernel != nil || f.Name == "first_value" || f.Name == "last_value" || f.Name == "nth_value"
}

// describeRowFrame prints a frame as SQL does.
func describeRowFrame(f *RowFrame) string {
	unit := map[FrameUnit]string{FrameRange: "range", FrameRows: "rows", FrameGroups: "groups"}[f.Unit]
	exclude := map[FrameExclude]string{ExcludeCurrent: " exclude current row", ExcludeGroup: " exclude group", ExcludeTies: " exclude ties"}[f.Exclude]
	return fmt.Sprintf("%s %s to %s%s", unit, describeEdge(&f.Start), describeEdge(&f.End), exclude)
}

func describeEdge(e *FrameEdge) string {
	direction := map[bool]string{false: " preceding", true: " following"}[e.Following]
	switch e.Kind {
	case EdgeUnbounded:
		return "unbounded" + direction
	case EdgeCurrent:
		return "current row"
	}
	return e.Offset.String() + direction
}

func describeGroupingSets(o *GroupingSets) string {
	sets := make([]string, len(o.Sets))
	for i, set := range o.Sets {
		keys := make([]expr.Expr, len(set))
		for j, k := range set {
			keys[j] = o.Keys[k]
		}
		sets[i] = "(" + list(keys) + ")"
	}
	return fmt.Sprintf("GroupingSets sets: %s aggs: %s", strings.Join(sets, ", "), orNone(aggs(o.Aggs)))
}
