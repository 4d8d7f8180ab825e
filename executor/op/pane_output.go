package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// cell is one group of one window: gid is where its state lies in a slab, kid its key.
type cell struct {
	end types.EventTime
	kid uint32
	gid uint32
}

// paneOutput is the scratch with which states become rows.
type paneOutput struct {
	b       *batch.Batch
	sorter  state.Sorter
	all     []uint32 // keys of a window
	kept    []uint32 // those that pass having
	sorted  []uint32 // keys of dict in the order of their bytes, of the first ordered ones
	ordered int
	cells   []cell
	good    []cell
	gids    []uint32
	rows    []uint32
	vecs    []*batch.Vec
	slab    agg.Slab
}

// use makes rows of a schema from now on.
func (o *paneOutput) use(schema *types.Schema) { o.b = emptied(o.b, schema) }

func (o *paneOutput) bytes() int64 {
	return o.slab.Bytes() + o.sorter.Bytes() + scratchBytes(o.b) + capBytes(o.all) + capBytes(o.kept) + capBytes(o.sorted) + capBytes(o.cells) +
		capBytes(o.good) + capBytes(o.gids) + capBytes(o.rows)
}

// windowStates gives the states of a window that closes.
type windowStates interface {
	// keys appends the keys that the window has, in any order.
	keys(dst []uint32) []uint32
	// states returns a slab with the states of keys, which may be dst: in the groups 0, 1, ... or, when byKey is true, in those
	// that have the keys' numbers.
	states(dst *agg.Slab, kids []uint32) (from *agg.Slab, byKey bool, err error)
}

var _, _, _ windowStates = (*pastPanes)(nil), (*runningPanes)(nil), paneStates{}

func (q *pastPanes) keys(dst []uint32) []uint32 {
	for kid := range uint32(q.p.dict.Len()) {
		if q.present(kid) {
			dst = append(dst, kid)
		}
	}
	return dst
}

// paneStates are those of a window that is one pane.
type paneStates struct {
	p  *PaneAgg
	pn *pane
}

func (s paneStates) keys(dst []uint32) []uint32 { return append(dst, s.pn.ids...) }

func (s paneStates) states(dst *agg.Slab, kids []uint32) (*agg.Slab, bool, error) {
	dst.Reset()
	dst.Grow(len(kids))
	for n, kid := range kids {
		gid, _ := s.pn.find(kid)
		if err := s.p.merge(dst, uint32(n), &s.pn.slab, gid); err != nil {
			return nil, false, err
		}
	}
	return dst, false, nil
}

// window emits the groups of a window that pass having, ordered by the bytes of their keys.
func (o *paneOutput) window(p *PaneAgg, end types.EventTime, from windowStates, out Emitter) error {
	o.slab.Stride = p.from.stride
	kids, err := o.kidsOf(p, end, from)
	if err != nil {
		return err
	}
	return o.emit(p, end, from, kids, out)
}

// emit emits the groups of keys.
func (o *paneOutput) emit(p *PaneAgg, end types.EventTime, from windowStates, kids []uint32, out Emitter) error {
	o.slab.Stride = p.from.stride
	if len(kids) == 0 {
		return nil // the dictionary may have been given up with its order, where rows of the window have failed
	}
	kids = p.from.out.inOrder(p.from, kids)
	for len(kids) > 0 {
		n := min(len(kids), batch.RowsMax)
		good, err := o.fillFrom(p, end, from, kids[:n])
		if err != nil {
			return err
		}
		if err := o.fillKeys(p, o.b, good); err != nil {
			return err
		}
		if len(good) > 0 {
			if err := out.Emit(Input{B: o.b, Sel: batch.All(len(good))}); err != nil {
				return err
			}
		}
		kids = kids[n:]
	}
	return nil
}

// kidsOf returns the keys of a window that pass having, in any order.
func (o *paneOutput) kidsOf(p *PaneAgg, end types.EventTime, from windowStates) ([]uint32, error) {
	if run, ok := from.(*runningPanes); ok && p.inRange.kernel != nil {
		if o.kept, ok = run.passing(p, o.kept[:0]); ok {
			return o.kept, nil
		}
	}
	o.all = from.keys(o.all[:0])
	if p.having == nil {
		return o.all, nil
	}
	o.kept = o.kept[:0]
	err := o.passing(p, end, from, o.all)
	return o.kept, err
}

// fillFrom is fill of the batch with keys of a window.
func (o *paneOutput) fillFrom(p *PaneAgg, end types.EventTime, from windowStates, kids []uint32) ([]cell, error) {
	s, err := o.cellsOf(end, from, kids)
	if err != nil {
		return nil, err
	}
	return o.fill(p, o.b, s, o.cells, p.reports())
}

// cellsOf makes the cells of keys of a window, and returns the slab with their states.
func (o *paneOutput) cellsOf(end types.EventTime, from windowStates, kids []uint32) (*agg.Slab, error) {
	s, byKey, err := from.states(&o.slab, kids)
	if err != nil {
		return nil, err
	}
	o.cells = o.cells[:0]
	for n, kid := range kids {
		c := cell{end, kid, uint32(n)}
		if byKey {
			c.gid = kid
		}
		o.cells = append(o.cells, c)
	}
	return s, nil
}

