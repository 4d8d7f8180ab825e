// Package table owns the tables: small keyed relations in memory whose rows have versions. A View is all tables as one epoch
// sees them; a change adds versions and ends others, and copies nothing. A row is found by the values of any columns, as it
// is now or as it was at a time. It does not know where rows are stored.
//
// A version holds from the clock of the epoch that brought it to the clock of the epoch that ended it. The first version of a
// key holds for all time before it too: what is known of a host now is the best guess for an event before anybody had
// written it down. Versions that ended more than Horizon before a view's clock are out of its sight, whether they are still
// in memory or not: a question about an earlier time is answered as of then.
package table

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Horizon is how long ended versions of rows can be asked for, microseconds of the epochs' clock.
const Horizon = int64(24 * 3600 * 1_000_000)

// Always is the start of a version that holds for all time before it.
const Always = int64(math.MinInt64)

// Set is all tables with all versions that are kept. It is safe for concurrent use; changes come from one goroutine.
type Set struct {
	mu     sync.RWMutex
	tables map[uint64]*Table
}

// NewSet returns a set without tables.
func NewSet() *Set { return &Set{tables: map[uint64]*Table{}} }

// Create adds an empty table. key lists the columns of its primary key, none for a table whose rows may repeat.
func (s *Set) Create(id uint64, schema *types.Schema, key []int) *Table {
	t := newTable(schema, key)
	s.mu.Lock()
	s.tables[id] = t
	s.mu.Unlock()
	return t
}

// Remove forgets a table. Nobody may look at epochs that have it any more.
func (s *Set) Remove(id uint64) {
	s.mu.Lock()
	delete(s.tables, id)
	s.mu.Unlock()
}

// Table returns a table, nil when there is none.
func (s *Set) Table(id uint64) *Table {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tables[id]
}

// Compact forgets the versions of all tables that had ended at an epoch, by a clock: no view of an earlier epoch may be in use,
// but for rows that it has read.
func (s *Set) Compact(epoch uint64, clock int64) {
	s.mu.RLock()
	list := make([]*Table, 0, len(s.tables))
	for _, t := range s.tables {
		list = append(list, t)
	}
	s.mu.RUnlock()
	for _, t := range list {
		t.compact(epoch, clock)
	}
}

// At returns the tables as an epoch sees them, whose clock is given.
func (s *Set) At(epoch uint64, clock types.EventTime) *View {
	v := &View{set: s, epoch: epoch, oldest: int64(types.MinTime)}
	if int64(clock) > math.MinInt64+Horizon {
		v.oldest = int64(clock) - Horizon
	}
	return v
}

// View is all tables as of an epoch. It is safe for concurrent use.
type View struct {
	set   *Set
	epoch uint64
	// oldest is the earliest time that can be asked for.
	oldest int64
}

var (
	_ expr.Tables        = (*View)(nil)
	_ expr.TableVersions = (*View)(nil)
)

func (v *View) table(id uint64) (*Table, error) {
	t := v.set.Table(id)
	if t == nil {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "the table does not exist any more")
	}
	return t, nil
}

// Table is one table with its versions. Readers go through a View.
type Table struct {
	schema *types.Schema
	key    []int
	// change is held by who changes the table or its indexes; core is replaced when it is compacted.
	change sync.Mutex
	core   atomic.Pointer[core]
	// changed is the latest epoch that changed the rows. It is set before they change, under core.mu.
	changed atomic.Uint64
	// next is the number of the next version, last the latest clock of a change.
	next uint64
	last int64
}

func newTable(schema *types.Schema, key []int) *Table {
	t := &Table{schema: schema, key: key, next: 1, last: int64(types.MinTime)}
	c := &core{schema: schema}
	if len(key) > 0 {
		c.indexes = append(c.indexes, newIndex(key, true))
	}
	t.core.Store(c)
	return t
}

// Row is a row to add. Later: it takes the place of one that ends, so it does not hold for the time before. In a table with
// a primary key that is found out by the key, and the field is not looked at.
type Row struct {
	Values []types.Value
	Later  bool
}

// Change is one step of a table: versions that end, by number, and rows that come. A row must not have a key that another
// living row has.
type Change struct {
	Drop []uint64
	Add  []Row
}

// Version is what a change gave to a row that it added.
type Version struct {
	Number uint64
	From   int64
}

