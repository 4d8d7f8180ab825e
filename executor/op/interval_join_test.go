package op

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

var joinSides = [2]types.Schema{
	{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "k", Type: types.T(types.Text)},
		{Name: "unread", Type: types.T(types.Text)}, {Name: "v", Type: types.T(types.Int8)}, {Name: "note", Type: types.T(types.Text)}}},
	{Cols: []types.Column{{Name: "k", Type: types.T(types.Text)}, {Name: "at", Type: types.T(types.TimestampTZ)},
		{Name: "v", Type: types.T(types.Int8)}, {Name: "ratio", Type: types.T(types.Float8)}}},
}

// joinRow is a row of the slow model; key "" is NULL.
type joinRow struct {
	time    int64
	key     string
	v       int64
	note    string // "" is NULL
	id      int
	matched bool
	gone    bool // came out
}

func (r *joinRow) appendTo(b *batch.Batch, side int) {
	key, note, noTime := types.NewText(r.key), types.NewText(r.note), types.Null(types.T(types.TimestampTZ))
	if r.key == "" {
		key = types.Null(types.T(types.Text))
	}
	if r.note == "" {
		note = types.Null(types.T(types.Text))
	}
	ts := types.NewTime(types.EventTime(r.time))
	if r.time == noRowTime {
		ts = noTime
	}
	if side == 0 {
		b.Cols[0].AppendValue(ts)
		b.Cols[1].AppendValue(key)
		b.Cols[3].AppendInt(r.v)
		b.Cols[4].AppendValue(note)
	} else {
		b.Cols[0].AppendValue(key)
		b.Cols[1].AppendValue(ts)
		b.Cols[2].AppendInt(r.v)
		b.Cols[3].AppendFloat(float64(r.id) / 2)
	}
	b.N++
}

// noRowTime marks a row whose time is NULL.
const noRowTime = int64(1) << 62

func (r *joinRow) text(side int) string {
	if r == nil {
		return "- - - -"
	}
	or := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	ts := fmt.Sprint(r.time)
	if r.time == noRowTime {
		ts = "-"
	}
	if side == 0 {
		return fmt.Sprintf("%s %s %d %s", ts, or(r.key), r.v, or(r.note))
	}
	return fmt.Sprintf("%s %s %d %g", or(r.key), ts, r.v, float64(r.id)/2)
}

// joinModel is an interval join that keeps everything for ever.
type joinModel struct {
	s    *spec.IntervalJoin
	rows [2][]*joinRow
	out  []string
	late int
}

func (m *joinModel) pairs(l, r *joinRow) bool {
	return l.key != "" && l.key == r.key && l.time != noRowTime && r.time != noRowTime &&
		r.time-l.time >= m.s.Lo && r.time-l.time <= m.s.Hi && (m.s.Cond == nil || l.v < r.v)
}

func (m *joinModel) keeps(side int) bool {
	switch m.s.Kind {
	case spec.Left, spec.Anti:
		return side == 0
	case spec.Right:
		return side == 1
	}
	return m.s.Kind == spec.Full
}

func (m *joinModel) emit(l, r *joinRow) {
	switch m.s.Kind {
	case spec.Semi, spec.Anti:
		m.out = append(m.out, l.text(0))
	default:
		m.out = append(m.out, l.text(0)+" | "+r.text(1))
	}
}

func (m *joinModel) alone(side int, x *joinRow) {
	x.gone = true
	if side == 0 {
		m.emit(x, nil)
	} else {
		m.emit(nil, x)
	}
}

func (m *joinModel) row(side int, x *joinRow, closed int64) {
	if x.time != noRowTime && x.time < closed-m.s.Lateness {
		m.late++
		return
	}
	if x.key == "" || x.time == noRowTime {
		if m.keeps(side) {
			m.alone(side, x)
		}
		return
	}
	for _, y := range m.rows[1-side] {
		l, r := x, y
		if side == 1 {
			l, r = y, x
		}
		if !m.pairs(l, r) || m.s.Kind == spec.Semi && l.matched {
			continue
		}
		l.matched, r.matched = true, true
		if m.s.Kind != spec.Anti {
			m.emit(l, r)
		}
	}
	m.rows[side] = append(m.rows[side], x)
}

