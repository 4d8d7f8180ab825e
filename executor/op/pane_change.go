package op

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// changes are the groups of windows that have changed since their rows were last told, with the states that they had then.
// Telling them compares the row of the old state with that of the new one.
type changes struct {
	p      *PaneAgg
	index  map[changeKey]uint32 // the group's place in list
	list   []change
	least  types.EventTime // the least end in list
	before agg.Slab        // by place in list: the state that was told
	spare  agg.Slab
	// The checkpoint has the first saved of list. told are entries of those that it has and that were told since, but for windows
	// that end at or before final, which are told by then in any case.
	saved int
	told  []byte
	toldN int
	final types.EventTime

	// Scratch of flush:
	order        []uint32 // places
	after        agg.Slab // by place
	seen         []uint32 // keys that note has met: by number, call
	calls        uint32
	*tellScratch // of shared panes while they drive the operator
}

// tellScratch is what changes become rows with.
type tellScratch struct {
	old   *batch.Batch
	tell  *batch.Batch
	cells []cell
	oldAt []int32 // by place in a chunk: the row of the old state, -1: none
	newAt []int32
}

type changeKey struct {
	end types.EventTime
	kid uint32
}

// change is one group of one window; had tells that it had rows before.
type change struct {
	changeKey
	had bool
}

// indexKept is the number of changes up to which the index is kept: clearing a large one costs at every batch.
const indexKept = 8 * batch.RowsMax

// changeBytes is what one change takes in the index, about: its key and place, and places that are free.
const changeBytes = 48

// chunkChanges is the number of groups that are told at once: an update is two rows.
const chunkChanges = batch.RowsMax / 2

func (c *changes) init(p *PaneAgg) {
	c.p, c.index, c.final, c.tellScratch = p, map[changeKey]uint32{}, types.MinTime, &tellScratch{}
	c.before.Stride, c.after.Stride, c.spare.Stride = p.stride, p.stride, p.stride
}

// note keeps the states of keys in the windows that end from lo to hi, unless it has them already.
func (c *changes) note(kids []uint32, lo, hi types.EventTime) error {
	c.seen = growTo(c.seen, c.p.dict.Len())
	c.calls++
	for _, kid := range kids {
		if c.seen[kid] == c.calls {
			continue
		}
		c.seen[kid] = c.calls
		c.p.walk.begin(kid)
		for end := lo; ; end += types.EventTime(c.p.grid.Slide) {
			if err := c.noteOne(changeKey{end, kid}); err != nil {
				return err
			}
			if !c.p.windowed || end >= hi {
				break
			}
		}
	}
	return nil
}

func (c *changes) noteOne(key changeKey) error {
	if _, ok := c.index[key]; ok {
		return nil
	}
	at := uint32(len(c.list))
	c.before.Grow(int(at) + 1)
	had, err := c.p.walk.addTo(&c.before, at, key.end)
	if err != nil {
		return err
	}
	c.add(change{key, had})
	return nil
}

// add notes a group whose old state is in place.
func (c *changes) add(ch change) {
	if len(c.list) == 0 || ch.end < c.least {
		c.least = ch.end
	}
	c.index[ch.changeKey] = uint32(len(c.list))
	c.list = append(c.list, ch)
}

// flush tells the changes of the windows that end at or before upTo, ordered by window and key.
func (c *changes) flush(upTo types.EventTime, out Emitter) error {
	if due, err := c.due(upTo); err != nil || !due {
		return err
	}
	if err := c.tellAll(c, c.order, out); err != nil {
		return err
	}
	return c.keep(upTo)
}

// due puts the changes that flush is to tell in order, with the states as they are now; false: there are none.
func (c *changes) due(upTo types.EventTime) (bool, error) {
	if len(c.list) == 0 || c.least > upTo {
		return false, nil
	}
	c.order = c.order[:0]
	for i := range c.list {
		if c.list[i].end <= upTo {
			c.order = append(c.order, uint32(i))
		}
	}
	if err := c.newStates(); err != nil {
		return false, err
	}
	dict := &c.p.dict
	slices.SortFunc(c.order, func(a, b uint32) int {
		x, y := &c.list[a], &c.list[b]
		if x.end != y.end {
			return cmp.Compare(x.end, y.end)
		}
		return bytes.Compare(dict.Key(x.kid), dict.Key(y.kid))
	})
	return true, nil
}

