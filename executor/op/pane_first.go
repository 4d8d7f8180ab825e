package op

import (
	"cmp"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// firsts is EMIT FIRST: a group of a window is told once, by the row that makes HAVING true, with the aggregates as they are
// at that row. Rows of a batch that have different keys cannot set off each other's groups, so they are folded together: the
// first row of each key, then the second of each, and so on.
type firsts struct {
	p *PaneAgg
	// fired are the groups told, where a window has several panes; else the panes' marks say all, and done has them by bit.
	fired map[changeKey]struct{}
	// firedMost is the most that fired had since it was made.
	firedMost int

	// Of the batch being processed:
	rows, places []uint32 // those on time, and their indexes in the selection
	round        []uint32 // by row: how many rows with its key came before
	count        []uint32 // by key
	left         []uint32 // indexes of rows whose turn has not come
	check        agg.Slab
	cells        []cell
	at           []uint32 // by cell: the row
	hits         []hit
	found        *batch.Batch            // the rows of hits
	keep         func(row, place uint32) // the method keepRow, bound once

	shared sharedFirsts
}

// hit is a row of found, and what set it off.
type hit struct {
	row uint32
	end types.EventTime
	at  int
}

func (f *firsts) init(p *PaneAgg, schema *types.Schema) {
	f.p, f.fired, f.check.Stride = p, map[changeKey]struct{}{}, p.stride
	f.found = batch.New(schema, nil)
	f.keep = f.keepRow
}

func (f *firsts) keepRow(row, place uint32) {
	f.rows, f.places = append(f.rows, row), append(f.places, place)
}

// foldFirst is fold for EMIT FIRST; it emits what the rows set off, in the order of the rows.
func (p *PaneAgg) foldFirst(in Input, from, to int, out Emitter) error {
	if err := p.foldHits(in, from, to); err != nil {
		return err
	}
	return p.firsts.emit(out)
}

// foldHits folds rows and notes what they set off.
func (p *PaneAgg) foldHits(in Input, from, to int) error {
	f := &p.firsts
	f.rows, f.places = f.rows[:0], f.places[:0]
	if err := p.assign(in, from, to, f.keep); err != nil {
		return err
	}
	kept, keys, at, err := p.foldRows(in, f.rows, f.places)
	if err != nil || len(kept) == 0 {
		return err
	}
	if err := p.number(keys, at); err != nil {
		return err
	}
	f.rows = append(f.rows[:0], kept...) // kept belongs to the evaluation, which goes on
	// Rows that failed have been reported; the others are evaluated again, round by round.
	report := p.ctx.RowError
	if report != nil {
		p.ctx.RowError = ignoreRow
	}
	err = f.rounds(in)
	p.ctx.RowError = report
	return err
}

// rounds folds the rows, each key's one after the other.
func (f *firsts) rounds(in Input) error {
	p := f.p
	f.count = growTo(f.count, p.dict.Len())
	f.left, f.round = f.left[:0], f.round[:0]
	for i, kid := range p.kids {
		f.round = append(f.round, f.count[kid])
		f.count[kid]++
		if !f.over(f.timeOf(in, f.rows[i]), kid) {
			f.left = append(f.left, uint32(i))
		}
	}
	for _, kid := range p.kids {
		f.count[kid] = 0
	}
	for n := uint32(0); len(f.left) > 0; n++ {
		if err := f.turn(in, n); err != nil {
			return err
		}
	}
	return nil
}

func (f *firsts) timeOf(in Input, row uint32) types.EventTime {
	if !f.p.windowed {
		return 0
	}
	return types.EventTime(in.B.Cols[f.p.timeCol].I64[row])
}

// over reports that no window will need a row any more: the only one that holds it has told the key's group.
func (f *firsts) over(t types.EventTime, kid uint32) bool {
	if !f.p.past.single || f.p.sharing != nil {
		return false
	}
	_, done := f.fired[changeKey{f.endOf(t), kid}]
	return done
}

// endOf is the end of the only window that holds t.
func (f *firsts) endOf(t types.EventTime) types.EventTime {
	if !f.p.windowed {
		return types.MaxTime
	}
	return f.p.grid.FirstEnd(t)
}

// turn folds the rows of round n, and takes them out of left.
func (f *firsts) turn(in Input, n uint32) error {
	p := f.p
	p.touched = p.touched[:0]
	rest := f.left[:0]
	f.cells, f.at = f.cells[:0], f.at[:0]
	for _, i := range f.left {
		if f.round[i] != n {
			rest = append(rest, i)
			continue
		}
		row, kid := f.rows[i], p.kids[i]
		t := f.timeOf(in, row)
		if f.over(t, kid) {
			continue
		}
		pn := p.paneOf(p.startOf(t))
		if len(pn.rows) == 0 {
			p.touched = append(p.touched, pn)
		}
		pn.rows, pn.kids = append(pn.rows, row), append(pn.kids, kid)
		f.windows(t, row, kid)
	}
	f.left = rest
	for _, pn := range p.touched {
		err := p.eval(in.B, pn.rows)
		if err == nil {
			err = p.update(pn, pn.rows, pn.kids)
		}
		pn.rows, pn.kids = pn.rows[:0], pn.kids[:0]
		if err != nil {
			return err
		}
	}
	return f.examine(in)
}

// windows adds a cell for each window that a row may set off.
func (f *firsts) windows(t types.EventTime, row, kid uint32) {
	lo, hi := types.MaxTime, types.MaxTime
	if f.p.windowed {
		lo, hi = f.p.notFinal(t)
		hi = min(hi, f.p.upTo)
	}
	for end := lo; end <= hi; end += types.EventTime(f.p.grid.Slide) {
		if _, done := f.fired[changeKey{end, kid}]; !done {
			f.cells = append(f.cells, cell{end: end, kid: kid})
			f.at = append(f.at, row)
		}
		if !f.p.windowed {
			break
		}
	}
}

// examine notes the groups of cells that pass having.
func (f *firsts) examine(in Input) error {
	p := f.p
	if p.sharing != nil {
		return p.sharing.examine()
	}
	for len(f.cells) > 0 {
		n := min(len(f.cells), batch.RowsMax)
		if err := f.states(n); err != nil {
			return err
		}
		good, rows, err := p.out.rowsOf(p, p.out.b, &f.check, f.cells[:n], p.reports())
		if err != nil {
			return err
		}
		for _, r := range rows {
			f.fire(in, good[r], f.at[good[r].gid], int(r))
		}
		f.cells, f.at = f.cells[n:], f.at[n:]
	}
	return nil
}

// states puts the states of the first n cells together, in the groups 0, 1, ... of check.
func (f *firsts) states(n int) error {
	f.check.Reset()
	f.check.Grow(n)
	for i := range f.cells[:n] {
		c := &f.cells[i]
		if i == 0 || f.cells[i-1].kid != c.kid {
			f.p.walk.begin(c.kid)
		}
		c.gid = uint32(i)
		if _, err := f.p.walk.addTo(&f.check, c.gid, c.end); err != nil {
			return err
		}
	}
	return nil
}

// hit keeps row r of b, which a row of the input has set off.
func (f *firsts) hit(b *batch.Batch, r int, end types.EventTime, row uint32) {
	for i := range b.Cols {
		f.found.Cols[i].AppendFrom(&b.Cols[i], r)
	}
	f.hits = append(f.hits, hit{row, end, f.found.N})
	f.found.N++
}

// windowOf tells which of the windows that hold t ends at end: 0 is the one that ends first.
func (f *firsts) windowOf(t, end types.EventTime) uint32 {
	if !f.p.windowed {
		return 0
	}
	return uint32(int64(end-f.p.grid.FirstEnd(t)) / f.p.grid.Slide)
}

// fire notes that row r of the output has been set off by a row of the input.
func (f *firsts) fire(in Input, c cell, row uint32, r int) {
	f.hit(f.p.out.b, r, c.end, row)
	f.fired[changeKey{c.end, c.kid}] = struct{}{}
	t := f.timeOf(in, row)
	pn := f.p.paneOf(f.p.startOf(t))
	gid, _ := pn.find(c.kid)
	pn.fired.add(firedMark{gid, f.windowOf(t, c.end)})
	pn.dirty.Mark(gid)
}

// emit sends the hits in the order of the rows that set them off, and of windows.
func (f *firsts) emit(out Emitter) error {
	slices.SortFunc(f.hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(a.row, b.row), cmp.Compare(a.end, b.end))
	})
	b := f.p.out.b
	for hits := f.hits; len(hits) > 0; {
		n := min(len(hits), batch.RowsMax)
		b.Reset(nil)
		for _, h := range hits[:n] {
			for i := range b.Cols {
				b.Cols[i].AppendFrom(&f.found.Cols[i], h.at)
			}
		}
		b.N = n
		if err := out.Emit(Input{B: b, Sel: batch.All(n)}); err != nil {
			return err
		}
		hits = hits[n:]
	}
	f.hits = f.hits[:0]
	f.found.Reset(nil)
	return nil
}

