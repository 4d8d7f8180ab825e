package op

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
)

// windowCalls is what the operators of windows that are not aligned (sessions, sliding and count windows) share: keys,
// aggregates and HAVING, evaluated over batches, and rows of the output made of states.
type windowCalls struct {
	// GroupError, when set, takes an error in the result of one group, such as an overflow; the group's row is left out and the
	// others go on. When nil, such an error ends the call.
	GroupError func(w window.Window, err error)

	spec       *spec.WindowAgg
	schema     *types.Schema
	keys       exprList
	aggs       []aggCall
	shown      int   // so many of aggs are part of the output
	offs       []int // of each aggregate's state in a group
	stride     int   // words of a group
	keyType    []types.Type
	having     *expr.Evaluator // over the output schema; nil: all groups pass
	havingText string
	havingKeys bool        // having reads more than aggregates
	inRange    havingRange // having, where it is one
	ctx        *expr.Ctx

	failed  rowFailures
	evalFn  func(*batch.Batch, []uint32) error // the method eval, bound once
	ownKeys bool                               // keys are computed here, not by an Exchange
	built   batch.Keys
	places  []uint32

	// watermark is the largest value given to Advance.
	watermark types.EventTime
	late      int64

	// shared is the SharedWhole that this is a member of, sharedAt the places of its aggregates there. sharing: this is the operator of one,
	// and union notes what is the union's. loading is set while states of one are loaded.
	shared, sharing *SharedWhole
	sharedAt        []int
	union, loading  *unionCalls
	order           []int // in which a union evaluates the aggregates; nil: as they stand
	bad             []int64
	// What a member makes of what comes out of the union:
	viewed         batch.Batch
	pairs          changeWriter
	older, passers []uint32
	chose          []uint32

	moved agg.Slab // one group: a state on its way within a slab
	good  []outRow
	cells []uint32
	entry []byte
	vecs  []*batch.Vec
}

// outRow names a row of the output: a group's state, its key, and the window.
type outRow struct {
	gid, key   uint32
	start, end int64
	// tag is the caller's.
	tag uint32
	// timeless: the bounds of the window are NULL.
	timeless bool
}

// init compiles the keys and aggregates of a plan, and more aggregates that are not part of the output.
func (c *windowCalls) init(s *spec.WindowAgg, schema *types.Schema, hidden ...spec.AggCall) error {
	want := windowCols + len(s.Keys) + len(s.Aggs)
	if len(schema.Cols) == want+1 && schema.Cols[want].Name == failureColumn {
		want++
	}
	if len(schema.Cols) != want {
		return fmt.Errorf("window aggregate: output schema has %d columns, want %d", len(schema.Cols), want)
	}
	if s.Lateness < 0 {
		return fmt.Errorf("window aggregate: allowed lateness of %d", s.Lateness)
	}
	c.spec, c.schema, c.watermark = s, schema, types.MinTime
	c.evalFn = c.eval
	var err error
	if c.keys, err = newExprList(s.Keys); err != nil {
		return err
	}
	for _, k := range s.Keys {
		c.keyType = append(c.keyType, k.Type())
	}
	calls := append(slices.Clip(s.Aggs), hidden...)
	c.shown = len(s.Aggs)
	c.aggs, c.offs, c.stride, err = compileCalls(calls)
	return err
}

// Having makes the operator drop the rows of its output for which a filter is not true. Call it before Open.
func (c *windowCalls) Having(f *spec.Filter) error {
	ev, err := expr.Compile(f.Cond)
	if err != nil {
		return err
	}
	c.having, c.havingText = ev, " having: "+f.Cond.String()
	c.inRange = rangeOf(f.Cond, windowCols+len(c.keyType), c.aggs[:c.shown])
	c.havingKeys = readsBefore(f.Cond, windowCols+len(c.keyType))
	return nil
}

// Filtered reports whether Having was set.
func (c *windowCalls) Filtered() bool { return c.having != nil }

// OnGroupError sets GroupError.
func (c *windowCalls) OnGroupError(fn func(w window.Window, err error)) { c.GroupError = fn }

// Open implements Operator.
func (c *windowCalls) Open(ctx *expr.Ctx) error {
	c.ctx = ctx
	return nil
}

// LateRows implements LateCounter.
func (c *windowCalls) LateRows() int64 { return c.late }

// lateRow counts and reports a row that came too late.
func (c *windowCalls) lateRow(row uint32, closed int64) {
	if c.sharing != nil {
		c.sharing.left = append(c.sharing.left, LeftRow{Row: row, Closed: types.EventTime(closed)})
		return
	}
	c.late++
	if c.ctx.LateRow != nil {
		c.ctx.LateRow(row, types.EventTime(closed))
	}
}

// text is the EXPLAIN line.
func (c *windowCalls) text(name, win string) string {
	names := make([]string, len(c.spec.Aggs))
	for i := range c.spec.Aggs {
		names[i] = aggText(&c.spec.Aggs[i])
	}
	return fmt.Sprintf("%s %s keys: %s aggs: %s%s", name, win, exprText(c.spec.Keys), strings.Join(names, ", "), c.havingText)
}