// tellAll emits what became of groups of src, which may be shared ones.
func (c *changes) tellAll(src *changes, order []uint32, out Emitter) error {
	for len(order) > 0 {
		n := min(len(order), chunkChanges)
		if err := c.tellSome(src, order[:n], out); err != nil {
			return err
		}
		order = order[n:]
	}
	return nil
}

// newStates computes the states of the groups in order as they are now.
func (c *changes) newStates() error {
	slices.SortFunc(c.order, func(a, b uint32) int {
		x, y := &c.list[a], &c.list[b]
		return cmp.Or(cmp.Compare(x.kid, y.kid), cmp.Compare(x.end, y.end))
	})
	c.after.Reset()
	c.after.Grow(len(c.list))
	for i, at := range c.order {
		ch := &c.list[at]
		if i == 0 || c.list[c.order[i-1]].kid != ch.kid {
			c.p.walk.begin(ch.kid)
		}
		if _, err := c.p.walk.addTo(&c.after, at, ch.end); err != nil {
			return err
		}
	}
	return nil
}

// tellSome emits what became of some groups: nothing, when their rows are the same.
func (c *changes) tellSome(src *changes, order []uint32, out Emitter) error {
	p, o := c.p, c.p.out
	c.makeRows()
	c.cells, c.oldAt, c.newAt = c.cells[:0], c.oldAt[:0], c.newAt[:0]
	for _, at := range order {
		if ch := &src.list[at]; ch.had {
			c.cells = append(c.cells, cell{ch.end, ch.kid, at})
		}
	}
	good, rows, err := o.rowsOf(p, c.old, &src.before, c.cells, silent)
	if err != nil {
		return err
	}
	c.oldAt = place(c.oldAt, order, good, rows)
	c.cells = c.cells[:0]
	for _, at := range order {
		ch := &src.list[at]
		c.cells = append(c.cells, cell{ch.end, ch.kid, at})
	}
	if good, rows, err = o.rowsOf(p, o.b, &src.after, c.cells, p.reports()); err != nil {
		return err
	}
	c.newAt = place(c.newAt, order, good, rows)
	c.tell.Reset(nil)
	for i := range order {
		c.tellOne(c.old, int(c.oldAt[i]), o.b, int(c.newAt[i]))
	}
	return c.sendTold(out)
}

func (c *changes) makeRows() {
	c.old, c.tell = emptied(c.old, c.p.schema), emptied(c.tell, c.p.schema)
}

// sendTold emits what tellOne has added.
func (c *changes) sendTold(out Emitter) error {
	if c.tell.N == 0 {
		return nil
	}
	return out.Emit(Input{B: c.tell, Sel: batch.All(c.tell.N)})
}

// place tells for each of order which row its cell has among those that pass; -1: none. Cells are in the order of order.
func place(dst []int32, order []uint32, cells []cell, rows []uint32) []int32 {
	for _, at := range order {
		if len(rows) > 0 && cells[rows[0]].gid == at {
			dst = append(dst, int32(rows[0]))
			rows = rows[1:]
			continue
		}
		dst = append(dst, -1)
	}
	return dst
}

// tellOne adds what became of one group: row i of before and row j of after, -1 where there is none.
func (c *changes) tellOne(before *batch.Batch, i int, after *batch.Batch, j int) {
	switch {
	case i < 0 && j < 0:
	case i < 0:
		c.addRow(after, j, batch.Insert)
	case j < 0:
		c.addRow(before, i, batch.Delete)
	case !c.sameResults(before, i, after, j):
		c.addRow(before, i, batch.UpdateBefore)
		c.addRow(after, j, batch.UpdateAfter)
	}
}