// leave forgets what the rows of a pane have set off; the windows are final.
func (f *firsts) leave(pn *pane) {
	f.firedMost = max(f.firedMost, len(f.fired))
	for _, m := range pn.fired.list {
		delete(f.fired, changeKey{f.endOfMark(pn, m), pn.ids[m.gid]})
	}
	if f.firedMost > firedKept && len(f.fired) < f.firedMost/firedShrink {
		f.shrinkFired()
	}
}

const (
	// firedKept is the number of groups told whose room is kept in any case; firedShrink the part of the room that must be used.
	firedKept, firedShrink = 1024, 8
	// firedBytes is what one of them takes in a map, about: its key, and places that are free.
	firedBytes = 48
)

// endOfMark is the end of the window that a mark is about.
func (f *firsts) endOfMark(pn *pane, m firedMark) types.EventTime {
	if !f.p.windowed {
		return types.MaxTime
	}
	return f.p.grid.FirstEnd(pn.start) + types.EventTime(int64(m.window)*f.p.grid.Slide)
}

// renumber follows a new dictionary; the panes have done so.
func (f *firsts) renumber([]uint32) {
	clear(f.fired)
	for _, pn := range f.p.panes {
		for _, m := range pn.fired.list {
			f.fired[changeKey{f.endOfMark(pn, m), pn.ids[m.gid]}] = struct{}{}
		}
	}
	f.count = f.count[:0]
	if f.p.sharing != nil {
		f.p.sharing.renumbered()
	}
}

func (f *firsts) bytes() int64 {
	most := max(f.firedMost, len(f.fired))
	return f.check.Bytes() + int64(most)*firedBytes + int64(len(f.shared.fired))*56 + scratchBytes(f.found) + capBytes(f.hits) + capBytes(f.cells) +
		capBytes(f.at)
}
