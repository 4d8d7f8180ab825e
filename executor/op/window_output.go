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
	keys   []*batch.Vec
}

// window_start and window_end come before the keys.
const windowCols = 2

func (o *windowOutput) init(schema *types.Schema) { o.b = batch.New(schema, nil) }

// emitSlice sends all groups of a slice, ordered by the bytes of their keys.
func (w *WindowAgg) emitSlice(sl *slice, out Emitter) error {
	o := &w.emit
	o.gids = o.sorter.Sort(&sl.table, o.gids[:0])
	for gids := o.gids; len(gids) > 0; {
		n := min(len(gids), batch.RowsMax)
		if err := w.emitGroups(sl, gids[:n], out); err != nil {
			return err
		}
		gids = gids[n:]
	}
	return nil
}

// emitGroups sends one batch of groups. When the result of one is an error, the batch is made again without it.
func (w *WindowAgg) emitGroups(sl *slice, gids []uint32, out Emitter) error {
	o := &w.emit
	for {
		bad, err := w.fillResults(sl, gids)
		if err == nil {
			break
		}
		if w.GroupError == nil {
			return fmt.Errorf("window from %s: %w", types.NewTime(sl.Start).Text(), err)
		}
		w.GroupError(sl.Window, err)
		o.good = append(append(o.good[:0], gids[:bad]...), gids[bad+1:]...)
		if gids = o.good; len(gids) == 0 {
			return nil
		}
	}
	if err := w.fillKeys(sl, gids); err != nil {
		return err
	}
	o.b.N = len(gids)
	return out.Emit(Input{B: o.b, Sel: batch.All(len(gids))})
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
	o := &w.emit
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
