package op

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// SharedWhole is the state of several groupings by windows that are not aligned, all of which were there before the first row: so
// none of them has anything of its own. It is an operator as each of them is, of the union of their aggregates and without HAVING. Of
// every row that comes out of it, and of every change, each member makes what it would have given.
type SharedWhole struct {
	spec    spec.WindowAgg // of the union
	ctx     *expr.Ctx
	calls   map[string]int // by text: the place in spec.Aggs
	users   []int          // of each of spec.Aggs; without any it is not computed, and its columns need not be there
	risks   []string
	numbers uint32
	members []*Member
	all     wholeAgg // nil until there are rows, or state
	left    []LeftRow
	union   *unionCalls
	in      Input        // what came out
	view    []*batch.Vec // scratch
}

// wholeAgg is an operator of windows that are not aligned.
type wholeAgg interface {
	Stateful
	Deadliner
	AheadCopier
	Grouper
	whole() *windowCalls
	// writeAll writes all that there is, as a snapshot does that is the first.
	writeAll(out StateWriter) error
	Groups() int
	Bytes() int64
}

var (
	_       SharedState = (*SharedWhole)(nil)
	_, _, _ wholeAgg    = (*SessionAgg)(nil), (*SlideAgg)(nil), (*CountAgg)(nil)
	_, _, _ Leaver      = (*SessionAgg)(nil), (*SlideAgg)(nil), (*CountAgg)(nil)
)

var errNotFromBirth = errors.New("the state that queries share has had rows before this one came")

func newSharedWhole(s *spec.WindowAgg, risks []string, ctx *expr.Ctx) *SharedWhole {
	w := &SharedWhole{spec: *s, ctx: ctx, risks: risks, calls: map[string]int{}, union: &unionCalls{}}
	w.spec.Aggs = nil
	return w
}

func (c *windowCalls) whole() *windowCalls { return c }

// Join implements SharedState.
func (s *SharedWhole) Join(m *Member) error {
	w, ok := m.Agg.(wholeAgg)
	if !ok {
		return fmt.Errorf("shared state: %s has none", m.Agg)
	}
	if s.all != nil {
		return errNotFromBirth
	}
	c := w.whole()
	c.sharedAt = make([]int, 0, c.shown)
	for i := range c.spec.Aggs {
		text := callText(&c.spec.Aggs[i])
		at, there := s.calls[text]
		if !there {
			at = len(s.spec.Aggs)
			s.calls[text] = at
			s.spec.Aggs, s.users = append(s.spec.Aggs, c.spec.Aggs[i]), append(s.users, 0)
		}
		s.users[at]++
		c.sharedAt = append(c.sharedAt, at)
	}
	s.numbers++
	m.whole, c.shared, m.number = w, s, s.numbers
	c.pairs.out = batch.New(c.schema, nil)
	m.emit = func() error { return c.passOn(s, m.Out) }
	s.members = append(s.members, m)
	return nil
}

// begin makes the operator of the union.
func (s *SharedWhole) begin() error {
	if s.all != nil {
		return nil
	}
	ts := types.T(types.TimestampTZ)
	schema := &types.Schema{Cols: []types.Column{{Name: "window_start", Type: ts}, {Name: "window_end", Type: ts}}}
	for _, k := range s.spec.Keys {
		schema.Cols = append(schema.Cols, types.Column{Type: k.Type()})
	}
	for i := range s.spec.Aggs {
		schema.Cols = append(schema.Cols, types.Column{Type: s.spec.Aggs[i].Kernel.Type()})
	}
	schema.Cols = append(schema.Cols, types.Column{Name: failureColumn, Type: types.T(types.Int8)})
	o, err := NewWindowed(&s.spec, schema)
	if err != nil {
		return err
	}
	all := o.(wholeAgg)
	c := all.whole()
	c.union, c.loading, c.sharing = s.union, s.union, s
	c.order = orderOf(s.risks, s.spec.Aggs, len(c.aggs))
	c.failed.take = func(row uint32, err error) { s.left = append(s.left, LeftRow{Row: row, err: err}) }
	if err := all.Open(s.ctx); err != nil {
		return err
	}
	s.all = all
	s.turnOff()
	return nil
}

// turnOff ends the computing of aggregates that nobody asks for any more.
func (s *SharedWhole) turnOff() {
	if s.all == nil {
		return
	}
	c := s.all.whole()
	for i, n := range s.users {
		c.aggs[i].off = n == 0
	}
}

// failureColumn is the name of the last column of what comes out of a union: where the errors are of a row's results.
const failureColumn = "failures"

// Give implements SharedState.
func (s *SharedWhole) Give(m *Member) error {
	c := m.whole.whole()
	c.watermark = max(c.watermark, s.watermark())
	if s.all == nil {
		return nil
	}
	var got givenSlices
	if err := s.all.writeAll(&got); err != nil {
		return err
	}
	c.loading = &unionCalls{}
	for i, at := range c.sharedAt {
		c.loading.put(at, i)
	}
	err := m.whole.Restore(&got, allKeys)
	c.loading = nil
	if j, ok := m.whole.(interface{ judgeShown() error }); ok && err == nil {
		err = j.judgeShown()
	}
	return err
}

