package op_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// event is a row of the stream s (ts, k, c, x) that these tests read. An empty k is NULL.
type event struct {
	ts   int64
	k, c string
	x    int64
}

var eventSchema = types.Schema{Cols: []types.Column{
	{Name: "ts", Type: types.T(types.TimestampTZ), NotNull: true}, {Name: "k", Type: types.T(types.Text)},
	{Name: "c", Type: types.T(types.Text)}, {Name: "x", Type: types.T(types.Int8)},
}}

// planned is a continuous query over s, cut where the tests drive it: the projection below the exchange, and the keyed operator.
type planned struct {
	project *spec.Node
	keyed   *spec.Node
	keys    []expr.Expr
}

func planMatch(tb testing.TB, sql string) planned {
	tb.Helper()
	cat := catalog.New()
	_ = cat.Put(&catalog.Stream{Stream: spec.Stream{ID: 1, Name: "s", Schema: eventSchema}})
	stmts, err := parse.Parse("CREATE CONTINUOUS QUERY q AS " + sql)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	env := &planner.Env{Catalog: cat.Snapshot(), User: "ann", Database: "vigil", Schema: "public"}
	q, err := planner.Continuous(env, stmts[0].Stmt.(*parse.CreateQuery), 2)
	if err != nil {
		tb.Fatalf("%s: %v", sql, err)
	}
	n := q.Program.Root
	for len(n.In) == 1 {
		if x, ok := n.In[0].Op.(*spec.Exchange); ok {
			return planned{project: n.In[0].In[0], keyed: n, keys: x.Keys}
		}
		n = n.In[0]
	}
	tb.Fatalf("%s: no exchange", sql)
	return planned{}
}

// memState is a checkpoint in memory.
type memState struct{ blocks [][]byte }

func (s *memState) Block(_ int64, data []byte) error { s.blocks = append(s.blocks, data); return nil }
func (s *memState) Drop(int64) error                 { s.blocks = nil; return nil }
func (s *memState) Rewrite(int64) error              { s.blocks = nil; return nil }

type manyStates []*memState

func (m manyStates) Blocks(fn func(int64, []byte) error) error {
	for _, s := range m {
		for _, b := range s.blocks {
			if err := fn(0, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// driver runs a planned query with several workers.
type driver struct {
	tb      testing.TB
	p       planned
	workers int
	project *op.Project
	router  *op.Router
	ops     []op.Operator
	states  []*memState
	old     manyStates // of workers before the last restart
	delay   int64
	wm      types.EventTime
	late    int
	lines   []string
	parts   []op.Part
}

func newDriver(tb testing.TB, p planned, workers int, delay int64) *driver {
	d := &driver{tb: tb, p: p, workers: workers, delay: delay, wm: types.MinTime}
	var err error
	if d.project, err = op.NewProject(p.project.Op.(*spec.Project), &p.project.Schema); err != nil {
		tb.Fatal(err)
	}
	if d.router, err = op.NewRouter(&spec.Exchange{Keys: p.keys}); err != nil {
		tb.Fatal(err)
	}
	ctx := &expr.Ctx{}
	_ = d.project.Open(ctx)
	d.router.Open(ctx)
	d.start()
	return d
}

// start makes the operators, restored from the states there are.
func (d *driver) start() {
	d.ops, d.states, d.parts = nil, nil, make([]op.Part, d.workers)
	for i := range d.workers {
		o, err := op.NewMatch(d.p.keyed.Op.(*spec.Match), &d.p.keyed.In[0].Schema, &d.p.keyed.Schema)
		if err != nil {
			d.tb.Fatal(err)
		}
		c := op.Check(o)
		d.check(c.Open(&expr.Ctx{LateRow: func(uint32, types.EventTime) { d.late++ }}))
		if len(d.old) > 0 {
			own := func(h uint64) bool { return op.Owner(h, d.workers) == i }
			d.check(c.(op.Stateful).Restore(d.old, own))
		}
		d.ops = append(d.ops, c)
		d.states = append(d.states, &memState{})
	}
}

func (d *driver) check(err error) {
	d.tb.Helper()
	if err != nil {
		d.tb.Fatal(err)
	}
}

// Emit implements op.Emitter.
func (d *driver) Emit(in op.Input) error {
	for _, row := range in.Sel {
		var cells []string
		for i := range in.B.Cols {
			v := in.B.Cols[i].Value(int(row))
			switch {
			case v.Null:
				cells = append(cells, "-")
			case v.Type.Kind == types.TimestampTZ:
				cells = append(cells, fmt.Sprint(v.I))
			default:
				cells = append(cells, v.Text())
			}
		}
		d.lines = append(d.lines, strings.Join(cells, " "))
	}
	return nil
}

// feed sends rows as one batch; the watermark moves row by row.
func (d *driver) feed(events ...event) {
	b := batch.New(&eventSchema, nil)
	for i, e := range events {
		if types.EventTime(e.ts) < d.wm {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(i), Watermark: d.wm})
		}
		k := types.NewText(e.k)
		if e.k == "" {
			k = types.Null(types.T(types.Text))
		}
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(e.ts)), k, types.NewText(e.c), types.NewInt(types.Int8, e.x)})
		d.wm = max(d.wm, types.EventTime(e.ts-d.delay))
	}
	d.check(d.project.Process(0, op.Input{B: b, Sel: batch.All(b.N)}, emitFunc(func(in op.Input) error {
		if err := d.router.Route(in, d.parts); err != nil {
			return err
		}
		for i, o := range d.ops {
			if len(d.parts[i].Sel) == 0 {
				continue
			}
			if err := o.Process(0, d.parts[i].Input(in.B), d); err != nil {
				return err
			}
		}
		return nil
	})))
	d.advance(d.wm)
}

type emitFunc func(op.Input) error

func (f emitFunc) Emit(in op.Input) error { return f(in) }

// advance moves the watermark, as lazily as an engine may.
func (d *driver) advance(wm types.EventTime) {
	d.wm = max(d.wm, wm)
	for _, o := range d.ops {
		d.check(o.Advance(d.wm, d))
	}
}

func (d *driver) snapshot() {
	for i, o := range d.ops {
		d.check(o.(op.Stateful).Snapshot(d.states[i]))
	}
}

// restart snapshots and goes on with another number of workers.
func (d *driver) restart(workers int) {
	d.snapshot()
	d.old, d.workers = d.states, workers
	d.start()
	d.advance(d.wm)
}

// finish ends the input and returns the results, sorted.
func (d *driver) finish() []string {
	d.advance(types.MaxTime)
	slices.Sort(d.lines)
	return d.lines
}

// randomRun feeds events in random batches with snapshots and restarts in between.
func (d *driver) randomRun(r *rand.Rand, events []event) (restarts int) {
	for len(events) > 0 {
		n := min(1+r.IntN(5), len(events))
		d.feed(events[:n]...)
		events = events[n:]
		switch r.IntN(8) {
		case 0:
			d.snapshot()
		case 1:
			d.restart(1 + r.IntN(3))
			restarts++
		}
	}
	return restarts
}