func (m *joinModel) due(side int, x *joinRow) int64 {
	if side == 0 {
		return x.time + m.s.Hi
	}
	return x.time - m.s.Lo
}

// advance lets the rows come out that can find no partner any more.
func (m *joinModel) advance(w int64) {
	type one struct {
		side int
		x    *joinRow
	}
	var list []one
	for side := range m.rows {
		for _, x := range m.rows[side] {
			if m.keeps(side) && !x.matched && !x.gone && m.due(side, x) < w-m.s.Lateness {
				list = append(list, one{side, x})
			}
		}
	}
	key := func(x *joinRow) string { return string(batch.AppendKeyValue(nil, types.NewText(x.key))) }
	slices.SortStableFunc(list, func(a, b one) int {
		if d := m.due(a.side, a.x) - m.due(b.side, b.x); d != 0 {
			return int(d)
		}
		if c := strings.Compare(key(a.x), key(b.x)); c != 0 {
			return c
		}
		return a.x.id - b.x.id
	})
	for _, o := range list {
		m.alone(o.side, o.x)
	}
}

// sliceStore is a checkpoint: blocks by slice, in the order they were written.
type sliceStore struct {
	order   []int64
	blocks  map[int64][][]byte
	drops   int
	written int
}

func (s *sliceStore) Block(slice int64, data []byte) error {
	if s.blocks == nil {
		s.blocks = map[int64][][]byte{}
	}
	if _, ok := s.blocks[slice]; !ok {
		s.order = append(s.order, slice)
	}
	s.blocks[slice] = append(s.blocks[slice], data)
	s.written++
	return nil
}

func (s *sliceStore) Drop(slice int64) error {
	s.drops++
	delete(s.blocks, slice)
	s.order = slices.DeleteFunc(s.order, func(x int64) bool { return x == slice })
	return nil
}

func (s *sliceStore) Rewrite(slice int64) error { return s.Drop(slice) }

