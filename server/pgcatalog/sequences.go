package pgcatalog

import (
	"context"

	"github.com/vigil-sql/vigil/planner/catalog"
)

// Sequencer is implemented by sources that know how far sequences have come.
type Sequencer interface {
	// SequenceLast is the last value given out; false when there is none yet.
	SequenceLast(q *catalog.Sequence) (int64, bool)
}

func (c *Catalog) pgSequence(_ context.Context, w *writer) error {
	for _, q := range c.src.Snapshot().Sequences() {
		err := w.add(fields{"seqrelid": userOID(q.ID), "seqtypid": q.Type.OID(), "seqstart": q.Start, "seqincrement": q.Increment,
			"seqmax": q.Max, "seqmin": q.Min, "seqcache": q.Cache, "seqcycle": q.Cycle})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgSequences(_ context.Context, w *writer) error {
	for _, q := range c.src.Snapshot().Sequences() {
		f := fields{"schemaname": q.RelNamespace(), "sequencename": q.RelName(), "sequenceowner": c.RoleName(OwnerOID), "data_type": q.Type.OID(),
			"start_value": q.Start, "min_value": q.Min, "max_value": q.Max, "increment_by": q.Increment, "cycle": q.Cycle, "cache_size": q.Cache}
		if s, ok := c.src.(Sequencer); ok {
			if last, ok := s.SequenceLast(q); ok {
				f["last_value"] = last
			}
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// infoSequences leaves those of identity columns out, as Postgres does.
func (c *Catalog) infoSequences(_ context.Context, w *writer) error {
	for _, q := range c.src.Snapshot().Sequences() {
		if q.Identity {
			continue
		}
		cycle := map[bool]string{true: "YES", false: "NO"}[q.Cycle]
		err := w.add(fields{"sequence_catalog": databaseName, "sequence_schema": q.RelNamespace(), "sequence_name": q.RelName(), "data_type": q.Type.String(),
			"numeric_precision": 8 * int(q.Type.Size()), "numeric_precision_radix": 2, "numeric_scale": 0, "start_value": itoa(int(q.Start)),
			"minimum_value": itoa(int(q.Min)), "maximum_value": itoa(int(q.Max)), "increment": itoa(int(q.Increment)), "cycle_option": cycle})
		if err != nil {
			return err
		}
	}
	return nil
}
