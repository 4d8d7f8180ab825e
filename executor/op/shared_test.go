package op

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// sharedTwin is a grouping that is a member of shared state, or was one, and one alone that is given the same.
type sharedTwin struct {
	seed         uint64
	apart        bool // it is no member any more
	member       *Member
	own, alone   Grouper
	gave, wants  []string
	told, due    map[string]bool // errors in results, which an update may tell again
	store, other memState
	late         int
}

// sharedRun drives them.
type sharedRun struct {
	t         *testing.T
	rng       *rand.Rand
	spec      *spec.WindowAgg
	ctx       expr.Ctx
	state     SharedState
	twins     []*sharedTwin
	watermark types.EventTime
	now       int64
	shared    int // groups that members had without holding them
	given     int // groups that were given to members that left
	store     memState
	restored  int // groups that members had without holding them, after a restart
	failed    int // results that were errors
	// risks are what of the aggregates fails on some rows, none: nothing does; refused counts those rows.
	risks   []string
	refused int
}

// newSharedRun makes one without members, of windows that are aligned or not; its state lies in an arena, nil: on the heap.
func newSharedRun(t *testing.T, rng *rand.Rand, mem *arena.Arena, aligned bool) *sharedRun {
	r := &sharedRun{t: t, rng: rng, watermark: types.MinTime}
	r.ctx.State = mem
	r.spec = &spec.WindowAgg{Keys: []expr.Expr{trafficCol("user")}}
	if aligned {
		q := randomPaneQuery(rng)
		r.spec.Window = window.Spec{Kind: q.kind, Size: q.size, Slide: q.slide, Offset: q.offset}
		r.spec.Emit, r.spec.Lateness = spec.Emit{Mode: q.mode, Every: q.every}, q.lateness
	} else {
		r.unaligned()
	}
	if rng.IntN(3) == 0 {
		r.risks = []string{Risk(&spec.AggCall{Args: []expr.Expr{failing()}}), Risk(&spec.AggCall{Args: []expr.Expr{failingToo()}})}
	}
	r.newState()
	return r
}

// unaligned makes it one of windows that are not aligned.
func (r *sharedRun) unaligned() {
	r.spec.Window = window.Spec{Kind: window.Session, Size: 1 + r.rng.Int64N(12)}
	r.spec.Emit.Mode = []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate}[r.rng.IntN(2)]
	switch r.rng.IntN(3) {
	case 0:
		r.spec.Window.Kind, r.spec.Window.Size = window.Slide, 1+r.rng.Int64N(40)
	case 1:
		step := 1 + r.rng.Int64N(4)
		r.spec.Window = window.Spec{Kind: window.Count, Size: step * (1 + r.rng.Int64N(4)), Slide: step}
		return
	}
	r.spec.Lateness = r.rng.Int64N(30) * r.rng.Int64N(2)
}

// smallSum is a sum of n that has no room for many large ones.
func smallSum(t *testing.T) spec.AggCall {
	a := aggOf(t, "sum", trafficCol("n"))
	d, _ := agg.Find("sum")
	k, ok := d.Bind([]types.Type{types.T(types.Int4)}, false)
	if !ok {
		t.Fatal("sum(integer) is not known")
	}
	a.Kernel, a.Typ = k, k.Type()
	return a
}

// failingToo is an expression over n that fails where n is 0 or 1, and says something else than failing.
func failingToo() expr.Expr {
	def := &fn.Def{Name: "beyond", Args: []types.Type{types.T(types.Int8)}, Ret: types.T(types.Int8),
		Eval: func(_ *fn.Ctx, args []types.Value) (types.Value, error) {
			if n := args[0].I; n == 0 || n == 1 {
				return types.Value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "out of range")
			}
			return args[0], nil
		}}
	return &expr.Call{Def: def, Args: []expr.Expr{trafficCol("n")}, Typ: types.T(types.Int8)}
}

// risky puts aggregates that have the risks of the run, in their order, among those of a grouping.
func (r *sharedRun) risky(rng *rand.Rand, safe []spec.AggCall) (aggs []spec.AggCall) {
	for _, x := range []expr.Expr{failing(), failingToo(), failing(), failingToo()} {
		if n := rng.IntN(2); n <= len(safe) {
			aggs, safe = append(aggs, safe[:n]...), safe[n:]
		}
		call := aggOf(r.t, []string{"sum", "count", "max"}[rng.IntN(3)], x)
		if !slices.ContainsFunc(aggs, func(a spec.AggCall) bool { return callText(&a) == callText(&call) }) {
			aggs = append(aggs, call)
		}
	}
	return aggs
}