func micros(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// prepare evaluates keys and arguments, and returns the rows for which that did not fail, with their keys.
func (c *windowCalls) prepare(in Input) (rows []uint32, keys state.Rows, places []uint32, err error) {
	if in.Keys != nil && len(in.Keys.Hash) != len(in.Sel) {
		return nil, keys, nil, fmt.Errorf("window aggregate: %d keys for %d rows", len(in.Keys.Hash), len(in.Sel))
	}
	c.ownKeys = in.Keys == nil
	rows, err = c.failed.run(c.ctx, in.B, in.Sel, c.evalFn)
	if err != nil || len(rows) == 0 {
		return nil, keys, nil, err
	}
	if c.ownKeys {
		c.built.Build(c.keys.vecs, len(rows))
		return rows, stateRows(&c.built), batch.All(len(rows)), nil
	}
	places = batch.All(len(in.Sel))
	if len(rows) != len(in.Sel) {
		c.places = pick(c.places[:0], places, in.Sel, rows)
		places = c.places
	}
	return rows, stateRows(in.Keys), places, nil
}

func (c *windowCalls) eval(b *batch.Batch, rows []uint32) error {
	if c.ownKeys {
		if err := c.keys.eval(c.ctx, b, rows); err != nil {
			return err
		}
	}
	return c.evalArgs(b, rows)
}

// evalArgs computes the arguments of all aggregates for rows of a batch.
func (c *windowCalls) evalArgs(b *batch.Batch, rows []uint32) error {
	for i := range c.aggs {
		a := &c.aggs[i]
		if c.order != nil {
			a = &c.aggs[c.order[i]]
		}
		if a.off {
			continue
		}
		of := rows
		if a.filter != nil {
			var err error
			if a.rows, err = a.filter.Filter(c.ctx, b, rows, a.rows[:0]); err != nil {
				return err
			}
			of = a.rows
		}
		if err := a.args.eval(c.ctx, b, of); err != nil {
			return err
		}
	}
	return nil
}

// update folds rows, whose arguments were evaluated last, into the groups gids.
func (c *windowCalls) update(s *agg.Slab, rows, gids []uint32) error {
	for i := range c.aggs {
		if err := c.aggs[i].update(c.ctx, s, c.offs[i], rows, gids); err != nil {
			return err
		}
	}
	return nil
}

// mergeWithin folds the state of group sg of a slab into group dg of the same one. Kernels with bytes on the slab's heap cannot
// read and write one heap at a time: their states go by way of another.
func (c *windowCalls) mergeWithin(slab *agg.Slab, dg, sg uint32) error {
	for i := range c.aggs {
		k, off := c.aggs[i].kernel, c.offs[i]
		if agg.Flat(k) {
			if err := k.Merge(slab, dg, slab, sg, off); err != nil {
				return err
			}
			continue
		}
		c.moved.Stride = c.stride
		c.moved.Reset()
		c.moved.Grow(1)
		c.entry = k.Append(c.entry[:0], slab, off, sg)
		if _, err := k.Load(c.entry, &c.moved, off, 0); err != nil {
			return err
		}
		if err := k.Merge(slab, dg, &c.moved, 0, off); err != nil {
			return err
		}
	}
	return nil
}

// merge folds the state of group sg of src into group dg of dst, another slab.
func (c *windowCalls) merge(dst *agg.Slab, dg uint32, src *agg.Slab, sg uint32) error {
	for i := range c.aggs {
		if err := c.aggs[i].kernel.Merge(dst, dg, src, sg, c.offs[i]); err != nil {
			return err
		}
	}
	return nil
}

// behindAt returns the watermark that a row was measured against: marks are cut from the front as rows pass.
func (c *windowCalls) behindAt(in *Input, marks []batch.Behind, row uint32) (closed int64, rest []batch.Behind) {
	for len(marks) > 0 && marks[0].Row < row {
		marks = marks[1:]
	}
	if len(marks) > 0 && marks[0].Row == row {
		return max(int64(c.watermark), int64(in.Closed(marks[0]))), marks
	}
	return int64(c.watermark), marks
}

// fill adds rows to a batch of the output schema and returns those that are there, in order: a row whose result is an error is
// reported and left out. Valid until the next call.
func (c *windowCalls) fill(b *batch.Batch, slab *agg.Slab, table *state.Live, rows []outRow) ([]outRow, error) {
	rows, err := c.fillResults(b, slab, rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	if err := c.fillKeys(b, table, rows); err != nil {
		return nil, err
	}
	b.N += len(rows)
	return rows, nil
}

// fillFor is fill of what HAVING reads: the batch lacks the keys when that is only aggregates.
func (c *windowCalls) fillFor(b *batch.Batch, slab *agg.Slab, table *state.Live, rows []outRow) ([]outRow, error) {
	if c.havingKeys {
		return c.fill(b, slab, table, rows)
	}
	rows, err := c.fillResults(b, slab, rows)
	c.fillBounds(b, rows)
	b.N += len(rows)
	return rows, err
}

// fillBounds adds the bounds of rows.
func (c *windowCalls) fillBounds(b *batch.Batch, rows []outRow) {
	for i := range rows {
		r := &rows[i]
		if r.timeless {
			b.Cols[0].AppendNull()
			b.Cols[1].AppendNull()
			continue
		}
		b.Cols[0].AppendInt(r.start)
		b.Cols[1].AppendInt(r.end)
	}
}

// fillKeys adds the bounds and keys of rows.
func (c *windowCalls) fillKeys(b *batch.Batch, table *state.Live, rows []outRow) error {
	c.fillBounds(b, rows)
	c.vecs = c.vecs[:0]
	for i := range c.keyType {
		c.vecs = append(c.vecs, &b.Cols[windowCols+i])
	}
	for i := range rows {
		r := &rows[i]
		if _, err := batch.DecodeKey(table.Key(r.key), c.vecs); err != nil {
			return fmt.Errorf("window from %s: %w", types.NewTime(types.EventTime(r.start)).Text(), err)
		}
	}
	return nil
}

// fillResults adds the aggregates of rows.
func (c *windowCalls) fillResults(b *batch.Batch, slab *agg.Slab, rows []outRow) ([]outRow, error) {
	if c.union != nil {
		return rows, c.unionResults(b, slab, rows)
	}
	for len(rows) > 0 {
		bad := 0
		err := c.results(b, slab, rows, func(row, _ int, err error) error {
			bad = row
			return err
		})
		if err == nil {
			return rows, nil
		}
		for i := range c.aggs[:c.shown] {
			b.Cols[windowCols+len(c.keyType)+i].Truncate(b.N)
		}
		w := window.Window{Start: types.EventTime(rows[bad].start), End: types.EventTime(rows[bad].end)}
		if c.GroupError == nil {
			return nil, fmt.Errorf("window from %s: %w", types.NewTime(w.Start).Text(), err)
		}
		c.GroupError(w, err)
		c.good = append(append(c.good[:0], rows[:bad]...), rows[bad+1:]...)
		rows = c.good
	}
	return nil, nil
}

// results appends the aggregates of rows. Where one is an error, fail is told which of rows and of the aggregates that is: nil of it puts
// NULL there, an error ends the call.
func (c *windowCalls) results(b *batch.Batch, slab *agg.Slab, rows []outRow, fail func(row, call int, err error) error) error {
	c.cells = c.cells[:0]
	for i := range rows {
		c.cells = append(c.cells, rows[i].gid)
	}
	first := windowCols + len(c.keyType)
	for i := range c.aggs[:c.shown] {
		k, col := c.aggs[i].kernel, &b.Cols[first+i]
		if c.aggs[i].off {
			for range rows {
				col.AppendNull()
			}
			continue
		}
		if bulk, ok := k.(agg.BulkResult); ok && bulk.Results(col, slab, c.offs[i], c.cells) {
			continue
		}
		for n, gid := range c.cells {
			v, err := k.Result(slab, c.offs[i], gid)
			if err == nil {
				col.AppendValue(v)
				continue
			}
			if err := fail(n, i, err); err != nil {
				return err
			}
			col.AppendNull()
		}
	}
	return nil
}

// passing appends the rows of a batch of the output that HAVING lets through.
func (c *windowCalls) passing(b *batch.Batch, dst []uint32) ([]uint32, error) {
	if c.having == nil {
		return append(dst, batch.All(b.N)...), nil
	}
	return c.passingAmong(b, batch.All(b.N), dst)
}

// passingAmong appends those of rows of a batch of the output that HAVING, which there is, lets through.
func (c *windowCalls) passingAmong(b *batch.Batch, rows, dst []uint32) ([]uint32, error) {
	if c.GroupError == nil || c.ctx.RowError == nil {
		return c.having.Filter(c.ctx, b, rows, dst)
	}
	// The rows are of the output: whoever takes errors of input rows would look them up in the wrong batch.
	before := c.ctx.RowError
	c.ctx.RowError = func(row uint32, err error) {
		c.GroupError(window.Window{Start: types.EventTime(b.Cols[0].I64[row]), End: types.EventTime(b.Cols[1].I64[row])}, err)
	}
	dst, err := c.having.Filter(c.ctx, b, rows, dst)
	c.ctx.RowError = before
	return dst, err
}

// checkEmit refuses the modes that an operator does not have.
func checkEmit(s *spec.WindowAgg, what string, modes ...spec.EmitMode) error {
	for _, m := range modes {
		if s.Emit.Mode == m {
			return nil
		}
	}
	if s.Emit.Mode == spec.EmitEvery {
		return sqlerr.NotSupported("EMIT EVERY over "+what, "Use EMIT ON UPDATE, or leave EMIT out.")
	}
	return sqlerr.NotSupported("this EMIT over "+what, "Leave EMIT out.")
}
