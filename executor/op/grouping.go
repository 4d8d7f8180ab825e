package op

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Grouper is a keyed grouping of a continuous program. What it is told, it is told before Open.
type Grouper interface {
	Stateful
	Deadliner
	LateCounter
	// Having makes the operator drop the groups for which a filter over its output is not true. Where results come row by
	// row (EMIT FIRST) it is part of the meaning, not a matter of speed: a filter that directly follows must be given here.
	Having(f *spec.Filter) error
	// Filtered reports whether Having was called.
	Filtered() bool
	// OnGroupError sets who takes an error in the result of one group, such as an overflow; the group's row is left out and
	// the others go on. Without, such an error ends the call.
	OnGroupError(fn func(w window.Window, err error))
}

// grouping is the part that all groupings share: compiled keys and aggregates, and the filter over the groups.
type grouping struct {
	keys exprList
	aggs []aggCall
	// having is over the output schema; nil: all groups pass. havingKeys: it reads more than the aggregates.
	having     *expr.Evaluator
	havingKeys bool
	havingText string
	inRange    havingRange // having, where it is one
	offs       []int       // of each aggregate's state in a group
	stride     int         // words of a group
	// sharedOffs is as offs, in the groups of a SharedState that this is a member of; sharedAt are the numbers of the aggregates there.
	sharedOffs, sharedAt []int
	// union is set where this is that of a SharedState; order is that in which it evaluates the aggregates, nil: as they stand.
	union   *unionCalls
	order   []int
	keyType []types.Type
	before  int // output columns before the keys
	ctx     *expr.Ctx
	mem     *arena.Part // of the state
	failed  rowFailures
	evalFn  func(*batch.Batch, []uint32) error // the method eval, bound once

	// Of the batch being processed:
	ownKeys bool // keys are computed here, not by an Exchange
	built   batch.Keys
	gids    []uint32
	places  []uint32
}

// aggCall is one aggregate with its compiled arguments.
type aggCall struct {
	kernel agg.Kernel
	args   exprList
	filter *expr.Evaluator // nil: all rows
	rows   []uint32        // those that passed the filter
	gids   []uint32        // their groups
	off    bool            // nobody asks for it any more: see SharedState
}

// init compiles keys and aggregates.
func (g *grouping) init(keys []expr.Expr, aggs []spec.AggCall, before int) (err error) {
	g.evalFn, g.before = g.eval, before
	if g.keys, err = newExprList(keys); err != nil {
		return err
	}
	for _, k := range keys {
		g.keyType = append(g.keyType, k.Type())
	}
	g.aggs, g.offs, g.stride, err = compileCalls(aggs)
	return err
}

// compileCalls compiles aggregates: offs are the places of their states in a group, which has stride words.
func compileCalls(calls []spec.AggCall) (aggs []aggCall, offs []int, stride int, err error) {
	kernels := make([]agg.Kernel, len(calls))
	aggs = make([]aggCall, len(calls))
	for i := range calls {
		kernels[i] = calls[i].Kernel
		if aggs[i], err = newAggCall(&calls[i]); err != nil {
			return nil, nil, 0, err
		}
	}
	offs, stride = agg.Layout(kernels)
	return aggs, offs, stride, nil
}

// readsBefore reports whether a condition reads one of the first n columns.
func readsBefore(cond expr.Expr, n int) (reads bool) {
	expr.Walk(cond, func(e expr.Expr) bool {
		c, ok := e.(*expr.Column)
		reads = reads || ok && c.Index < n
		return true
	})
	return reads
}

// Having implements Grouper.
func (g *grouping) Having(f *spec.Filter) error {
	ev, err := expr.Compile(f.Cond)
	if err != nil {
		return err
	}
	g.having, g.havingText = ev, " having: "+f.Cond.String()
	g.inRange = rangeOf(f.Cond, g.before+len(g.keyType), g.aggs)
	g.havingKeys = readsBefore(f.Cond, g.before+len(g.keyType))
	return nil
}

func newAggCall(s *spec.AggCall) (aggCall, error) {
	list := s.Args
	if agg.IsOrdered(s.Kernel) {
		list = slices.Clone(list)
		for _, o := range s.OrderBy {
			list = append(list, o.X)
		}
	} else if len(s.OrderBy) > 0 {
		return aggCall{}, sqlerr.NotSupported("ORDER BY within an aggregate of a continuous query", "Order the rows where they are read.")
	}
	args, err := newExprList(list)
	c := aggCall{kernel: s.Kernel, args: args}
	if err == nil && s.Filter != nil {
		c.filter, err = expr.Compile(s.Filter)
	}
	return c, err
}

// Filtered implements Grouper.
func (g *grouping) Filtered() bool { return g.having != nil }