// build makes a grouping with some of the aggregates.
func (r *sharedRun) build(seed uint64) Grouper {
	rng := rand.New(rand.NewPCG(seed, 2))
	aggs := []spec.AggCall{aggOf(r.t, "count"), aggOf(r.t, "sum", trafficCol("n")), aggOf(r.t, "max", trafficCol("n")), distinctCount(r.t)}
	if _, whole := r.state.(*SharedWhole); whole {
		aggs[2] = smallSum(r.t)
	}
	rng.Shuffle(len(aggs), func(i, j int) { aggs[i], aggs[j] = aggs[j], aggs[i] })
	s := *r.spec
	if s.Aggs = aggs[:1+rng.IntN(3)]; r.risks != nil {
		s.Aggs = r.risky(rng, s.Aggs)
	}
	ts := types.T(types.TimestampTZ)
	schema := &types.Schema{}
	if s.Window.Kind != window.None {
		schema.Cols = append(schema.Cols, types.Column{Name: "window_start", Type: ts}, types.Column{Name: "window_end", Type: ts})
	}
	schema.Cols = append(schema.Cols, trafficSchema.Cols[1])
	results := len(schema.Cols)
	for _, a := range s.Aggs {
		schema.Cols = append(schema.Cols, types.Column{Name: a.Name, Type: a.Typ})
	}
	var o Operator
	var err error
	if s.Window.Kind == window.None {
		o, err = NewGroupAgg(&spec.GroupAgg{Keys: s.Keys, Aggs: s.Aggs, Emit: s.Emit, TimeCol: s.Window.TimeCol}, schema)
	} else {
		o, err = NewWindowed(&s, schema)
	}
	if err == nil && rng.IntN(3) > 0 && s.Aggs[0].Typ.Kind == types.Int8 {
		least := &expr.Const{Val: types.NewInt(types.Int8, rng.Int64N(3))}
		first := &expr.Column{Index: results, Name: "x", Typ: s.Aggs[0].Typ}
		err = o.(Grouper).Having(&spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: first, R: least}})
	}
	if err == nil {
		err = o.Open(&r.ctx)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return o.(Grouper)
}

func textsTo(list *[]string) Emitter {
	return emitFunc(func(in Input) error {
		for _, row := range in.Sel {
			text := fmt.Sprint(in.B.Op(int(row)))
			for _, v := range in.B.Row(nil, int(row)) {
				text += fmt.Sprint(" ", v.I, v.S)
			}
			*list = append(*list, text)
		}
		return nil
	})
}

// add makes a pair, at the end of an epoch, where one may come.
func (r *sharedRun) add() {
	if s, ok := r.state.(*SharedWhole); ok && s.all != nil || SharedFromBirth(r.spec) && (r.state.Open() || len(r.twins) > 9) {
		return
	}
	seed := r.rng.Uint64N(20)
	w := &sharedTwin{seed: seed, own: r.build(seed), alone: r.build(seed), told: map[string]bool{}, due: map[string]bool{}}
	for _, o := range []Operator{w.own, w.alone} {
		if o == w.alone || r.spec.Emit.Mode == spec.EmitEvery {
			r.must(o.Advance(r.watermark, nil))
		}
		if e, ok := o.(EpochEnder); ok {
			r.must(e.EndEpoch(nil))
		}
	}
	w.listen()
	w.member = r.memberOf(w)
	r.must(r.state.Join(w.member))
	r.twins = append(r.twins, w)
}