// Apply makes a change take effect at an epoch, whose clock is given. It returns the clock of the change, which does not
// run backwards, and what the added rows got. Versions that are unknown or ended already are an error; nothing has changed then.
func (t *Table) Apply(c Change, epoch uint64, clock types.EventTime) (at int64, added []Version, err error) {
	t.change.Lock()
	defer t.change.Unlock()
	co := t.core.Load()
	ends := make([]int, len(c.Drop))
	for i, n := range c.Drop {
		k := co.find(n)
		if k < 0 || co.vers[k].dropped != 0 {
			return 0, nil, fmt.Errorf("row version %d of the table is not there", n)
		}
		ends[i] = k
	}
	at = max(int64(clock), t.last)
	t.last = at
	co.mu.Lock()
	defer co.mu.Unlock()
	t.changedAt(epoch)
	for _, k := range ends {
		co.vers[k].dropped, co.vers[k].to = epoch, at
	}
	for _, r := range c.Add {
		v := version{number: t.next, added: epoch, from: Always}
		if len(t.key) > 0 && co.known(r.Values, at) || len(t.key) == 0 && r.Later {
			v.from = at
		}
		t.next++
		if err := co.add(v, r.Values); err != nil {
			return 0, nil, err
		}
		added = append(added, Version{v.number, v.from})
	}
	return at, added, nil
}

// Load adds a version that was stored, in the order of numbers.
func (t *Table) Load(number, added uint64, from int64, row []types.Value) error {
	t.change.Lock()
	defer t.change.Unlock()
	if number < t.next {
		return fmt.Errorf("row version %d comes after %d", number, t.next-1)
	}
	if len(row) != len(t.schema.Cols) {
		return fmt.Errorf("row version %d has %d columns, the table has %d", number, len(row), len(t.schema.Cols))
	}
	t.next, t.last = number+1, max(t.last, from)
	co := t.core.Load()
	co.mu.Lock()
	defer co.mu.Unlock()
	t.changedAt(added)
	return co.add(version{number: number, added: added, from: from}, row)
}

// End ends a loaded version at an epoch, at a clock. It returns false when there is none of that number.
func (t *Table) End(number, epoch uint64, at int64) bool {
	t.change.Lock()
	defer t.change.Unlock()
	co := t.core.Load()
	co.mu.Lock()
	defer co.mu.Unlock()
	k := co.find(number)
	if k < 0 {
		return false
	}
	t.changedAt(epoch)
	co.vers[k].dropped, co.vers[k].to = epoch, at
	t.last = max(t.last, at)
	return true
}

// changedAt notes that an epoch changes the rows. Epochs may come in any order where a table is loaded.
func (t *Table) changedAt(epoch uint64) { t.changed.Store(max(t.changed.Load(), epoch)) }

// Index makes sure that rows are found quickly by the given columns.
func (t *Table) Index(cols []int) error {
	if len(cols) == 0 || t.core.Load().index(cols) != nil {
		return nil
	}
	t.change.Lock()
	defer t.change.Unlock()
	co := t.core.Load()
	if co.index(cols) != nil {
		return nil
	}
	x := newIndex(slices.Clone(cols), t.covers(cols))
	if err := x.fill(co); err != nil { // readers go on meanwhile
		return err
	}
	co.mu.Lock()
	co.indexes = append(co.indexes, x)
	co.mu.Unlock()
	return nil
}

// covers tells whether the columns hold the whole primary key.
func (t *Table) covers(cols []int) bool {
	for _, k := range t.key {
		if !slices.Contains(cols, k) {
			return false
		}
	}
	return len(t.key) > 0
}

// compactMin is how many versions a table may carry that nobody can see any more, beyond a quarter of all.
const compactMin = 1024

// compact copies what can still be seen, when enough cannot. Changes wait, readers do not.
func (t *Table) compact(epoch uint64, clock int64) { t.compactAt(epoch, clock, compactMin) }

func (t *Table) compactAt(epoch uint64, clock int64, least int) {
	t.change.Lock()
	defer t.change.Unlock()
	co := t.core.Load()
	gone := func(v *version) bool { return v.dropped != 0 && v.dropped <= epoch && v.to <= clock }
	n := 0
	for i := range co.vers {
		if gone(&co.vers[i]) {
			n++
		}
	}
	if n < least+len(co.vers)/4 {
		return
	}
	next := &core{schema: t.schema}
	for _, x := range co.indexes {
		next.indexes = append(next.indexes, newIndex(x.cols, x.unique))
	}
	row := make([]types.Value, 0, len(t.schema.Cols))
	for i := range co.vers {
		if gone(&co.vers[i]) {
			continue
		}
		b, r := co.row(i)
		row = b.Row(row[:0], r)
		if err := next.add(co.vers[i], row); err != nil {
			return // as many versions fitted before: it cannot happen, and the old core is right
		}
	}
	t.core.Store(next)
}

// Schema is the row type; Key lists the columns of the primary key.
func (t *Table) Schema() *types.Schema { return t.schema }

// Key lists the columns of the primary key, none when there is none.
func (t *Table) Key() []int { return t.key }

// AppendKey appends the encoded primary key of a row.
func (t *Table) AppendKey(dst []byte, row []types.Value) []byte {
	for _, k := range t.key {
		dst = batch.AppendKeyValue(dst, row[k])
	}
	return dst
}