func (s *sliceStore) Blocks(fn func(int64, []byte) error) error {
	for _, slice := range s.order {
		for _, b := range s.blocks[slice] {
			if err := fn(slice, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// joinRun drives an operator with two inputs in several workers next to its model.
type joinRun struct {
	t       *testing.T
	make    func() Stateful
	keys    [2][]expr.Expr
	workers []Stateful
	routers [2]*Router
	store   cutStore
	fresh   bool                        // since a restart there has been no snapshot
	ahead   [][]func(StateWriter) error // by worker: what was copied ahead of the next one
	copied  int
	ctx     expr.Ctx
	late    int64
	out     []string
	// compared is how many rows of out have been compared.
	compared int
	// check sees each output batch.
	check func(in Input)
	marks [2]int64 // watermark per stream
}

func (r *joinRun) start(n int) {
	r.workers = nil
	for range n {
		o := check(r.make(), true).(Stateful)
		if err := o.Open(&r.ctx); err != nil {
			r.t.Fatal(err)
		}
		r.workers = append(r.workers, o)
	}
	for side := range 2 {
		var err error
		if r.routers[side], err = NewRouter(&spec.Exchange{Keys: r.keys[side]}); err != nil {
			r.t.Fatal(err)
		}
		r.routers[side].Open(&r.ctx)
	}
}

// restart makes new workers from the checkpoint.
func (r *joinRun) restart(n int) {
	for _, o := range r.workers {
		r.late += o.(LateCounter).LateRows()
	}
	r.start(n)
	r.fresh, r.ahead = true, nil
	for i, o := range r.workers {
		if err := o.Restore(&r.store, func(h uint64) bool { return Owner(h, n) == i }); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *joinRun) snapshot() {
	if r.fresh { // as in a job, which forgets all that earlier workers wrote
		r.store.blocks, r.fresh = nil, false
	}
	for i, o := range r.workers {
		if i < len(r.ahead) {
			for _, write := range r.ahead[i] {
				if err := write(cutWriter{&r.store, i}); err != nil {
					r.t.Fatal(err)
				}
			}
		}
		if err := o.Snapshot(cutWriter{&r.store, i}); err != nil {
			r.t.Fatal(err)
		}
	}
	r.ahead = nil
}

// laterWriter keeps what is written ahead of a snapshot.
type laterWriter struct{ list *[]func(StateWriter) error }

func (w laterWriter) Block(slice int64, data []byte) error {
	*w.list = append(*w.list, func(out StateWriter) error { return out.Block(slice, data) })
	return nil
}

func (w laterWriter) Drop(slice int64) error {
	*w.list = append(*w.list, func(out StateWriter) error { return out.Drop(slice) })
	return nil
}

func (w laterWriter) Rewrite(slice int64) error {
	*w.list = append(*w.list, func(out StateWriter) error { return out.Rewrite(slice) })
	return nil
}

// copyAhead copies a few rows of each worker ahead of the next snapshot.
func (r *joinRun) copyAhead(most int) {
	if r.ahead == nil {
		r.ahead = make([][]func(StateWriter) error, len(r.workers))
	}
	for i, o := range r.workers {
		a := o.(AheadCopier)
		n, err := a.CopyAhead(laterWriter{&r.ahead[i]}, most)
		if err != nil {
			r.t.Fatal(err)
		}
		r.copied += n
	}
}

func (r *joinRun) process(port int, b *batch.Batch) {
	parts := make([]Part, len(r.workers))
	in := Input{B: b, Sel: batch.All(b.N)}
	if err := r.routers[port].Route(in, parts); err != nil {
		r.t.Fatal(err)
	}
	for i, o := range r.workers {
		if len(parts[i].Sel) == 0 {
			continue
		}
		p := parts[i].Input(b)
		p.Several, p.Others = true, types.EventTime(r.marks[1-port])
		if len(r.workers) == 1 && b.N%2 == 0 {
			p.Keys = nil // the operator computes them itself
		}
		if err := o.Process(port, p, r.emitter()); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *joinRun) advance(w int64) {
	for _, o := range r.workers {
		if d := o.(*checkedStateful).op.(Deadliner); d.Deadline() <= types.EventTime(w) {
			if err := o.Advance(types.EventTime(w), r.emitter()); err != nil {
				r.t.Fatal(err)
			}
			if d.Deadline() <= types.EventTime(w) && types.EventTime(w) != types.MaxTime {
				r.t.Fatalf("deadline %d after Advance(%d)", d.Deadline(), w)
			}
		}
	}
}

func (r *joinRun) emitter() Emitter {
	return emitFunc(func(in Input) error {
		if r.check != nil {
			r.check(in)
		}
		for _, i := range in.Sel {
			var parts []string
			for c := range in.B.Cols {
				v := &in.B.Cols[c]
				if c == 5 {
					parts = append(parts, "|")
				}
				switch {
				case v.Absent || v.IsNull(int(i)) && in.B.Schema.Cols[c].Name == "unread":
				case v.IsNull(int(i)):
					parts = append(parts, "-")
				case v.Type.Kind == types.TimestampTZ:
					parts = append(parts, fmt.Sprint(v.I64[i]))
				default:
					parts = append(parts, v.Value(int(i)).Text())
				}
			}
			r.out = append(r.out, strings.Join(parts, " "))
		}
		return nil
	})
}

func joinCol(side, i int, shift int) expr.Expr {
	c := joinSides[side].Cols[i]
	return &expr.Column{Index: i + shift, Name: c.Name, Typ: c.Type}
}

func joinSpec(kind spec.JoinKind, lo, hi, lateness int64, cond bool) *spec.IntervalJoin {
	s := &spec.IntervalJoin{Kind: kind, LeftKeys: []expr.Expr{joinCol(0, 1, 0)}, RightKeys: []expr.Expr{joinCol(1, 0, 0)},
		LeftTime: 0, RightTime: 1, Lo: lo, Hi: hi, Lateness: lateness}
	if cond {
		s.Cond = &expr.Compare{Op: expr.LT, L: joinCol(0, 3, 0), R: joinCol(1, 2, 5)}
	}
	return s
}

var testKinds = []spec.JoinKind{spec.Inner, spec.Left, spec.Right, spec.Full, spec.Semi, spec.Anti}

// TestIntervalJoinModel compares with the model after every batch: what came out, in which order when there is one worker,
// and that nothing is older than OutDelay promises.
func TestIntervalJoinModel(t *testing.T) {
	var met struct{ late, restarts, matches, alone, nulls, dropped, overNull, copied int }
	for seed := range uint64(240) {
		rng := rand.New(rand.NewPCG(seed, 11))
		unit := []int64{1, 300_000, 700_000}[rng.IntN(3)]
		lo := rng.Int64N(21) - 10
		hi := lo + rng.Int64N(12)
		s := joinSpec(testKinds[seed%6], lo*unit+rng.Int64N(3)-1, hi*unit+1, rng.Int64N(3)*rng.Int64N(5)*unit, rng.IntN(3) == 0)
		if rng.IntN(5) == 0 {
			s.Lo, s.Hi = 0, 0
		}
		name := fmt.Sprintf("seed %d: %s lateness %d", seed, spec.Describe(&spec.Node{Op: s}), s.Lateness)
		m := &joinModel{s: s}
		r := &joinRun{t: t, keys: [2][]expr.Expr{s.LeftKeys, s.RightKeys}}
		r.make = func() Stateful {
			j, err := NewIntervalJoin(s, &joinSides[0], &joinSides[1])
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		r.ctx.LateRow = func(uint32, types.EventTime) { met.late++ }
		r.start(1 + rng.IntN(4))
		delay := r.workers[0].(*checkedStateful).op.(Delayer).OutDelay()
		before := int64(-1 << 40)
		r.check = func(in Input) {
			for _, c := range []int{0, 6} {
				if c >= len(in.B.Cols) {
					continue
				}
				for _, i := range in.Sel {
					if v := &in.B.Cols[c]; !v.IsNull(int(i)) && v.I64[i] < before-delay {
						t.Fatalf("%s: row of %d after watermark %d with a delay of %d", name, v.I64[i], before, delay)
					}
				}
			}
		}
		r.marks = [2]int64{-1 << 40, -1 << 40}
		delays := [2]int64{rng.Int64N(6) * unit, rng.Int64N(6) * unit}
		now, id, matched := rng.Int64N(40)-200, 0, 0
		keys := 1 + rng.IntN(6)
		for step := range 60 {
			port := rng.IntN(2)
			b := batch.New(&joinSides[port], nil)
			if port == 0 {
				b.Cols[2].Absent = true
			}
			for range 1 + rng.IntN(12) {
				now += rng.Int64N(3)
				x := &joinRow{time: (now-rng.Int64N(12))*unit + rng.Int64N(3)/2, v: rng.Int64N(5), id: id}
				id++
				if n := rng.IntN(keys + 1); n > 0 {
					x.key = strings.Repeat("k", n*9)
				}
				if rng.IntN(3) > 0 {
					x.note = fmt.Sprint("n", id)
				}
				if rng.IntN(40) == 0 {
					x.time = noRowTime
				}
				closed := min(r.marks[0], r.marks[1])
				if x.time < r.marks[port] {
					b.Behind = append(b.Behind, batch.Behind{Row: uint32(b.N), Watermark: types.EventTime(r.marks[port])})
				} else if x.time != noRowTime {
					closed = min(closed, x.time) // not behind: on time
				}
				x.appendTo(b, port)
				if x.key == "" {
					met.nulls++
				}
				m.row(port, x, closed)
				if x.time != noRowTime {
					r.marks[port] = max(r.marks[port], x.time-delays[port])
				}
			}
			r.process(port, b)
			w := min(r.marks[0], r.marks[1])
			r.compare(name, step, m.out)
			m.advance(w)
			r.advance(w)
			before = w
			matched = len(m.out)
			r.compare(name, step, m.out)
			if rng.IntN(3) == 0 {
				r.copyAhead(1 + rng.IntN(20))
			}
			if rng.IntN(5) == 0 {
				r.snapshot()
				if rng.IntN(2) == 0 {
					r.restart(1 + rng.IntN(4))
					met.restarts++
					r.advance(w)
					r.compare(name, step, m.out)
				}
			}
		}
		met.matches += matched
		m.advance(1 << 50)
		r.advance(int64(types.MaxTime))
		r.compare(name, -1, m.out)
		met.alone += len(m.out) - matched
		met.dropped += r.store.drops
		for _, o := range r.workers {
			j := o.(*checkedStateful).op.(*IntervalJoin)
			r.late += j.LateRows()
			if j.Keys() != 0 || j.rows.rows != 0 || len(j.rows.buckets) != 0 {
				t.Fatalf("%s: %d keys, %d rows, %d buckets left at the end", name, j.Keys(), j.rows.rows, len(j.rows.buckets))
			}
		}
		met.copied += r.copied
		if int(r.late) != m.late {
			t.Fatalf("%s: %d late rows, want %d", name, r.late, m.late)
		}
	}
	if met.late < 100 || met.restarts < 100 || met.matches < 1000 || met.alone < 100 || met.nulls < 100 || met.dropped < 100 || met.copied < 1000 {
		t.Errorf("the test did not meet what it should: %+v", met)
	}
}

// compare looks at what came out since the last comparison; order counts with one worker.
func (r *joinRun) compare(name string, step int, want []string) {
	r.t.Helper()
	if len(r.out) < r.compared || len(want) < r.compared {
		r.t.Fatalf("%s: rows went away", name)
	}
	got, want := slices.Clone(r.out[r.compared:]), slices.Clone(want[r.compared:])
	r.compared = len(r.out)
	if len(r.workers) > 1 {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				r.t.Fatalf("%s, step %d, %d workers: %d rows, want %d; at %d:\ngot  %v\nwant %v", name, step, len(r.workers), len(got), len(want),
					i, got[i:min(i+3, len(got))], want[i:min(i+3, len(want))])
			}
		}
	}
}

// TestAntiJoinKeepsOrder: rows due at the same time come out by key, also when a row among them was answered and its key is gone, and
// its number has been given to another.
func TestAntiJoinKeepsOrder(t *testing.T) {
	s := joinSpec(spec.Anti, 3, 10, 0, false)
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 13))
		j, err := NewIntervalJoin(s, &joinSides[0], &joinSides[1])
		if err != nil {
			t.Fatal(err)
		}
		r := &joinRun{t: t, keys: [2][]expr.Expr{s.LeftKeys, s.RightKeys}, make: func() Stateful { return j }}
		r.start(1)
		r.marks = [2]int64{-1000, -1000}
		feed := func(port int, time int64, keys ...string) {
			b := batch.New(&joinSides[port], nil)
			if port == 0 {
				b.Cols[2].Absent = true
			}
			for _, k := range keys {
				(&joinRow{time: time, key: k}).appendTo(b, port)
			}
			r.process(port, b)
		}
		keys := strings.Fields("a b c d e f g h i j k l m")
		rng.Shuffle(len(keys), func(a, b int) { keys[a], keys[b] = keys[b], keys[a] })
		feed(0, -5, "0")
		feed(0, 2, keys...)
		r.advance(8) // the first one comes out; the others of its bucket are queued
		feed(1, 9, keys[0], keys[1])
		feed(0, 9, "y", "z")
		r.advance(13)
		var got []string
		for _, row := range r.out {
			got = append(got, strings.Fields(row)[1])
		}
		if len(got) != len(keys)-1 || !slices.IsSorted(got) {
			t.Fatalf("seed %d: the order is %s", seed, got)
		}
	}
}