func (r *sharedRun) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// feed gives all of them the same rows.
func (r *sharedRun) feed() {
	b := batch.New(&trafficSchema, nil)
	for i := range 1 + r.rng.IntN(30) {
		r.now += r.rng.Int64N(3)
		if r.rng.IntN(60) == 0 {
			r.now += r.rng.Int64N(200)
		}
		at := types.EventTime(r.now - r.rng.Int64N(30)*r.rng.Int64N(2))
		user := string(rune('a' + r.rng.IntN(4)*(1+r.rng.IntN(5))))
		n := r.rng.Int64N(4) - 1
		if _, whole := r.state.(*SharedWhole); whole && r.rng.IntN(8) == 0 {
			n = math.MaxInt64
		}
		b.AppendRow([]types.Value{types.NewTime(at), types.NewText(user), types.NewInt(types.Int8, n)})
		if at < r.watermark {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: r.watermark})
		}
		r.watermark = max(r.watermark, types.EventTime(r.now-8))
	}
	late := 0
	var refused, want []string
	r.ctx.LateRow = func(uint32, types.EventTime) { late++ }
	r.ctx.RowError = func(row uint32, err error) { refused = append(refused, fmt.Sprint(row, err)) }
	r.must(r.state.Process(wholeInput(b)))
	if late > 0 || len(refused) > 0 {
		r.t.Fatal("shared state reports rows itself")
	}
	for _, w := range r.twins {
		late, refused = 0, nil
		if w.apart {
			r.must(w.own.Process(0, wholeInput(b), w.member.Out))
		} else {
			r.must(w.own.(Leaver).TakeLeft(r.state.Left()))
		}
		w.late, late = late, 0
		want, refused = refused, nil
		r.must(w.alone.Process(0, wholeInput(b), textsTo(&w.wants)))
		if !slices.Equal(want, refused) {
			r.t.Fatalf("%s: told of %v, alone of %v", w.own, want, refused)
		}
		r.refused += len(refused)
		if late != w.late {
			r.t.Fatalf("%s: %d rows were late, alone %d", w.own, w.late, late)
		}
	}
	r.advance(r.watermark)
}

func (r *sharedRun) advance(wm types.EventTime) {
	r.must(r.state.Advance(wm))
	if d := r.state.Deadline(); d <= wm && wm < types.MaxTime {
		r.t.Fatalf("at %d something is still due at %d", wm, d)
	}
	for _, w := range r.twins {
		if w.apart || w.own.(Deadliner).Deadline() <= wm { // else a member may be behind, as workers leave it
			r.must(w.own.Advance(wm, w.member.Out))
		}
		r.must(w.alone.Advance(wm, textsTo(&w.wants)))
	}
}

// reclaim has those that went on alone give memory back.
func (r *sharedRun) reclaim() {
	for _, w := range r.twins {
		if x, ok := w.own.(Reclaimer); ok && w.apart && r.rng.IntN(2) == 0 {
			x.Reclaim()
		}
	}
}

func (r *sharedRun) endEpoch() {
	r.must(r.state.EndEpoch(r.watermark))
	for _, w := range r.twins {
		if e, ok := w.own.(EpochEnder); ok {
			if r.spec.Emit.Mode == spec.EmitEvery {
				r.must(w.own.Advance(r.watermark, w.member.Out))
			}
			r.must(e.EndEpoch(w.member.Out))
			r.must(w.alone.(EpochEnder).EndEpoch(textsTo(&w.wants)))
		}
	}
	r.reclaim()
}

// snapshot takes checkpoints; of what is shared there is one.
func (r *sharedRun) snapshot() {
	r.must(r.state.Snapshot(&r.store))
	for _, w := range r.twins {
		r.must(w.own.Snapshot(&w.store))
		r.must(w.alone.Snapshot(&w.other))
		r.sameGroups(w)
	}
}

// copyAhead copies some of what has changed.
func (r *sharedRun) copyAhead() {
	_, err := r.state.CopyAhead(&r.store, 1+r.rng.IntN(20))
	r.must(err)
}

// restart goes on from checkpoints with new operators. Now and then a member does not come back.
func (r *sharedRun) restart() {
	r.snapshot()
	if r.rng.IntN(3) == 0 && len(r.twins) > 1 {
		r.twins = slices.Delete(r.twins, 0, 1)
	}
	var saved []SavedMember
	store := r.store
	old := r.state
	r.newState()
	for _, w := range r.twins {
		var record []byte
		if !w.apart {
			record = old.Record(nil, w.member)
		}
		w.own, w.alone = r.build(w.seed), r.build(w.seed)
		w.listen()
		r.must(w.own.Restore(&w.store, allKeys))
		r.must(w.alone.Restore(&w.other, allKeys))
		w.member = r.memberOf(w)
		w.store, w.other = memState{}, memState{}
		if !w.apart {
			saved = append(saved, SavedMember{w.member, record})
		}
	}
	r.must(r.state.Restore(saved, &store, allKeys))
	r.advance(r.watermark)
	for _, w := range r.twins {
		r.restored += w.sharedGroups()
	}
}

func (r *sharedRun) memberOf(w *sharedTwin) *Member {
	return &Member{Agg: w.own, Out: textsTo(&w.gave), Drive: func(do func() error) { r.must(do()) }}
}

// listen notes the errors in results.
func (w *sharedTwin) listen() {
	w.own.OnGroupError(func(win window.Window, err error) { w.told[fmt.Sprint(win, err)] = true })
	w.alone.OnGroupError(func(win window.Window, err error) { w.due[fmt.Sprint(win, err)] = true })
}

