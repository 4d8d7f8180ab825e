package task

import (
	"context"
	"errors"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Env is what a bounded program needs from the server. It is not changed by Run and may be shared by runs.
type Env struct {
	// Ctx is the template of the evaluation context: Run copies it and sets Subplans itself.
	Ctx expr.Ctx
	// Scan reads a StreamScan, ResultScan or VirtualScan node to its end. Batches have the node's schema, columns that the
	// node does not want may be absent; emit does not retain them. An error of emit ends the scan and is returned as it is.
	Scan func(ctx context.Context, n *spec.Node, emit func(*batch.Batch) error) error
	// MemoryMax bounds what the operators hold, in bytes; 0 means op.MemoryMaxDefault.
	MemoryMax int64
	// Profile counts what the operators do; nil: nobody asks.
	Profile *Profile
}

// Run executes a bounded program in the calling goroutine and gives its rows to emit, which must not retain them. When
// emit returns op.ErrDone the run ends early and without error. It looks at ctx between batches.
func Run(ctx context.Context, p *spec.Program, env *Env, emit func(op.Input) error) error {
	if env.Profile != nil && env.Profile.Program != nil {
		again := *env
		again.Profile = nil
		env = &again
	}
	r := &run{ctx: ctx, env: env, mem: op.NewMemory(env.MemoryMax)}
	r.subs.run = r
	r.mem.Stop = r.stopped
	if env.Profile != nil {
		env.Profile.begin(p)
		defer env.Profile.end(r.mem)
	}
	return r.program(p.Root, env.Ctx.OuterRows, emit)
}

// run is one execution of a program with all its subplans; they share the budget and what was read of virtual relations.
type run struct {
	ctx  context.Context
	env  *Env
	mem  *op.Memory
	subs subplans
	// depth is the nesting of subplans under execution.
	depth int
	// work and shared are the tables of WITH queries, by ID.
	work, shared map[int]*op.WorkTable
}

// program builds, runs and closes the tree under root.
func (r *run) program(root *spec.Node, outer [][]types.Value, emit func(op.Input) error) error {
	t, err := r.build(root)
	if err != nil {
		return err
	}
	return r.runTree(t, outer, emit)
}

// runTree opens a tree, runs it to its end and closes it; the tree can then be run again.
func (r *run) runTree(t *node, outer [][]types.Value, emit func(op.Input) error) (err error) {
	ec := r.env.Ctx
	ec.OuterRows = outer
	ec.Subplans = &r.subs
	t.out = edge{run: r, sink: emit, from: t.stats}
	defer func() {
		if cerr := t.close(); err == nil {
			err = cerr
		}
	}()
	if err := t.open(&ec); err != nil {
		return err
	}
	return t.run(r)
}

// node is an operator or a source of a bounded program with its inputs and the edge its rows leave by.
type node struct {
	op  op.Operator // nil for sources; wrapped by op.Check in builds with the tag "invariants"
	raw op.Operator // the operator itself
	src op.Source   // nil for operators
	in  []*node
	out edge
	// stats is where the run's profile counts the node; nil without one.
	stats *OpStats
}

// edge carries rows from a node to the input port of the next one, or out of the program.
type edge struct {
	to   *node
	port int
	sink func(op.Input) error
	run  *run
	// from and into are the statistics of the nodes at its ends; nil without a profile, into also at the top.
	from, into *OpStats
	// done: the consumer wants no more.
	done bool
}

// Emit implements op.Emitter.
func (e *edge) Emit(in op.Input) error {
	if e.done {
		return op.ErrDone
	}
	err := e.run.stopped()
	if err != nil {
		return err
	}
	switch {
	case e.from != nil:
		err = e.counted(in)
	case e.to == nil:
		err = e.sink(in)
	default:
		err = e.to.op.Process(e.port, in, &e.to.out)
	}
	if errors.Is(err, op.ErrDone) {
		e.done = true
	}
	return err
}

// open opens a tree, and makes its edges ready for rows again.
func (n *node) open(ctx *expr.Ctx) error {
	n.out.done = false
	if n.stats != nil {
		n.stats.Loops++
	}
	for _, in := range n.in {
		if err := in.open(ctx); err != nil {
			return err
		}
	}
	if n.src != nil {
		return n.src.Open(ctx)
	}
	return n.op.Open(ctx)
}

// close closes a tree, all of it even on errors; the first error is returned.
func (n *node) close() error {
	var err error
	if n.src != nil {
		err = n.src.Close()
	} else {
		err = n.op.Close()
	}
	for _, in := range n.in {
		if cerr := in.close(); err == nil {
			err = cerr
		}
	}
	return err
}

// run produces all rows of the tree under n, build sides first, and tells n the end of its input.
func (n *node) run(r *run) error {
	if err := r.stopped(); err != nil {
		return err
	}
	if n.src != nil {
		defer r.env.Profile.enter(n.stats)()
		return ignoreDone(n.src.Run(&n.out))
	}
	if s, ok := n.raw.(op.Sated); !ok || !s.Sated() {
		if err := n.runInputs(r); err != nil {
			return err
		}
	}
	defer r.env.Profile.enter(n.stats)()
	return ignoreDone(n.op.Advance(types.MaxTime, &n.out))
}

// runInputs runs the inputs of n until it wants no more.
func (n *node) runInputs(r *run) error {
	if b, ok := n.raw.(op.PortAdvancer); ok && len(n.in) == 2 {
		if err := n.in[1].run(r); err != nil {
			return err
		}
		leave := r.env.Profile.enter(n.stats)
		err := ignoreDone(b.AdvancePort(1, types.MaxTime, &n.out))
		if leave(); err != nil {
			return err
		}
		return n.in[0].run(r)
	}
	for _, in := range n.in {
		if n.out.done {
			return nil
		}
		if err := in.run(r); err != nil {
			return err
		}
	}
	return nil
}

// ignoreDone turns "enough" into success: whoever said it has marked its edge.
func ignoreDone(err error) error {
	if errors.Is(err, op.ErrDone) {
		return nil
	}
	return err
}

// stopped returns the error of a statement whose context ended, nil while it may go on.
func (r *run) stopped() error {
	switch err := r.ctx.Err(); {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to statement timeout")
	}
	return sqlerr.New(sqlerr.QueryCanceled, "canceling statement due to user request")
}
