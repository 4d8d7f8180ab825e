package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// windowOutput is the scratch with which a closing window is turned into batches.
type windowOutput struct {
	b      *batch.Batch
	sorter state.Sorter
	gids   []uint32 // all groups, in order
	good   []uint32 // the groups of a batch whose results are no errors
	kept   []uint32 // the groups that pass having
	rows   []uint32 // their rows in the batch being tried
	keys   []*batch.Vec
}

// window_start and window_end come before the keys.
const windowCols = 2

// use makes rows of a schema from now on.
func (o *windowOutput) use(schema *types.Schema) { o.b = emptied(o.b, schema) }

func (o *windowOutput) bytes() int64 {
	return o.sorter.Bytes() + scratchBytes(o.b) + capBytes(o.gids) + capBytes(o.good) + capBytes(o.kept) + capBytes(o.rows)
}

// emitSlice sends the groups of a slice that pass having, ordered by the bytes of their keys.
func (w *WindowAgg) emitSlice(sl *slice, out Emitter) error {
	o := w.emit
	if w.having == nil {
		o.gids = o.sorter.Sort(&sl.table, o.gids[:0])
	} else {
		if err := w.passHaving(sl); err != nil {
			return err
		}
		o.gids = o.sorter.SortOf(&sl.table, o.kept, o.gids[:0])
	}
	for gids := o.gids; len(gids) > 0; {
		n := min(len(gids), batch.RowsMax)
		w.mem.Relieve()
		if err := w.emitGroups(sl, gids[:n], out); err != nil {
			return err
		}
		gids = gids[n:]
	}
	return nil
}

// emitGroups sends one batch of groups. When the result of one is an error, the batch is made again without it.
func (w *WindowAgg) emitGroups(sl *slice, gids []uint32, out Emitter) error {
	o := w.emit
	sl.slab.Claim(gids)
	gids, err := w.goodResults(sl, gids)
	if err != nil || len(gids) == 0 {
		return err
	}
	if err := w.fillKeys(sl, gids); err != nil {
		return err
	}
	o.b.N = len(gids)
	return out.Emit(Input{B: o.b, Sel: batch.All(len(gids))})
}

// goodResults fills in the aggregates of the groups whose results are no errors, and returns those groups; valid until the
// next call.
func (w *WindowAgg) goodResults(sl *slice, gids []uint32) ([]uint32, error) {
	o := w.emit
	for len(gids) > 0 {
		bad, err := w.fillResults(sl, gids)
		if err == nil {
			return gids, nil
		}
		if w.GroupError == nil {
			return nil, fmt.Errorf("window from %s: %w", types.NewTime(sl.Start).Text(), err)
		}
		w.GroupError(sl.Window, err)
		o.good = append(append(o.good[:0], gids[:bad]...), gids[bad+1:]...)
		gids = o.good
	}
	return nil, nil
}

// passHaving collects the groups that pass having, in the order of their numbers, which is that of memory. Keys are decoded
// only when having reads them: most groups of most rules end here.
func (w *WindowAgg) passHaving(sl *slice) error {
	o := w.emit
	if r := &w.inRange; r.kernel != nil {
		ok := true
		o.kept = o.kept[:0]
		for all := batch.All(sl.table.Len()); len(all) > 0 && ok; {
			n := min(len(all), breathEvery)
			o.kept, ok = r.kernel.InRange(o.kept, &sl.slab, w.offs[r.call], all[:n], r.in)
			all = all[n:]
			w.mem.Relieve()
		}
		if ok {
			return nil
		}
	}
	o.kept = o.kept[:0]
	for all := batch.All(sl.table.Len()); len(all) > 0; {
		n := min(len(all), batch.RowsMax)
		gids, err := w.goodResults(sl, all[:n])
		if err != nil {
			return err
		}
		all = all[n:]
		if w.havingKeys && len(gids) > 0 {
			if err := w.fillKeys(sl, gids); err != nil {
				return err
			}
		}
		o.b.N = len(gids)
		if o.rows, err = w.passing(sl, o.b, batch.All(len(gids)), o.rows[:0]); err != nil {
			return err
		}
		for _, row := range o.rows {
			o.kept = append(o.kept, gids[row])
		}
	}
	return nil
}

// fillResults resets the batch and fills in the aggregates; bad is the index of the group whose result is the error.
func (w *WindowAgg) fillResults(sl *slice, gids []uint32) (bad int, err error) {
	b := w.emit.b
	b.Reset(nil)
	first := windowCols + len(w.keyType)
	for i := range w.aggs {
		k, col := w.aggs[i].kernel, &b.Cols[first+i]
		if bulk, ok := k.(agg.BulkResult); ok && bulk.Results(col, &sl.slab, w.offs[i], gids) {
			continue
		}
		for n, gid := range gids {
			v, err := k.Result(&sl.slab, w.offs[i], gid)
			if err != nil {
				return n, err
			}
			col.AppendValue(v)
		}
	}
	return 0, nil
}

// fillKeys adds the window's bounds and the keys to the batch.
func (w *WindowAgg) fillKeys(sl *slice, gids []uint32) error {
	o := w.emit
	o.keys = o.keys[:0]
	for i := range w.keyType {
		o.keys = append(o.keys, &o.b.Cols[windowCols+i])
	}
	sl.table.Touch(gids)
	for _, gid := range gids {
		o.b.Cols[0].AppendInt(int64(sl.Start))
		o.b.Cols[1].AppendInt(int64(sl.End))
		if _, err := batch.DecodeKey(sl.table.Key(gid), o.keys); err != nil {
			return fmt.Errorf("window from %s: %w", types.NewTime(sl.Start).Text(), err)
		}
	}
	return nil
}