// newState makes the state without members.
func (r *sharedRun) newState() {
	var err error
	if r.state, err = NewSharedState(r.spec, r.risks, &r.ctx); err != nil {
		r.t.Fatal(err)
	}
	if p, ok := r.state.(*SharedPanes); ok {
		p.all.renumberMin = r.rng.IntN(4)
	}
	r.store = memState{}
}

func (r *sharedRun) check() {
	r.t.Helper()
	for _, w := range r.twins {
		if !slices.Equal(w.gave, w.wants) {
			at := 0
			for at < min(len(w.gave), len(w.wants)) && w.gave[at] == w.wants[at] {
				at++
			}
			r.t.Fatalf("%s gave\n%v, alone\n%v", w.own, w.gave[at:], w.wants[at:])
		}
		if !maps.Equal(w.told, w.due) {
			r.t.Fatalf("%s told of errors\n%v, alone\n%v", w.own, w.told, w.due)
		}
		r.failed += len(w.due)
		if r.spec.Window.Kind != window.Count { // they keep keys that are as if they had never been there until they are written
			r.sameGroups(w)
		}
		r.shared += w.sharedGroups()
	}
}

func (r *sharedRun) sameGroups(w *sharedTwin) {
	r.t.Helper()
	all := w.own.(interface{ Groups() int }).Groups()
	if alone := w.alone.(interface{ Groups() int }).Groups(); all != alone {
		r.t.Fatalf("%s has %d groups, alone %d", w.own, all, alone)
	}
}

func (w *sharedTwin) sharedGroups() int {
	switch o := w.own.(type) {
	case *WindowAgg:
		if o.shared != nil {
			return o.sharedGroups()
		}
	case *PaneAgg:
		if o.shared != nil {
			return o.sharedGroups()
		}
	case wholeAgg:
		return o.whole().shared.groupsOf()
	}
	return 0
}

// setApart has one of them go on alone.
func (r *sharedRun) setApart() {
	w := r.twins[r.rng.IntN(len(r.twins))]
	if w.apart {
		return
	}
	r.given += w.sharedGroups()
	r.must(r.state.Give(w.member))
	r.state.Leave(w.member)
	w.apart = true
}

// TestSharedState: groupings that share state give what they give alone, have as many groups and late rows, and go on the same from
// checkpoints, whenever they come and go; those that go take with them what they would have alone, and go on from there, also when they
// give memory back.
func TestSharedState(t *testing.T) {
	shared, given, restored, failed, refused := 0, 0, 0, 0, 0
	pool := arena.NewPool(t.TempDir(), 1<<40, nil)
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 31))
		var mem *arena.Arena
		if seed%4 == 0 {
			mem = pool.Arena()
		}
		r := newSharedRun(t, rng, mem, seed < 300)
		for SharedFromBirth(r.spec) && len(r.twins) < 4 {
			r.endEpoch()
			r.add()
		}
		for range 60 {
			switch rng.IntN(8) {
			case 0:
				r.endEpoch()
				r.add()
			case 1:
				r.endEpoch()
				if r.rng.IntN(3) == 0 {
					r.copyAhead()
					break
				}
				r.snapshot()
			case 2:
				if n := len(r.twins); n > 3 {
					at := rng.IntN(n)
					if !r.twins[at].apart {
						r.state.Leave(r.twins[at].member)
					}
					r.twins = slices.Delete(r.twins, at, at+1)
				}
			case 3:
				if len(r.twins) > 0 && rng.IntN(3) == 0 {
					r.setApart()
				}
			case 4:
				if rng.IntN(4) == 0 {
					r.endEpoch()
					r.restart()
				}
			default:
				r.feed()
			}
			r.check()
		}
		r.advance(types.MaxTime)
		r.endEpoch()
		r.check()
		given, restored, failed, refused = given+r.given, restored+r.restored, failed+r.failed, refused+r.refused
		if shared += r.shared; t.Failed() {
			t.Fatal("seed", seed)
		}
	}
	if shared < 10_000 {
		t.Errorf("only %d groups were shared", shared)
	}
	if restored < 5000 {
		t.Errorf("only %d groups were shared after a restart", restored)
	}
	if failed < 1000 {
		t.Errorf("only %d results were errors", failed)
	}
	if refused < 10_000 {
		t.Errorf("only %d rows were refused", refused)
	}
	if given < 1000 {
		t.Errorf("only %d groups were given to members that left", given)
	}
}