func (c *changes) addRow(from *batch.Batch, row int, op batch.Op) {
	for i := range c.tell.Cols {
		c.tell.Cols[i].AppendFrom(&from.Cols[i], row)
	}
	c.tell.Ops = append(c.tell.Ops, op)
	c.tell.N++
}

// sameResults compares the aggregates of two rows.
func (c *changes) sameResults(before *batch.Batch, i int, after *batch.Batch, j int) bool {
	for col := c.p.before + len(c.p.keyType); col < len(before.Cols); col++ {
		if !sameValue(&before.Cols[col], i, &after.Cols[col], j) {
			return false
		}
	}
	return true
}

// sameValue compares two values of one type bit by bit.
func sameValue(a *batch.Vec, i int, b *batch.Vec, j int) bool {
	if a.IsNull(i) || b.IsNull(j) {
		return a.IsNull(i) == b.IsNull(j)
	}
	switch a.Type.Phys() {
	case types.PhysInt:
		return a.I64[i] == b.I64[j]
	case types.PhysFloat:
		return a.F64[i] == b.F64[j] || a.F64[i] != a.F64[i] && b.F64[j] != b.F64[j]
	}
	return bytes.Equal(a.Bytes(i), b.Bytes(j))
}

// keep forgets the changes of windows that end at or before upTo.
func (c *changes) keep(upTo types.EventTime) error {
	if len(c.order) == len(c.list) {
		c.clearIndex()
		c.list = c.list[:0]
		c.before.Reset()
		c.saved, c.told, c.toldN = 0, nil, 0
		c.p.time.restored = true // nothing that is there counts
		return nil
	}
	saved := 0
	for i, ch := range c.list {
		switch {
		case ch.end <= upTo:
			c.noteTold(i, ch)
		case i < c.saved:
			saved++
		}
	}
	c.saved = saved
	return c.only(func(_ int, ch change) bool { return ch.end > upTo })
}

func (c *changes) clearIndex() {
	if len(c.index) > indexKept {
		c.index = map[changeKey]uint32{}
	} else {
		clear(c.index)
	}
}

// only forgets the changes for which keep is false.
func (c *changes) only(keep func(i int, ch change) bool) error {
	c.clearIndex()
	c.spare.Reset()
	list := c.list
	c.list = c.list[:0]
	for i, ch := range list {
		if !keep(i, ch) {
			continue
		}
		c.spare.Grow(len(c.list) + 1)
		if err := c.p.merge(&c.spare, uint32(len(c.list)), &c.before, uint32(i)); err != nil {
			return err
		}
		c.add(ch)
	}
	c.before, c.spare = c.spare, c.before
	return nil
}

// restride makes room for more aggregates.
func (c *changes) restride() error {
	c.spare = agg.Slab{Stride: c.p.stride}
	c.spare.Grow(len(c.list))
	for i := range c.list {
		if err := c.p.merge(&c.spare, uint32(i), &c.before, uint32(i)); err != nil {
			return err
		}
	}
	c.before, c.spare, c.after = c.spare, agg.Slab{Stride: c.p.stride}, agg.Slab{Stride: c.p.stride}
	return nil
}

// renumber follows a new dictionary.
func (c *changes) renumber(to []uint32) {
	clear(c.index)
	for i := range c.list {
		c.list[i].kid = to[c.list[i].kid]
		c.index[c.list[i].changeKey] = uint32(i)
	}
	c.seen = c.seen[:0]
}

func (c *changes) bytes() int64 {
	return c.before.Bytes() + c.after.Bytes() + c.spare.Bytes() + capBytes(c.list) + int64(len(c.index))*changeBytes + capBytes(c.told) +
		capBytes(c.order) + capBytes(c.seen) + c.tellScratch.bytes()
}

func (t *tellScratch) bytes() int64 {
	return capBytes(t.cells) + capBytes(t.oldAt) + capBytes(t.newAt) + scratchBytes(t.old) + scratchBytes(t.tell)
}
