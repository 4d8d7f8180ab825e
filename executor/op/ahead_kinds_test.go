package op_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// aheadKinds are queries over the streams s, r and l (ts, k, c, x), of which l allows late rows, that hold state of each kind. W stands for a time, long or short.
var aheadKinds = map[string]string{
	"tumble":         "SELECT k, count(*) AS n, sum(x) AS x FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds')",
	"tumble update":  "SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds') EMIT ON UPDATE",
	"tumble first":   "SELECT k, count(*) AS n FROM s GROUP BY k, TUMBLE(ts, INTERVAL 'W seconds') HAVING count(*) > 2 EMIT FIRST",
	"hop":            "SELECT k, count(*) AS n, max(x) AS x FROM s GROUP BY k, HOP(ts, INTERVAL '3 seconds', INTERVAL 'W seconds')",
	"hop late":       "SELECT k, count(*) AS n FROM l GROUP BY k, HOP(ts, INTERVAL '3 seconds', INTERVAL 'W seconds')",
	"hop first":      "SELECT k, count(*) AS n FROM s GROUP BY k, HOP(ts, INTERVAL '3 seconds', INTERVAL 'W seconds') HAVING sum(x) > 9 EMIT FIRST",
	"cumulate every": "SELECT k, count(*) AS n FROM s GROUP BY k, CUMULATE(ts, INTERVAL '3 seconds', INTERVAL 'W seconds') EMIT EVERY INTERVAL '5 seconds'",
	"group":          "SELECT k, count(*) AS n, sum(x) AS x FROM s GROUP BY k",
	"group every":    "SELECT k, count(*) AS n FROM s GROUP BY k EMIT EVERY INTERVAL '7 seconds'",
	"session":        "SELECT k, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL 'W seconds')",
	"session most":   "SELECT k, count(*) AS n FROM s GROUP BY k, SESSION(ts, INTERVAL '3 seconds', max INTERVAL 'W seconds')",
	"slide":          "SELECT k, count(*) AS n FROM s GROUP BY k, SLIDE(ts, INTERVAL 'W seconds')",
	"slide first":    "SELECT k, count(*) AS n FROM s GROUP BY k, SLIDE(ts, INTERVAL 'W seconds') HAVING count(*) > 3 EMIT FIRST",
	"count window":   "SELECT k, count(*) AS n, sum(x) AS x FROM s GROUP BY k, COUNT_WINDOW(6, 4)",
	"first seen":     "SELECT ts, k, x FROM s WHERE FIRST_SEEN(k, INTERVAL 'W seconds')",
	"suppress":       "SELECT ts, k, x FROM s SUPPRESS FOR INTERVAL 'W seconds' BY (k)",
	"over rows":      "SELECT ts, k, x, sum(x) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 3 PRECEDING AND CURRENT ROW) AS n FROM s",
	"over range":     "SELECT ts, k, x, count(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL 'W seconds' PRECEDING AND CURRENT ROW) AS n FROM s",
	"over start":     "SELECT ts, k, x, sum(x) OVER (PARTITION BY k ORDER BY ts) AS n, first_value(x) OVER (PARTITION BY k ORDER BY ts) AS f FROM s",
	"match":          "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES count(a.*) AS n, LAST(ts) AS e PATTERN (a b* d) WITHIN INTERVAL 'W seconds' DEFINE a AS c = 'a', b AS c = 'b', d AS c = 'd') m",
	"match long":     "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES count(b.*) AS n, LAST(ts) AS e PATTERN (a b* d) WITHIN INTERVAL 'W seconds' DEFINE a AS x > 0, d AS c = 'd' AND x = 4) m",
	"sequence":       "SEQUENCE BY k WITHIN INTERVAL 'W seconds' [s WHERE c = 'a'] [s WHERE c = 'b'] ![s WHERE c = 'd']",
	"join":           "SELECT s.k, s.x, r.x AS y FROM s LEFT JOIN r ON s.k = r.k AND r.ts BETWEEN s.ts - INTERVAL 'W seconds' AND s.ts + INTERVAL 'W seconds'",
	"temporal join":  "SELECT s.k, s.x, r.x AS y FROM s LEFT JOIN r FOR SYSTEM_TIME AS OF s.ts AS r ON r.k = s.k",
}

// aheadTree is a query whose operators a test drives, with the store of their checkpoints.
type aheadTree struct {
	t      testing.TB
	tree   *task.Tree
	chains []*task.Chain
	stores []*aheadStore
	lines  []string
	deaf   bool // it does not keep what comes out
}