func (s *SharedWhole) watermark() types.EventTime {
	if s.all == nil {
		return types.MinTime
	}
	return s.all.whole().watermark
}

// Leave implements SharedState.
func (s *SharedWhole) Leave(m *Member) {
	c := m.whole.whole()
	c.watermark = max(c.watermark, s.watermark())
	for _, at := range c.sharedAt {
		s.users[at]--
	}
	s.turnOff()
	c.shared, c.sharedAt = nil, nil
	s.members = without(s.members, m)
}

// Open implements SharedState.
func (s *SharedWhole) Open() bool { return s.all != nil && s.all.Groups() > 0 }

// Process implements SharedState.
func (s *SharedWhole) Process(in Input) error {
	if err := s.begin(); err != nil {
		return err
	}
	s.left = s.left[:0]
	s.union.failed = s.union.failed[:0]
	return s.all.Process(0, in, s)
}

// Left implements SharedState.
func (s *SharedWhole) Left() []LeftRow { return s.left }

// Advance implements SharedState.
func (s *SharedWhole) Advance(watermark types.EventTime) error {
	if s.all == nil {
		return nil
	}
	s.union.failed = s.union.failed[:0]
	return s.all.Advance(watermark, s)
}

// EndEpoch implements SharedState. The operator's time moves when something is due, as that of one alone does.
func (s *SharedWhole) EndEpoch(watermark types.EventTime) error {
	if s.Deadline() > watermark {
		return nil
	}
	return s.Advance(watermark)
}

// Deadline implements SharedState.
func (s *SharedWhole) Deadline() types.EventTime {
	if s.all == nil {
		return types.MaxTime
	}
	return s.all.Deadline()
}

// Emit implements Emitter: it has every member make its own of what comes out of the union.
func (s *SharedWhole) Emit(in Input) error {
	s.in = in
	for _, m := range s.members {
		m.Drive(m.emit)
	}
	s.in = Input{}
	return nil
}

// Snapshot implements SharedState.
func (s *SharedWhole) Snapshot(out StateWriter) error {
	if s.all == nil {
		return nil
	}
	return s.all.Snapshot(out)
}

// Record implements SharedState.
func (s *SharedWhole) Record(dst []byte, m *Member) []byte {
	return appendMember(dst, m, m.whole.whole().sharedAt, false)
}

// Restore implements SharedState.
func (s *SharedWhole) Restore(members []SavedMember, in StateReader, own func(hash uint64) bool) error {
	for i := range members {
		if m := members[i].Member; m.whole == nil {
			if err := s.Join(m); err != nil {
				return err
			}
		}
	}
	if err := s.begin(); err != nil {
		return err
	}
	s.union.begin()
	for i := range members {
		rest, err := s.union.member(members[i].whole.whole().sharedAt, members[i].Record)
		if err == nil && len(rest) > 0 {
			err = errRecord
		}
		if err != nil {
			return err
		}
	}
	return s.all.Restore(in, own)
}

// Changed implements SharedState.
func (s *SharedWhole) Changed() int {
	if s.all == nil {
		return 0
	}
	return s.all.Changed()
}

// CopyAhead implements SharedState.
func (s *SharedWhole) CopyAhead(out StateWriter, most int) (int, error) {
	if s.all == nil {
		return 0, nil
	}
	return s.all.CopyAhead(out, most)
}

// Bytes implements SharedState.
func (s *SharedWhole) Bytes() int64 {
	if s.all == nil {
		return 0
	}
	return s.all.Bytes()
}

// Close implements SharedState.
func (s *SharedWhole) Close() {
	if s.all != nil {
		_ = s.all.Close()
	}
}

// part is a member's part of a figure.
func (s *SharedWhole) part(of func(wholeAgg) int64) int64 {
	if s == nil || s.all == nil {
		return 0
	}
	return of(s.all) / int64(max(1, len(s.members)))
}

// spillableOf is how much of the state can leave memory.
func spillableOf(w wholeAgg) int64 {
	if s, ok := w.(Spiller); ok {
		return s.Spillable()
	}
	return 0
}

// groupsOf are the groups of a member's shared state, which are all of it.
func (s *SharedWhole) groupsOf() int {
	if s == nil || s.all == nil {
		return 0
	}
	return s.all.Groups()
}

// givenSlices are all blocks of shared state, on their way to a member.
type givenSlices struct {
	blockList
	slices []int64
}

// Block implements StateWriter.
func (g *givenSlices) Block(slice int64, data []byte) error {
	g.slices = append(g.slices, slice)
	return g.blockList.Block(slice, data)
}

// Blocks implements StateReader.
func (g *givenSlices) Blocks(fn func(slice int64, data []byte) error) error {
	for i, slice := range g.slices {
		if err := fn(slice, g.at(i)); err != nil {
			return err
		}
	}
	return nil
}

