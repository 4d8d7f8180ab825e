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

// temporalModel keeps everything for ever.
type temporalModel struct {
	s        *spec.TemporalJoin
	left     []*joinRow
	versions []*joinRow // matched marks a deletion
	out      []string
	late     int
	ended    int
}

func (m *temporalModel) emit(l, r *joinRow) { m.out = append(m.out, l.text(0)+" | "+r.text(1)) }

func (m *temporalModel) advance(w int64) {
	var due []*joinRow
	for _, l := range m.left {
		if !l.gone && l.time < w {
			due = append(due, l)
			l.gone = true
		}
	}
	key := func(x *joinRow) string {
		if x.key == "" {
			return "\x00"
		}
		return string(batch.AppendKeyValue(nil, types.NewText(x.key)))
	}
	slices.SortStableFunc(due, func(a, b *joinRow) int {
		if a.time != b.time {
			return int(a.time - b.time)
		}
		return strings.Compare(key(a), key(b))
	})
	for _, l := range due {
		var newest *joinRow
		for _, v := range m.versions {
			if v.key == l.key && l.key != "" && v.time <= l.time && (newest == nil || v.time >= newest.time) {
				newest = v
			}
		}
		switch {
		case newest != nil && newest.matched:
			m.ended++
			fallthrough
		case newest == nil, m.s.Cond != nil && l.v >= newest.v:
			if m.s.Kind == spec.Left {
				m.emit(l, nil)
			}
		default:
			m.emit(l, newest)
		}
	}
}

// TestTemporalJoinModel compares with the model after every batch.
func TestTemporalJoinModel(t *testing.T) {
	var met struct{ late, restarts, rows, ended, generations, copied int }
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 12))
		unit := []int64{1, 3_000_000}[rng.IntN(2)]
		s := &spec.TemporalJoin{Kind: []spec.JoinKind{spec.Inner, spec.Left}[seed%2], LeftKeys: []expr.Expr{joinCol(0, 1, 0)},
			RightKeys: []expr.Expr{joinCol(1, 0, 0)}, LeftTime: 0, RightTime: 1}
		if rng.IntN(3) == 0 {
			s.Cond = &expr.Compare{Op: expr.LT, L: joinCol(0, 3, 0), R: joinCol(1, 2, 5)}
		}
		name := fmt.Sprintf("seed %d: %s", seed, spec.Describe(&spec.Node{Op: s}))
		m := &temporalModel{s: s}
		r := &joinRun{t: t, keys: [2][]expr.Expr{s.LeftKeys, s.RightKeys}}
		r.make = func() Stateful {
			j, err := NewTemporalJoin(s, &joinSides[0], &joinSides[1])
			if err != nil {
				t.Fatal(err)
			}
			return j
		}
		r.ctx.LateRow = func(uint32, types.EventTime) { met.late++ }
		r.start(1 + rng.IntN(4))
		before := int64(-1 << 40)
		r.check = func(in Input) {
			for _, i := range in.Sel {
				if v := &in.B.Cols[0]; !v.IsNull(int(i)) && v.I64[i] < before {
					t.Fatalf("%s: row of %d after watermark %d", name, v.I64[i], before)
				}
			}
		}
		r.marks = [2]int64{-1 << 40, -1 << 40}
		delays := [2]int64{rng.Int64N(6) * unit, rng.Int64N(6) * unit}
		now, id := rng.Int64N(40)-200, 0
		for step := range 60 {
			port := rng.IntN(2)
			b := batch.New(&joinSides[port], nil)
			if port == 0 {
				b.Cols[2].Absent = true
			}
			for range 1 + rng.IntN(12) {
				now += rng.Int64N(3)
				x := &joinRow{time: (now-rng.Int64N(8))*unit + rng.Int64N(3)/2, v: rng.Int64N(5), id: id}
				id++
				if n := rng.IntN(6); n > 0 {
					x.key = strings.Repeat("k", n*9)
				}
				if port == 0 && rng.IntN(50) == 0 {
					x.time = noRowTime
				}
				late := x.time < min(r.marks[0], r.marks[1])
				ops := []batch.Op{batch.Insert}
				if port == 1 {
					ops = [][]batch.Op{{batch.Insert}, {batch.UpdateBefore, batch.UpdateAfter}, {batch.Delete}}[rng.IntN(3)]
				}
				for _, o := range ops {
					if x.time < r.marks[port] {
						b.Behind = append(b.Behind, batch.Behind{Row: uint32(b.N), Watermark: types.EventTime(r.marks[port])})
					}
					x.appendTo(b, port)
					if port == 1 {
						b.Ops = append(b.Ops, o)
					}
				}
				switch {
				case late && !(port == 1 && x.key == ""):
					m.late++
				case late:
				case port == 1:
					x.matched = ops[0] == batch.Delete
					m.versions = append(m.versions, x)
				case x.time == noRowTime:
					if s.Kind == spec.Left {
						m.emit(x, nil)
					}
				default:
					m.left = append(m.left, x)
				}
				if x.time != noRowTime {
					r.marks[port] = max(r.marks[port], x.time-delays[port])
				}
			}
			r.process(port, b)
			r.compare(name, step, m.out)
			w := min(r.marks[0], r.marks[1])
			m.advance(w)
			r.advance(w)
			before = w
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
				}
			}
		}
		m.advance(1 << 50)
		r.advance(int64(types.MaxTime))
		r.compare(name, -1, m.out)
		for _, o := range r.workers {
			j := o.(*checkedStateful).op.(*TemporalJoin)
			r.late += j.LateRows()
			met.generations = max(met.generations, int(j.versions.generation))
			if j.rows.rows != 0 || j.rows.index.Len() != 0 || j.Versions() > 5 {
				t.Fatalf("%s: %d rows, %d keys, %d versions left at the end", name, j.rows.rows, j.rows.index.Len(), j.Versions())
			}
		}
		met.copied += r.copied
		if int(r.late) != m.late {
			t.Fatalf("%s: %d late rows, want %d", name, r.late, m.late)
		}
		met.rows += len(m.out)
		met.ended += m.ended
	}
	if met.late < 100 || met.restarts < 100 || met.rows < 1000 || met.ended < 100 || met.generations < 3 || met.copied < 100 {
		t.Errorf("the test did not meet what it should: %+v", met)
	}
}

// TestVersionsRewrite: versions that change all the time do not pile up blocks or bytes for ever.
func TestVersionsRewrite(t *testing.T) {
	var v versionTable
	var store sliceStore
	rng := rand.New(rand.NewPCG(1, 5))
	for round := range 40 {
		for n := range 3000 {
			key := fmt.Appendf(nil, "key %d", n)
			if rng.IntN(4) == 0 {
				v.remove(key, batch.HashKey(key))
			} else if err := v.set(key, batch.HashKey(key), make([]byte, 20+rng.IntN(50)+round)); err != nil {
				t.Fatal(err)
			}
		}
		if err := v.snapshot(&store, 1); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for _, blocks := range store.blocks {
		for _, b := range blocks {
			total += len(b)
		}
	}
	if total > 3000*150*5 || len(v.data) > 3000*110*3 {
		t.Errorf("%d bytes in the checkpoint and %d in memory for 3,000 keys", total, len(v.data))
	}
}
