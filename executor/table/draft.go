package table

import (
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Reader is the tables as somebody sees them: a View, or a view with a draft's changes on top.
type Reader interface {
	expr.Tables
	// Scan, Find and Len are those of View.
	Scan(id uint64, fn func(b *batch.Batch, numbers []uint64) error) error
	Find(id uint64, cols []int, key []byte) (row []types.Value, number uint64, ok bool)
	Len(id uint64) int
}

var (
	_ Reader = (*View)(nil)
	_ Reader = (*draftView)(nil)
)

// DraftDepthMax is how many drafts may lie on each other: the level is part of the numbers of row versions.
const DraftDepthMax = 200

// DraftRowsMax is how many rows one draft holds.
const DraftRowsMax = 20_000_000

// levelShift: the numbers of a draft's own rows carry its level above it; those of the tables never get there.
const levelShift = 56

// LevelShift: a row number shifted right by it is the level of the draft that has the row, 0 for rows of the tables.
const LevelShift = levelShift

// Draft is changes of tables that only their author sees: those of an open transaction, or tables of one connection. It is
// for one goroutine.
type Draft struct {
	level  uint64
	tables map[uint64]*draftTable
	own    *Set
	rows   int
	steps  uint64
}

// draftTable is the changes of one table.
type draftTable struct {
	// fresh: the table is the draft's alone; nothing lies below it.
	fresh   bool
	dropped map[uint64]bool
	added   *Table
	// whole is the table with the changes in one piece, for lookups; nil when it must be made anew.
	whole *Set
}

// NewDraft returns a draft without changes. Levels count from 1; a draft lies on those of lower levels.
func NewDraft(level int) *Draft {
	return &Draft{level: uint64(level) << levelShift, tables: map[uint64]*draftTable{}, own: NewSet()}
}

// Create adds a table that only the draft has.
func (d *Draft) Create(id uint64, schema *types.Schema, key []int) {
	d.tables[id] = &draftTable{fresh: true, dropped: map[uint64]bool{}, added: d.own.Create(id, schema, key)}
}

// Has tells whether the draft changes a table.
func (d *Draft) Has(id uint64) bool { return d.tables[id] != nil }

// Empty tells whether the draft changes nothing.
func (d *Draft) Empty() bool { return len(d.tables) == 0 }

// Remove forgets what the draft has of a table.
func (d *Draft) Remove(id uint64) {
	delete(d.tables, id)
	d.own.Remove(id)
}

// Apply adds a change. Numbers are those that a view with this draft gave; key and schema are the table's.
func (d *Draft) Apply(id uint64, schema *types.Schema, key []int, c Change) error {
	t := d.tables[id]
	if t == nil {
		t = &draftTable{dropped: map[uint64]bool{}, added: d.own.Create(id, schema, key)}
		d.tables[id] = t
	}
	if d.rows += len(c.Add); d.rows > DraftRowsMax {
		return sqlerr.New("54000", "a transaction can add at most %d rows to tables", DraftRowsMax).WithHint("Commit in between.")
	}
	mine := Change{Add: c.Add}
	for _, n := range c.Drop {
		if n&^(1<<levelShift-1) == d.level {
			mine.Drop = append(mine.Drop, n&(1<<levelShift-1))
			continue
		}
		t.dropped[n] = true
	}
	t.whole = nil
	d.steps++
	_, _, err := t.added.Apply(mine, d.steps, types.EventTime(d.steps))
	return err
}

// Changes gives what the draft does to the tables below it, by table; fresh tables give all their rows.
func (d *Draft) Changes(fn func(id uint64, c Change) error) error {
	for id, t := range d.tables {
		var c Change
		for n := range t.dropped {
			c.Drop = append(c.Drop, n)
		}
		err := d.ownView().Scan(id, func(b *batch.Batch, _ []uint64) error {
			for i := range b.N {
				c.Add = append(c.Add, Row{Values: b.Row(nil, i), Later: len(t.dropped) > 0})
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(c.Drop) == 0 && len(c.Add) == 0 {
			continue
		}
		if err := fn(id, c); err != nil {
			return err
		}
	}
	return nil
}

// On gives the tables of a reader with the draft's changes. It shows later changes of the draft, too.
func (d *Draft) On(below Reader) Reader {
	if len(d.tables) == 0 {
		return below
	}
	return &draftView{below: below, d: d}
}

func (d *Draft) ownView() *View { return d.own.At(math.MaxUint64, types.MinTime) }

// draftView is a reader with a draft on top.
type draftView struct {
	below Reader
	d     *Draft
}

// Scan implements Reader: the rows that were there, then the new ones.
func (v *draftView) Scan(id uint64, fn func(b *batch.Batch, numbers []uint64) error) error {
	t := v.d.tables[id]
	if t == nil {
		return v.below.Scan(id, fn)
	}
	if !t.fresh {
		err := v.below.Scan(id, func(b *batch.Batch, numbers []uint64) error {
			b, numbers = without(b, numbers, t.dropped)
			if b.N == 0 {
				return nil
			}
			return fn(b, numbers)
		})
		if err != nil {
			return err
		}
	}
	return v.d.ownView().Scan(id, func(b *batch.Batch, numbers []uint64) error {
		for i := range numbers {
			numbers[i] |= v.d.level
		}
		return fn(b, numbers)
	})
}

// without leaves out rows by the numbers of their versions.
func without(b *batch.Batch, numbers []uint64, gone map[uint64]bool) (*batch.Batch, []uint64) {
	any := false
	for _, n := range numbers {
		any = any || gone[n]
	}
	if !any {
		return b, numbers
	}
	out := batch.New(b.Schema, nil)
	var keep []uint64
	for i, n := range numbers {
		if gone[n] {
			continue
		}
		for c := range out.Cols {
			out.Cols[c].AppendFrom(&b.Cols[c], i)
		}
		out.N++
		keep = append(keep, n)
	}
	return out, keep
}

// Find implements Reader.
func (v *draftView) Find(id uint64, cols []int, key []byte) ([]types.Value, uint64, bool) {
	t := v.d.tables[id]
	if t == nil {
		return v.below.Find(id, cols, key)
	}
	if row, n, ok := v.d.ownView().Find(id, cols, key); ok {
		return row, n | v.d.level, true
	}
	if t.fresh {
		return nil, 0, false
	}
	row, n, ok := v.below.Find(id, cols, key)
	if !ok || t.dropped[n] {
		return nil, 0, false
	}
	return row, n, true
}

// Len implements Reader.
func (v *draftView) Len(id uint64) int {
	t := v.d.tables[id]
	if t == nil {
		return v.below.Len(id)
	}
	n := v.d.ownView().Len(id)
	if !t.fresh {
		n += v.below.Len(id) - len(t.dropped)
	}
	return n
}

// Lookup implements Reader. A table with changes is put together the first time that rows are looked up in it.
func (v *draftView) Lookup(p *expr.TableProbe) error {
	t := v.d.tables[p.Table]
	switch {
	case t == nil:
		return v.below.Lookup(p)
	case t.fresh:
		return v.d.ownView().Lookup(p)
	}
	if t.whole == nil {
		set := NewSet()
		whole := set.Create(p.Table, t.added.schema, t.added.key)
		n := uint64(0)
		err := v.Scan(p.Table, func(b *batch.Batch, _ []uint64) error {
			for i := range b.N {
				n++
				if err := whole.Load(n, 0, Always, b.Row(nil, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		t.whole = set
	}
	return t.whole.At(math.MaxUint64, types.MinTime).Lookup(p)
}