// failure is that the aggregate of a union at a place has an error for its result.
type failure struct {
	at  int
	err error
}

// unionResults appends the aggregates of rows, NULL for those that are errors, and a last column which tells where those are noted.
func (c *windowCalls) unionResults(b *batch.Batch, slab *agg.Slab, rows []outRow) error {
	c.bad = slices.Grow(c.bad[:0], len(rows))[:len(rows)]
	clear(c.bad)
	err := c.results(b, slab, rows, func(row, call int, err error) error {
		c.bad[row] = c.union.fail(c.bad[row], failure{call, err})
		return nil
	})
	col := &b.Cols[len(b.Cols)-1]
	for _, at := range c.bad {
		col.AppendInt(at)
	}
	return err
}

// fail notes a failure beside those of a list, 0 for none, and returns the list.
func (u *unionCalls) fail(list int64, f failure) int64 {
	if list == 0 {
		u.failed = append(u.failed, nil)
		list = int64(len(u.failed))
	}
	u.failed[list-1] = append(u.failed[list-1], f)
	return list
}

// failureOf is the first error of a member's aggregates in a row of a union.
func (c *windowCalls) failureOf(s *SharedWhole, b *batch.Batch, row uint32) error {
	list := b.Cols[len(b.Cols)-1].I64[row]
	if list == 0 {
		return nil
	}
	for _, at := range c.sharedAt {
		for _, f := range s.union.failed[list-1] {
			if f.at == at {
				return f.err
			}
		}
	}
	return nil
}

// TakeLeft implements Leaver.
func (c *windowCalls) TakeLeft(left []LeftRow) error {
	for i := range left {
		switch l := &left[i]; {
		case l.err == nil:
			c.lateRow(l.Row, int64(l.Closed))
		case c.ctx.RowError == nil:
			return l.err
		default:
			c.ctx.RowError(l.Row, l.err)
		}
	}
	return nil
}

// passOn emits what a member makes of what came out of the union.
func (c *windowCalls) passOn(s *SharedWhole, out Emitter) error {
	b, v := s.in.B, &c.viewed
	first := windowCols + len(c.keyType)
	v.Schema, v.N, v.Ops = c.schema, b.N, nil
	v.Cols = append(v.Cols[:0], b.Cols[:first]...)
	for _, at := range c.sharedAt {
		v.Cols = append(v.Cols, b.Cols[first+at])
	}
	pass, err := c.viewPasses(s, v)
	if err != nil || len(pass) == 0 {
		return err
	}
	if len(b.Ops) == 0 {
		return out.Emit(Input{B: v, Sel: pass})
	}
	for i := 0; i < len(s.in.Sel); i++ {
		row := s.in.Sel[i]
		before, after := -1, -1
		switch b.Op(int(row)) {
		case batch.Insert:
			after, pass = takeRow(pass, row)
		case batch.Delete:
			before, pass = takeRow(pass, row)
		default: // an update is two rows
			before, pass = takeRow(pass, row)
			i++
			after, pass = takeRow(pass, s.in.Sel[i])
		}
		if err := c.pairs.change(v, before, v, after, out); err != nil {
			return err
		}
	}
	return c.pairs.flush(out)
}

// takeRow takes a row from the front of list if it is there; -1: it is not.
func takeRow(list []uint32, row uint32) (int, []uint32) {
	if len(list) > 0 && list[0] == row {
		return int(row), list[1:]
	}
	return -1, list
}

// viewPasses are the rows of the view that have results and pass HAVING. Errors are told of rows as they are now; those as they were have
// told theirs before.
func (c *windowCalls) viewPasses(s *SharedWhole, v *batch.Batch) ([]uint32, error) {
	b := s.in.B
	c.passers, c.older = c.passers[:0], c.older[:0]
	for _, row := range s.in.Sel {
		old := len(b.Ops) > 0 && (b.Ops[row] == batch.Delete || b.Ops[row] == batch.UpdateBefore)
		err := c.failureOf(s, b, row)
		switch {
		case err == nil && old && c.having != nil:
			c.older = append(c.older, row)
		case err == nil:
			c.passers = append(c.passers, row)
		case old:
		case c.GroupError == nil:
			return nil, fmt.Errorf("window from %s: %w", types.NewTime(types.EventTime(b.Cols[0].I64[row])).Text(), err)
		default:
			c.GroupError(window.Window{Start: types.EventTime(b.Cols[0].I64[row]), End: types.EventTime(b.Cols[1].I64[row])}, err)
		}
	}
	if c.having == nil {
		return c.passers, nil
	}
	var err error
	if c.chose, err = c.passingAmong(v, c.passers, c.chose[:0]); err != nil || len(c.older) == 0 {
		return c.chose, err
	}
	told := c.GroupError
	if told != nil {
		c.GroupError = func(window.Window, error) {}
	}
	c.chose, err = c.passingAmong(v, c.older, c.chose)
	c.GroupError = told
	slices.Sort(c.chose)
	return c.chose, err
}