// inOrder returns keys in the order of their bytes. When many of the dictionary are wanted, its order is kept for the next
// window, where it is the same if no key came.
func (o *paneOutput) inOrder(p *PaneAgg, kids []uint32) []uint32 {
	if len(kids) < p.dict.Len()/4 {
		o.gids = o.sorter.SortOf(&p.dict, kids, o.gids[:0])
		o.all = append(o.all[:0], o.gids...)
		return o.all
	}
	if o.ordered != p.dict.Len() {
		o.sorted = o.sorter.Sort(&p.dict, o.sorted[:0])
		o.ordered = p.dict.Len()
	}
	if len(kids) == len(o.sorted) {
		return o.sorted
	}
	o.rows = growTo(o.rows[:0], (p.dict.Len()+31)/32)
	for _, kid := range kids {
		o.rows[kid>>5] |= 1 << (kid & 31)
	}
	o.all = o.all[:0]
	for _, kid := range o.sorted {
		if o.rows[kid>>5]&(1<<(kid&31)) != 0 {
			o.all = append(o.all, kid)
		}
	}
	return o.all
}

// passing adds those of keys that pass having to kept. Keys are decoded only when having reads them.
func (o *paneOutput) passing(p *PaneAgg, end types.EventTime, from windowStates, kids []uint32) error {
	o.slab.Stride = p.from.stride
	for len(kids) > 0 {
		n := min(len(kids), batch.RowsMax)
		good, err := o.fillFrom(p, end, from, kids[:n])
		if err != nil {
			return err
		}
		if p.havingKeys {
			if err := o.fillKeys(p, o.b, good); err != nil {
				return err
			}
		}
		if o.rows, err = p.passing(o.b, batch.All(len(good)), o.rows[:0], good, p.reports()); err != nil {
			return err
		}
		for _, row := range o.rows {
			o.kept = append(o.kept, good[row].kid)
		}
		kids = kids[n:]
	}
	return nil
}

// onError is what happens to an error in the result of a group.
type onError func(c cell, err error) error

// reports gives errors to who takes them; without, they end the call.
func (p *PaneAgg) reports() onError {
	return func(c cell, err error) error {
		if p.groupError == nil {
			if !p.windowed {
				return err
			}
			return fmt.Errorf("window from %s: %w", types.NewTime(p.grid.Start(c.end)).Text(), err)
		}
		p.groupError(p.windowOf(c.end), err)
		return nil
	}
}

// silent leaves groups out whose errors have been told before.
func silent(cell, error) error { return nil }

// fill resets b and fills in the aggregates of cells. It returns the cells whose results are no errors, one for each row;
// valid until the next call.
func (o *paneOutput) fill(p *PaneAgg, b *batch.Batch, s *agg.Slab, cells []cell, fail onError) ([]cell, error) {
	for {
		o.gids = o.gids[:0]
		for _, c := range cells {
			o.gids = append(o.gids, c.gid)
		}
		b.Reset(nil)
		b.N = len(cells)
		bad, err := p.results(b, s, o.gids)
		if err == nil {
			return cells, nil
		}
		if err := fail(cells[bad], err); err != nil {
			return nil, err
		}
		o.good = append(append(o.good[:0], cells[:bad]...), cells[bad+1:]...)
		cells = o.good
	}
}

// results appends the aggregates of groups; bad is the index of the group whose result is the error.
func (g *grouping) results(b *batch.Batch, s *agg.Slab, gids []uint32) (bad int, err error) {
	first := g.before + len(g.keyType)
	for i := range g.aggs {
		k, col := g.aggs[i].kernel, &b.Cols[first+i]
		if g.aggs[i].off {
			for range gids {
				col.AppendNull()
			}
			continue
		}
		if bulk, ok := k.(agg.BulkResult); ok && bulk.Results(col, s, g.offs[i], gids) {
			continue
		}
		for n, gid := range gids {
			v, err := k.Result(s, g.offs[i], gid)
			if err != nil {
				return n, err
			}
			col.AppendValue(v)
		}
	}
	return 0, nil
}

// fillKeys adds the windows' bounds and the keys of cells to the batch.
func (o *paneOutput) fillKeys(p *PaneAgg, b *batch.Batch, cells []cell) error {
	o.vecs = o.vecs[:0]
	for i := range p.keyType {
		o.vecs = append(o.vecs, &b.Cols[p.before+i])
	}
	for _, c := range cells {
		if p.windowed {
			b.Cols[0].AppendInt(int64(p.grid.Start(c.end)))
			b.Cols[1].AppendInt(int64(c.end))
		}
		if _, err := batch.DecodeKey(p.from.dict.Key(c.kid), o.vecs); err != nil {
			return fmt.Errorf("key of a group: %w", err)
		}
	}
	return nil
}

// rowsOf fills b with the rows of cells, keys included, and returns those cells whose results are no errors, and which of
// the rows pass having; both valid until the next call.
func (o *paneOutput) rowsOf(p *PaneAgg, b *batch.Batch, s *agg.Slab, cells []cell, fail onError) (good []cell, rows []uint32, err error) {
	if good, err = o.fill(p, b, s, cells, fail); err != nil {
		return nil, nil, err
	}
	if err := o.fillKeys(p, b, good); err != nil {
		return nil, nil, err
	}
	if p.having == nil {
		return good, batch.All(len(good)), nil
	}
	o.rows, err = p.passing(b, batch.All(len(good)), o.rows[:0], good, fail)
	return good, o.rows, err
}