// aheadStore is a checkpoint of an operator: what was copied ahead counts with the next snapshot.
type aheadStore struct {
	slices map[int64][][]byte
	ahead  []func()
	// bytes were written by the last snapshot itself, aheadBytes ahead of the next one.
	bytes, aheadBytes int
	rewrites          int
}

func (s *aheadStore) Blocks(fn func(int64, []byte) error) error {
	for _, slice := range slices.Sorted(maps.Keys(s.slices)) {
		for _, b := range s.slices[slice] {
			if err := fn(slice, slices.Clone(b)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *aheadStore) Block(slice int64, data []byte) error {
	s.bytes += len(data)
	s.slices[slice] = append(s.slices[slice], data)
	return nil
}

func (s *aheadStore) Drop(slice int64) error {
	delete(s.slices, slice)
	return nil
}

func (s *aheadStore) Rewrite(slice int64) error {
	s.rewrites++
	return s.Drop(slice)
}

func (s *aheadStore) clone() *aheadStore {
	c := &aheadStore{slices: map[int64][][]byte{}, rewrites: s.rewrites}
	for slice, list := range s.slices {
		c.slices[slice] = slices.Clone(list)
	}
	return c
}

// aheadLater keeps what is copied ahead.
type aheadLater struct{ s *aheadStore }

func (l aheadLater) Block(slice int64, data []byte) error {
	l.s.aheadBytes += len(data)
	l.s.ahead = append(l.s.ahead, func() { _ = l.s.Block(slice, data) })
	return nil
}

func (l aheadLater) Drop(slice int64) error {
	l.s.ahead = append(l.s.ahead, func() { _ = l.s.Drop(slice) })
	return nil
}

func (l aheadLater) Rewrite(slice int64) error {
	l.s.ahead = append(l.s.ahead, func() { _ = l.s.Rewrite(slice) })
	return nil
}

func aheadParts(t testing.TB, sql string) *task.Parts {
	t.Helper()
	cat := catalog.New()
	for i, name := range []string{"s", "r", "l"} {
		lateness := int64(i / 2 * 6_000_000)
		_ = cat.Put(&catalog.Stream{Stream: spec.Stream{ID: uint64(i + 1), Name: name, Schema: eventSchema, AllowedLateness: lateness}})
	}
	stmts, err := parse.Parse("CREATE CONTINUOUS QUERY q AS " + sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	env := &planner.Env{Catalog: cat.Snapshot(), User: "ann", Database: "vigil", Schema: "public"}
	q, err := planner.Continuous(env, stmts[0].Stmt.(*parse.CreateQuery), 2)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	if len(q.Stages) > 0 {
		t.Fatalf("%s is cut into stages", sql)
	}
	parts, err := task.Cut(q.Program)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// newAheadTree makes the operators, restored from stores where there are some.
func newAheadTree(t testing.TB, parts *task.Parts, stores []*aheadStore) *aheadTree {
	return newAheadTreeIn(t, parts, stores, nil)
}

// newAheadTreeIn has the operators' state in an arena; nil: on the heap.
func newAheadTreeIn(t testing.TB, parts *task.Parts, stores []*aheadStore, state *arena.Arena) *aheadTree {
	a := &aheadTree{t: t, stores: stores}
	ctx := &expr.Ctx{State: state, LateRow: func(uint32, types.EventTime) {}}
	var err error
	if a.tree, err = task.NewTree(ctx, parts, a); err != nil {
		t.Fatal(err)
	}
	for i := range parts.Inputs {
		sink := emitFunc(func(in op.Input) error { return a.tree.Process(i, in) })
		c, err := task.NewChain(ctx, parts.Inputs[i].Front, sink)
		if err != nil {
			t.Fatal(err)
		}
		a.chains = append(a.chains, c)
	}
	for i, o := range a.tree.Ops() {
		if stores == nil {
			a.stores = append(a.stores, &aheadStore{slices: map[int64][][]byte{}})
			continue
		}
		if o, ok := o.(op.Stateful); ok {
			if err := o.Restore(stores[i], func(uint64) bool { return true }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if stores != nil {
		for i, s := range a.stores { // the engine forgets what was there with the next snapshot
			a.stores[i] = &aheadStore{slices: map[int64][][]byte{}, rewrites: s.rewrites}
		}
	}
	return a
}

// Emit implements op.Emitter.
func (a *aheadTree) Emit(in op.Input) error {
	if a.deaf {
		return nil
	}
	for _, row := range in.Sel {
		var cells []string
		if len(in.B.Ops) > 0 {
			cells = append(cells, fmt.Sprint(in.B.Ops[row]))
		}
		for i := range in.B.Cols {
			if in.B.Cols[i].Absent {
				continue
			}
			cells = append(cells, in.B.Cols[i].Value(int(row)).Text())
		}
		a.lines = append(a.lines, strings.Join(cells, " "))
	}
	return nil
}

// aheadStep is an epoch: rows of both streams, and the watermark at its end.
type aheadStep struct {
	rows [2][]event
	wm   types.EventTime
}

// epoch passes rows in and ends the epoch. Rows of both streams come as if time had stood still until its end.
func (a *aheadTree) epoch(st aheadStep) {
	a.t.Helper()
	for i, c := range a.chains {
		b := batch.New(&eventSchema, nil)
		for _, e := range st.rows[i] {
			b.AppendRow([]types.Value{types.NewTime(types.EventTime(e.ts)), types.NewText(e.k), types.NewText(e.c), types.NewInt(types.Int8, e.x)})
		}
		if b.N == 0 {
			continue
		}
		if err := c.Process(op.Input{B: b, Sel: batch.All(b.N)}); err != nil {
			a.t.Fatal(err)
		}
	}
	if err := a.tree.EndEpoch(st.wm); err != nil {
		a.t.Fatal(err)
	}
}

// changed is what the operators have not copied.
func (a *aheadTree) changed() int {
	n := 0
	for _, o := range a.tree.Ops() {
		if o, ok := o.(op.AheadCopier); ok {
			n += o.Changed()
		}
	}
	return n
}

func (a *aheadTree) copyAhead(most int) int {
	a.t.Helper()
	all := 0
	for i, o := range a.tree.Ops() {
		if o, ok := o.(op.AheadCopier); ok {
			n, err := o.CopyAhead(aheadLater{a.stores[i]}, most)
			if err != nil {
				a.t.Fatal(err)
			}
			all += n
		}
	}
	return all
}

// snapshot returns how many bytes it wrote beside what had been copied.
func (a *aheadTree) snapshot() int {
	a.t.Helper()
	bytes := 0
	for i, o := range a.tree.Ops() {
		s := a.stores[i]
		for _, write := range s.ahead {
			write()
		}
		s.ahead, s.bytes, s.aheadBytes = nil, 0, 0
		if o, ok := o.(op.Stateful); ok {
			if err := o.Snapshot(s); err != nil {
				a.t.Fatal(err)
			}
		}
		bytes += s.bytes
	}
	return bytes
}

// TestAheadKinds: there is a query for each operator with state, and its changes can be copied ahead.
func TestAheadKinds(t *testing.T) {
	want := statefulTypes(t)
	for name, sql := range aheadKinds {
		a := newAheadTree(t, aheadParts(t, strings.ReplaceAll(sql, "W sec", "9 sec")), nil)
		for _, o := range a.tree.Raw() {
			if _, ok := o.(op.Stateful); !ok {
				continue
			}
			if _, ok := o.(op.AheadCopier); !ok {
				t.Errorf("%s: changes of %T cannot be copied ahead of a checkpoint", name, o)
			}
			delete(want, fmt.Sprintf("%T", o))
		}
	}
	for name := range want {
		t.Errorf("no query is tried that has state in a %s", name)
	}
}

// statefulTypes are the types of the package that can be snapshotted, but those that wrap others.
func statefulTypes(t *testing.T) map[string]bool {
	pkgs, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, f := range pkgs["op"].Files {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Snapshot" {
				continue
			}
			arg, ok := fn.Type.Params.List[0].Type.(*ast.Ident)
			star, _ := fn.Recv.List[0].Type.(*ast.StarExpr)
			name := star.X.(*ast.Ident).Name
			if ok && arg.Name == "StateWriter" && name != "checkedStateful" && !strings.HasPrefix(name, "Shared") { // TestSharedState
				found["*op."+name] = true
			}
		}
	}
	if len(found) < 10 {
		t.Fatalf("only %d types are found", len(found))
	}
	return found
}

// aheadRows are random rows of an epoch that begins at now.
func aheadRows(rng *rand.Rand, now int64, keys, n int) (st aheadStep) {
	for range n {
		side := rng.IntN(2)
		st.rows[side] = append(st.rows[side], event{ts: now + rng.Int64N(4_000_000), k: fmt.Sprint("key ", rng.IntN(keys)), c: string("abd"[rng.IntN(3)]), x: rng.Int64N(5)})
	}
	return st
}

// TestCopyAheadOfKinds: whatever is copied ahead of snapshots, while rows come and time moves, operators that are restored from what
// was written go on as those that were never interrupted.
func TestCopyAheadOfKinds(t *testing.T) {
	for name, sql := range aheadKinds {
		t.Run(name, func(t *testing.T) { copyAheadOfKind(t, name, sql) })
	}
}

func copyAheadOfKind(t *testing.T, name, sql string) {
	var copied, restarts, rewrites int
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 3))
		within, keys, rows, move := "9", 1+rng.IntN(400), 250, int64(3_000_000)
		if seed%2 == 1 { // it stays, and is written so often that it is written anew
			within, keys, rows, move = "60", 200, 500, 50_000
		}
		parts := aheadParts(t, strings.ReplaceAll(sql, "W sec", within+" sec"))
		sure, a := newAheadTree(t, parts, nil), newAheadTree(t, parts, nil)
		saved, savedLines, replay := cloneAll(a.stores), 0, []aheadStep(nil)
		now := int64(0)
		for range 80 {
			st := aheadRows(rng, now, keys, rng.IntN(rows))
			if rng.IntN(3) > 0 {
				now += rng.Int64N(move)
			}
			st.wm = types.EventTime(now)
			sure.epoch(st)
			a.epoch(st)
			replay = append(replay, st)
			for range rng.IntN(3) {
				copied += a.copyAhead(1 + rng.IntN(300))
			}
			switch rng.IntN(4) {
			case 0, 1:
				a.snapshot()
				if n := a.changed(); n > 40_000 {
					t.Fatalf("%s: %d are left after a snapshot", name, n)
				}
				saved, savedLines, replay = cloneAll(a.stores), len(a.lines), nil
			case 2: // what was copied ahead of a snapshot that never came does not count
				if rng.IntN(5) > 0 {
					continue
				}
				lines := a.lines[:savedLines]
				a = newAheadTree(t, parts, cloneAll(saved))
				a.lines = slices.Clone(lines)
				for _, st := range replay {
					a.epoch(st)
				}
				restarts++
			}
		}
		for _, s := range a.stores {
			rewrites += s.rewrites
		}
		sure.epoch(aheadStep{wm: types.MaxTime})
		a.epoch(aheadStep{wm: types.MaxTime})
		want, got := slices.Sorted(slices.Values(sure.lines)), slices.Sorted(slices.Values(a.lines))
		if !slices.Equal(got, want) {
			t.Fatalf("%s, seed %d: %d rows, want %d, or others", name, seed, len(got), len(want))
		}
		if len(want) == 0 {
			t.Fatalf("%s, seed %d: nothing comes out", name, seed)
		}
	}
	if copied < 2000 || restarts < 5 || rewrites == 0 {
		t.Errorf("%s: %d copied, %d restarts, %d rewrites", name, copied, restarts, rewrites)
	}
}

func cloneAll(stores []*aheadStore) []*aheadStore {
	out := make([]*aheadStore, len(stores))
	for i, s := range stores {
		out[i] = s.clone()
	}
	return out
}

// cutAnewMost is op's: state with more entries is not written anew by a snapshot.
const cutAnewMost = 8 << 10

// TestCutIsSmall: with most that has changed copied ahead, a snapshot writes what is left and has changed since, however much state
// there is; also where most of what blocks hold counts no more, and after a restore.
func TestCutIsSmall(t *testing.T) {
	const keys, piece, entryBytes, headBytes = cutAnewMost + 4000, 500, 300, 4096
	for name, sql := range aheadKinds {
		rng := rand.New(rand.NewPCG(4, 4))
		parts := aheadParts(t, strings.ReplaceAll(sql, "W sec", "90 sec"))
		a := newAheadTree(t, parts, nil)
		a.deaf = true
		now := int64(5_000_000)
		epoch := func(n int) {
			st := aheadStep{wm: types.EventTime(now - 4_000_000)}
			for i := range 2 * n {
				key := rng.IntN(keys)
				if n > keys/2 {
					key = i / 2
				}
				st.rows[i%2] = append(st.rows[i%2], event{ts: now, k: fmt.Sprintf("key %06d", key), c: "a", x: 1})
			}
			a.epoch(st)
		}
		copyMost := func() {
			for tries := 0; a.changed() > piece; tries++ {
				if a.copyAhead(2*piece) == 0 || tries > 10_000 {
					t.Fatalf("%s: %d are left and cannot be copied", name, a.changed())
				}
			}
		}
		cut := func() {
			if n := a.snapshot(); n > 2*piece*entryBytes+headBytes {
				t.Fatalf("%s: a snapshot with %d entries left writes %d bytes", name, piece, n)
			}
		}
		few := func(times int) {
			for range times {
				copyMost()
				epoch(piece / 2) // after all was counted
				cut()
				now += 1000
			}
		}
		for range 2 {
			epoch(keys)
			copyMost()
			cut()
			now += 1000
		}
		few(30) // until most entries count no more
		now += 5_000_000
		epoch(0) // time moves past what came
		few(20)
		a = newAheadTree(t, parts, cloneAll(a.stores))
		a.deaf = true
		few(3)
	}
}