// foldRows computes keys and arguments of rows (places: their indexes in the input's selection). It returns the rows that did
// not fail, and their keys with the places of those in it; valid until the next call.
func (g *grouping) foldRows(in Input, rows, places []uint32) (kept []uint32, keys state.Rows, at []uint32, err error) {
	kept, err = g.failed.run(g.ctx, in.B, rows, g.evalFn)
	if err != nil || len(kept) == 0 {
		return nil, keys, nil, err
	}
	if g.ownKeys {
		g.built.Build(g.keys.vecs, len(kept))
		return kept, stateRows(&g.built), batch.All(len(kept)), nil
	}
	if len(kept) != len(rows) {
		g.places = pick(g.places[:0], places, rows, kept)
		places = g.places
	}
	return kept, stateRows(in.Keys), places, nil
}

// takeKeys notes whether an input brings its keys along.
func (g *grouping) takeKeys(in *Input) error {
	if in.Keys != nil && len(in.Keys.Hash) != len(in.Sel) {
		return fmt.Errorf("grouping: %d keys for %d rows", len(in.Keys.Hash), len(in.Sel))
	}
	g.ownKeys = in.Keys == nil
	return nil
}

// stateRows passes keys on to the table, which does not know batches.
func stateRows(k *batch.Keys) state.Rows { return state.Rows{Buf: k.Buf, Off: k.Off, Hash: k.Hash} }

// eval computes keys and arguments for rows of a batch.
func (g *grouping) eval(b *batch.Batch, rows []uint32) error {
	if g.ownKeys {
		if err := g.keys.eval(g.ctx, b, rows); err != nil {
			return err
		}
	}
	for i := range g.aggs {
		a := &g.aggs[i]
		if g.order != nil {
			a = &g.aggs[g.order[i]]
		}
		if a.off {
			continue
		}
		of := rows
		if a.filter != nil {
			var err error
			if a.rows, err = a.filter.Filter(g.ctx, b, rows, a.rows[:0]); err != nil {
				return err
			}
			of = a.rows
		}
		if err := a.args.eval(g.ctx, b, of); err != nil {
			return err
		}
	}
	return nil
}

// update folds the rows, whose groups are gids, into an aggregate's states.
func (a *aggCall) update(ctx *expr.Ctx, s *agg.Slab, off int, rows, gids []uint32) error {
	if a.off {
		return nil
	}
	if a.filter != nil {
		a.gids = pick(a.gids[:0], gids, rows, a.rows)
		gids, rows = a.gids, a.rows
	}
	if len(gids) == 0 {
		return nil
	}
	if k, ok := a.kernel.(agg.RowFailer); ok && ctx.RowError != nil {
		return k.UpdateRows(s, off, gids, a.args.vecs, func(i int, err error) { ctx.RowError(rows[i], err) })
	}
	return a.kernel.Update(s, off, gids, a.args.vecs)
}

// checkMerges refuses users' aggregates that cannot put states together where that is needed.
func checkMerges(calls []spec.AggCall, where string) error {
	for i := range calls {
		if name, lacks := agg.NeedsMerge(calls[i].Kernel); lacks {
			return sqlerr.NotSupported("aggregate "+name+" over "+where+" without a function merge",
				"Add function merge(a, b), which returns the state of the rows of both, or use TUMBLE.")
		}
	}
	return nil
}

// within is the number of aggregates that groups of so many words have: the state of a SharedState may have got more since.
func (g *grouping) within(words int) int {
	if words >= g.stride {
		return len(g.aggs)
	}
	n, _ := slices.BinarySearch(g.offs, words)
	return n
}

// pick appends of[i] for each rows[i] that is in kept; both are ascending and kept is a part of rows.
func pick(dst, of, rows, kept []uint32) []uint32 {
	next := 0
	for _, row := range kept {
		for rows[next] != row {
			next++
		}
		dst = append(dst, of[next])
	}
	return dst
}

// groupingText is the part of the EXPLAIN line that all groupings have.
func groupingText(keys []expr.Expr, aggs []spec.AggCall) string {
	names := make([]string, len(aggs))
	for i := range aggs {
		names[i] = aggText(&aggs[i])
	}
	return fmt.Sprintf("keys: %s aggs: %s", exprText(keys), strings.Join(names, ", "))
}

func aggText(a *spec.AggCall) string {
	args := exprText(a.Args)
	switch {
	case len(a.Args) == 0:
		args = "*"
	case a.Distinct:
		args = "DISTINCT " + args
	}
	text := a.Name + "(" + args + ")"
	if a.Filter != nil {
		text += " FILTER (WHERE " + a.Filter.String() + ")"
	}
	return text
}
