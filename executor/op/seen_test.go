package op

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func newFirstSeen(t testing.TB, span int64) *FirstSeen {
	t.Helper()
	schema := visitSchema
	schema.Cols = append(schema.Cols[:len(schema.Cols):len(schema.Cols)], types.Column{Name: "first_seen", Type: types.T(types.Bool)})
	f, err := NewFirstSeen(&spec.FirstSeen{Keys: []expr.Expr{visitCol("who")}, Span: span}, &schema)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// firstSeenModel answers by looking at all rows before.
func firstSeenModel(visits []visit, span int64) (out []string, again, behind int) {
	for i, v := range visits {
		first := v.t+span > int64(v.closed)
		if !first {
			behind++
		}
		from := max(v.t, int64(v.closed)) - span
		before := false
		for _, o := range visits[:i] {
			if o.key == v.key && o.t+span > int64(o.closed) {
				before = true
				first = first && o.t <= from
			}
		}
		if first && before {
			again++
		}
		text := "f"
		if first {
			text = "t"
		}
		out = append(out, rowOf(v.values)+" "+text)
	}
	return out, again, behind
}

// TestFirstSeen compares with a model that keeps everything, whatever the batches, workers and restarts are.
func TestFirstSeen(t *testing.T) {
	again, behind, restarted, drops := 0, 0, 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		span := []int64{1, 2, 7, 30, 100}[rng.IntN(5)]
		delay := 1 + rng.Int64N(20)
		visits := visitsOf(rng, 200, 5, delay)
		want, n, late := firstSeenModel(visits, span)
		k := &keyedRun{t: t, rng: rng, keys: []expr.Expr{visitCol("who")}, workers: 1 + rng.IntN(3), restarts: seed%3 > 0,
			make: func() Operator { return newFirstSeen(t, span) }}
		k.feed(visits, delay)
		sameRows(t, fmt.Sprintf("seed %d span %d", seed, span), k.out, want)
		again, behind, restarted, drops = again+n, behind+late, restarted+k.restarted, drops+k.store.drops
		for i := range k.ops {
			if n := k.raw(i).(*FirstSeen).seen.size(); n != 0 {
				t.Fatalf("%d keys are left at the end", n)
			}
		}
	}
	if again == 0 || behind == 0 || restarted == 0 || drops == 0 {
		t.Errorf("%d keys came back, %d rows were a span behind, %d restarts, %d dropped slices: some case was not met", again, behind, restarted, drops)
	}
}

func newSuppress(t testing.TB, span int64) *Suppress {
	t.Helper()
	s, err := NewSuppress(&spec.Suppress{Keys: []expr.Expr{visitCol("who")}, For: span})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSuppress compares with a model that keeps everything that passed.
func TestSuppress(t *testing.T) {
	before, late, restarted := 0, 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 2))
		span := []int64{1, 2, 7, 30, 100}[rng.IntN(5)]
		delay := 1 + rng.Int64N(20)
		visits := visitsOf(rng, 200, 5, delay)
		var want, wantLate []string
		var passed []visit
		for _, v := range visits {
			if v.t+span <= int64(v.closed) {
				wantLate = append(wantLate, rowOf(v.values))
				continue
			}
			pass := true
			for _, o := range passed {
				if o.key == v.key && o.t < v.t+span && o.t > max(v.t, int64(v.closed))-span {
					pass = false
				}
			}
			if pass {
				for _, o := range passed {
					if o.key == v.key && o.t > v.t {
						before++
					}
				}
				passed = append(passed, v)
				want = append(want, rowOf(v.values))
			}
		}
		k := &keyedRun{t: t, rng: rng, keys: []expr.Expr{visitCol("who")}, workers: 1 + rng.IntN(3), restarts: seed%3 > 0,
			make: func() Operator { return newSuppress(t, span) }}
		k.feed(visits, delay)
		sameRows(t, fmt.Sprintf("seed %d for %d", seed, span), k.out, want)
		sameRows(t, fmt.Sprintf("seed %d late", seed), k.late, wantLate)
		late, restarted = late+len(wantLate), restarted+k.restarted
	}
	if before == 0 || late == 0 || restarted == 0 {
		t.Errorf("%d rows passed before one that had passed, %d late, %d restarts: some case was not met", before, late, restarted)
	}
}

// TestSuppressAll: without keys there is one interval for all rows.
func TestSuppressAll(t *testing.T) {
	s, err := NewSuppress(&spec.Suppress{For: 10})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(&expr.Ctx{}); err != nil {
		t.Fatal(err)
	}
	var got []string
	b := traffic([3]any{1, "a", 1}, [3]any{10, "b", 2}, [3]any{11, "b", 3}, [3]any{-9, "c", 4}, [3]any{-8, "d", 5})
	if err := s.Process(0, wholeInput(b), rowsTo(&got)); err != nil {
		t.Fatal(err)
	}
	wantRows(t, got, "1 0 1", "11 0 3", "-9 0 4")
}

// TestSightingsRestoreRefuses: damaged blocks are errors, never panics.
func TestSightingsRestoreRefuses(t *testing.T) {
	b := visitsOf(rand.New(rand.NewPCG(1, 1)), 20, 2, 5)
	var store memState
	f := newFirstSeen(t, 1000)
	_ = f.Open(&expr.Ctx{})
	for _, v := range b {
		_ = f.Process(0, wholeInput(visitBatch(v)), emitFunc(func(Input) error { return nil }))
	}
	if err := f.Snapshot(&store); err != nil || len(store.blocks) == 0 {
		t.Fatal(err)
	}
	good, start := store.blocks[0], store.starts[0]
	try := func(start int64, block []byte) error {
		g := newFirstSeen(t, 1000)
		_ = g.Open(&expr.Ctx{})
		return g.Restore(&memState{starts: []int64{start}, blocks: [][]byte{block}}, ownAll)
	}
	if err := try(start, good); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"start": try(start+1, good), "empty": try(start, nil), "version": try(start, append([]byte{9}, good[1:]...)),
		"cut": try(start, good[:len(good)-1]), "time": try(start, []byte{1, 1, 0, 0xff, 0xff, 3}), "key": try(start, []byte{1, 1, 7, 0}),
		"long": try(start, []byte{1, 2, 0, 0, 0}),
	} {
		if sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
			t.Errorf("%s: got %v", name, err)
		}
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for range 3000 {
		bad := append([]byte(nil), good...)
		for range 1 + rng.IntN(3) {
			bad[rng.IntN(len(bad))] = byte(rng.Uint32())
		}
		_ = try(start, bad[:len(bad)-rng.IntN(3)])
	}
}
