package op

import (
	"math"
	"sort"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// rowFrame finds the frame of each row of a partition.
type rowFrame struct {
	spec       *spec.RowFrame
	start, end frameEdge
	// from and to are the rows whose order key is not NULL; of frames of RANGE with offsets.
	from, to int
	spans    []span
}

// frameEdge is one end of a frame at run time.
type frameEdge struct {
	spec *spec.FrameEdge
	// offset is the value of spec.Offset; n is it as a number of rows or groups.
	offset types.Value
	n      int
	// limit is the column of spec.Limit, -1 without.
	limit int
}

// span is rows [lo, hi) of a partition.
type span struct{ lo, hi int }

func newRowFrame(s *spec.RowFrame, reads *sortedReads) rowFrame {
	return rowFrame{spec: s,
		start: frameEdge{spec: &s.Start, limit: reads.add(s.Start.Limit)},
		end:   frameEdge{spec: &s.End, limit: reads.add(s.End.Limit)}}
}

// open computes the offsets.
func (f *rowFrame) open(ctx *expr.Ctx) error {
	if err := f.start.open(ctx, f.spec.Unit, "starting"); err != nil {
		return err
	}
	return f.end.open(ctx, f.spec.Unit, "ending")
}

func (e *frameEdge) open(ctx *expr.Ctx, unit spec.FrameUnit, which string) error {
	if e.spec.Kind != spec.EdgeOffset {
		return nil
	}
	var err error
	if e.offset, err = expr.EvalConst(ctx, e.spec.Offset); err != nil {
		return err
	}
	switch {
	case e.offset.Null:
		return sqlerr.New(sqlerr.NullValueNotAllowed, "frame %s offset must not be null", which)
	case unit == spec.FrameRange:
		return nil
	case e.offset.I < 0:
		return sqlerr.New(sqlerr.InvalidPrecedingFollowing, "frame %s offset must not be negative", which)
	}
	e.n = int(min(e.offset.I, math.MaxInt32)) // no partition has more rows
	return nil
}

// begin looks at a new partition.
func (f *rowFrame) begin(p *partition) error {
	if f.spec.Unit != spec.FrameRange || f.start.spec.Kind != spec.EdgeOffset && f.end.spec.Kind != spec.EdgeOffset {
		return nil
	}
	for _, e := range []*frameEdge{&f.start, &f.end} {
		if e.spec.Kind == spec.EdgeOffset && negative(e.offset) {
			return sqlerr.New(sqlerr.InvalidPrecedingFollowing, "invalid preceding or following size in window function")
		}
	}
	isNull := func(i int) bool {
		v, r := p.orderVec(i)
		return v.IsNull(r)
	}
	f.from, f.to = 0, len(p.rows)
	if p.op.spec.Order[0].NullsFirst {
		f.from = sort.Search(len(p.rows), func(i int) bool { return !isNull(i) })
	} else {
		f.to = sort.Search(len(p.rows), isNull)
	}
	return nil
}

// negative reports an offset of RANGE below zero.
func negative(v types.Value) bool {
	switch v.Type.Kind {
	case types.Interval:
		iv, err := types.DecodeInterval(v.S)
		return err == nil && iv.Span() < 0
	case types.Numeric:
		return types.NumericSign(v.S) < 0
	case types.Float4, types.Float8:
		return v.F < 0 || v.F != v.F
	}
	return v.I < 0
}

// bounds is the frame of the current row before exclusion; lo == hi when it is empty.
func (f *rowFrame) bounds(p *partition) (span, error) {
	lo, err := f.lo(p)
	if err != nil {
		return span{}, err
	}
	hi, err := f.hi(p)
	return span{lo, max(lo, hi)}, err
}

// lo is where the frame begins.
func (f *rowFrame) lo(p *partition) (int, error) {
	e := &f.start
	switch {
	case e.spec.Kind == spec.EdgeUnbounded:
		return 0, nil
	case f.spec.Unit == spec.FrameRows:
		return min(max(p.i+e.rows(), 0), len(p.rows)), nil
	case e.spec.Kind == spec.EdgeCurrent:
		return int(p.groups[p.g]), nil
	case f.spec.Unit == spec.FrameGroups:
		if g := p.g + e.rows(); g < len(p.groups) {
			return int(p.groups[max(g, 0)]), nil
		}
		return len(p.rows), nil
	}
	return f.search(p, e, false)
}

// hi is where the frame ends.
func (f *rowFrame) hi(p *partition) (int, error) {
	e := &f.end
	switch {
	case e.spec.Kind == spec.EdgeUnbounded:
		return len(p.rows), nil
	case f.spec.Unit == spec.FrameRows:
		return min(max(p.i+e.rows()+1, 0), len(p.rows)), nil
	case e.spec.Kind == spec.EdgeCurrent:
		return p.groupEnd(p.g), nil
	case f.spec.Unit == spec.FrameGroups:
		if g := p.g + e.rows(); g >= 0 {
			return p.groupEnd(min(g, len(p.groups)-1)), nil
		}
		return 0, nil
	}
	return f.search(p, e, true)
}

// rows is the offset of an end in rows or groups, negative before the current one.
func (e *frameEdge) rows() int {
	if e.spec.Following {
		return e.n
	}
	return -e.n
}

// search finds the first row whose order key is at or after the limit of an end of RANGE, or with past the first one after
// it. NULLs are peers of each other, and in no range of anything else.
func (f *rowFrame) search(p *partition, e *frameEdge, past bool) (int, error) {
	if v, r := p.orderVec(p.i); v.IsNull(r) {
		if past {
			return p.groupEnd(p.g), nil
		}
		return int(p.groups[p.g]), nil
	}
	desc := p.op.spec.Order[0].Desc
	limit, err := e.limitAt(p, e.spec.Following != desc, past != desc)
	if err != nil {
		return 0, err
	}
	n := sort.Search(f.to-f.from, func(i int) bool {
		v, r := p.orderVec(f.from + i)
		c := types.Compare(rangeValue(v.Value(r), limit.Type.Kind), limit)
		if desc {
			c = -c
		}
		return c > 0 || c == 0 && !past
	})
	return f.from + n, nil
}

// limitAt is the order key of the current row moved by the offset, upwards or downwards. Infinity less infinity is no number:
// every number is in reach of it, whether it is the most or the least that a key may be.
func (e *frameEdge) limitAt(p *partition, up, most bool) (types.Value, error) {
	if e.limit >= 0 {
		return p.arg(p.i, e.limit), nil
	}
	v, r := p.orderVec(p.i)
	key := v.Value(r)
	switch key.Type.Kind {
	case types.Float4, types.Float8:
		by := e.offset.F
		if !up {
			by = -by
		}
		sum := key.F + by
		if sum != sum && key.F == key.F {
			sum = math.Inf(map[bool]int{true: 1, false: -1}[most])
		}
		return types.NewFloat(sum), nil
	case types.Numeric:
		add := types.NumericSub
		if up {
			add = types.NumericAdd
		}
		sum, err := add(key.S, e.offset.S)
		if sum == "NaN" && key.S != "NaN" {
			sum = map[bool]string{true: "Infinity", false: "-Infinity"}[most]
		}
		return types.NewBytes(types.Numeric, sum), err
	}
	return types.NewInt(types.Int8, moved(key.I, e.offset.I, up)), nil
}

// moved adds or subtracts by, which is not negative, and stops at the ends of 64 bits.
func moved(x, by int64, up bool) int64 {
	switch {
	case up && x > math.MaxInt64-by:
		return math.MaxInt64
	case up:
		return x + by
	case x < math.MinInt64+by:
		return math.MinInt64
	}
	return x - by
}

// rangeValue is an order key as a value of the limit's kind.
func rangeValue(v types.Value, kind types.Kind) types.Value {
	if v.Type.Kind == types.Date && kind == types.Timestamp {
		v.I = dateMicros(v.I)
	}
	v.Type = types.T(kind)
	return v
}

// dateMicros is the midnight at which a day begins; the days before and after all others stay infinite.
func dateMicros(days int64) int64 {
	const microsPerDay = 86_400_000_000
	switch {
	case days > math.MaxInt64/microsPerDay:
		return math.MaxInt64
	case days < math.MinInt64/microsPerDay:
		return math.MinInt64
	}
	return days * microsPerDay
}

// of is the frame of the current row, in order and without empty parts; valid until the next call.
func (f *rowFrame) of(p *partition) ([]span, error) {
	all, err := f.bounds(p)
	f.spans = f.spans[:0]
	if err != nil {
		return nil, err
	}
	peers := span{int(p.groups[p.g]), p.groupEnd(p.g)}
	switch f.spec.Exclude {
	case spec.ExcludeNone:
		f.add(all, span{all.lo, all.hi})
	case spec.ExcludeCurrent:
		f.add(all, span{all.lo, p.i})
		f.add(all, span{p.i + 1, all.hi})
	case spec.ExcludeGroup:
		f.add(all, span{all.lo, peers.lo})
		f.add(all, span{peers.hi, all.hi})
	case spec.ExcludeTies:
		f.add(all, span{all.lo, peers.lo})
		f.add(all, span{p.i, p.i + 1})
		f.add(all, span{peers.hi, all.hi})
	}
	return f.spans, nil
}

// add adds the part of s that lies in the frame.
func (f *rowFrame) add(all, s span) {
	s.lo, s.hi = max(s.lo, all.lo), min(s.hi, all.hi)
	if s.lo < s.hi {
		f.spans = append(f.spans, s)
	}
}
