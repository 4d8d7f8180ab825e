package job

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/meta"
)

// TableChange ends row versions of one table and adds rows. Table must exist before the change, or be created by it.
type TableChange struct {
	TableID uint64
	table.Change
}

// tableEffect is what a table change did, for the store.
type tableEffect struct {
	at    int64
	added []table.Version
}

// applyTables runs in the sequencer, at the start of an epoch.
func (e *Engine) applyTables(ep *epoch, c *change) {
	for i := range c.Create {
		if d, ok := c.Create[i].Def.(*spec.Table); ok {
			if err := e.createTable(d); err != nil {
				c.fail(err)
			}
		}
	}
	for i := range c.Alter {
		d, ok := c.Alter[i].Def.(*spec.Table)
		if !ok {
			continue
		}
		if err := e.indexTable(d); err != nil {
			c.fail(err)
		}
	}
	for _, x := range c.Tables {
		t := e.tables.Table(x.TableID)
		if t == nil {
			c.fail(fmt.Errorf("the table %d does not exist any more", x.TableID))
			return
		}
		at, added, err := t.Apply(x.Change, ep.n, ep.clock)
		if err != nil {
			c.fail(err)
			return
		}
		c.tableEffects = append(c.tableEffects, tableEffect{at, added})
	}
}

// createTable makes a table with its indexes.
func (e *Engine) createTable(d *spec.Table) error {
	e.tables.Create(d.ID, &d.Schema, d.Key)
	return e.indexTable(d)
}

// indexTable makes the indexes that a table does not have yet.
func (e *Engine) indexTable(d *spec.Table) error {
	t := e.tables.Table(d.ID)
	if t == nil {
		return nil
	}
	for _, cols := range d.Indexes {
		if err := t.Index(cols); err != nil {
			return err
		}
	}
	return nil
}

// fail makes the change's answer an error. What of it has taken effect is persisted all the same.
func (c *change) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// persistTables writes the row versions that a change added and ended.
func (e *Engine) persistTables(b batchKV, ep *epoch, c *change) {
	for i, eff := range c.tableEffects {
		x := &c.Tables[i]
		for _, n := range x.Drop {
			e.meta.EndTableRow(b, meta.TableEnd{Table: x.TableID, Number: n, Epoch: ep.n, At: eff.at})
		}
		for k, v := range eff.added {
			e.meta.PutTableRow(b, x.TableID, meta.TableRow{Number: v.Number, Added: ep.n, From: v.From,
				Data: codec.AppendRow(nil, x.Add[k].Values)})
		}
	}
}

// dropTables forgets the tables that an epoch dropped; nobody looks at earlier epochs any more.
func (e *Engine) dropTables(ep *epoch) {
	for _, c := range ep.changes {
		for i := range c.Drop {
			if d, ok := c.Drop[i].Def.(*spec.Table); ok {
				e.tables.Remove(d.ID)
			}
		}
	}
}

// purgeTables forgets the row versions that nobody can ask for after a checkpoint, and the rows of dropped tables.
func (e *Engine) purgeTables(b batchKV, cut *checkpointCut, gone []meta.Object) error {
	e.purgeSequences(b, gone)
	for _, o := range gone {
		if o.Kind == KindTable {
			e.meta.DropTable(b, o.ID)
		}
	}
	oldest := int64(cut.clock) - table.Horizon
	e.tables.Compact(cut.epoch, oldest)
	_, err := e.meta.PurgeTables(b, cut.epoch, oldest)
	return err
}

// KindTable is the kind of a table's object in storage/meta.
const KindTable = "table"

// loadTables reads all tables with all versions of their rows. Versions carry their epochs, so that the epochs that run again
// see what they saw.
func (r *recovery) loadTables() error {
	e := r.e
	for i := range r.objects {
		d, ok := r.objects[i].Def.(*spec.Table)
		if !ok {
			continue
		}
		t := e.tables.Create(d.ID, &d.Schema, d.Key)
		ts := make([]types.Type, len(d.Schema.Cols))
		for c := range ts {
			ts[c] = d.Schema.Cols[c].Type
		}
		err := e.meta.TableRows(d.ID, func(x meta.TableRow) error {
			row, err := codec.DecodeRow(ts, x.Data)
			if err != nil {
				return err
			}
			return t.Load(x.Number, x.Added, x.From, row)
		})
		if err == nil {
			err = e.indexTable(d)
		}
		if err != nil {
			return fmt.Errorf("load table %s: %w", d.Name, err)
		}
	}
	return e.meta.TableEnds(func(x meta.TableEnd) error {
		// A table that was dropped has ends until they are purged.
		if t := e.tables.Table(x.Table); t != nil && !t.End(x.Number, x.Epoch, x.At) {
			return fmt.Errorf("table %d: %w: version %d ended, but is not there", x.Table, meta.ErrCorrupt, x.Number)
		}
		return nil
	})
}

// Tables is all tables as of the last epoch on disk.
func (e *Engine) Tables() *table.View { return e.tables.At(e.Committed(), e.cfg.Clock()) }
