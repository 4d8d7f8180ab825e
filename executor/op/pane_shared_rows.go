package op

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// sharedRows are rows of results with the aggregates of all members of shared state, so that these are computed once; each member
// looks at its own columns of them.
type sharedRows struct {
	b *batch.Batch
	// ok: no result is an error. Where one is, members compute their own, because the error may not be theirs.
	ok    bool
	cells []cell
	view  batch.Batch
}

// init makes room for the rows of p, whose output has no schema of its own.
func (r *sharedRows) init(p *PaneAgg) {
	schema := &types.Schema{}
	for range p.before {
		schema.Cols = append(schema.Cols, types.Column{Type: types.T(types.TimestampTZ)})
	}
	for _, k := range p.keyType {
		schema.Cols = append(schema.Cols, types.Column{Type: k})
	}
	for i := range p.aggs {
		schema.Cols = append(schema.Cols, types.Column{Type: p.aggs[i].kernel.Type()})
	}
	*r = sharedRows{b: batch.New(schema, nil)}
}

// fill makes the rows of cells; keys: bounds and keys too.
func (r *sharedRows) fill(p *PaneAgg, s *agg.Slab, cells []cell, keys bool) error {
	r.cells = append(r.cells[:0], cells...)
	_, err := p.out.fill(p, r.b, s, r.cells, func(_ cell, err error) error { return err })
	if r.ok = err == nil; r.ok && keys {
		return p.out.fillKeys(p, r.b, r.cells)
	}
	return nil
}

// of is the rows as a member has them, valid until the next call.
func (r *sharedRows) of(p *PaneAgg) *batch.Batch {
	v := &r.view
	first := p.before + len(p.keyType)
	v.Schema, v.N = p.schema, r.b.N
	v.Cols = append(v.Cols[:0], r.b.Cols[:first]...)
	for _, at := range p.sharedAt {
		v.Cols = append(v.Cols, r.b.Cols[first+at])
	}
	return v
}

// pass are those of rows from the first one on that pass a member's having, ascending; valid until the next call. fail takes errors.
func (r *sharedRows) pass(p *PaneAgg, first int, fail onError) (rows []uint32, err error) {
	b := r.of(p)
	if p.having == nil {
		return batch.All(b.N)[first:], nil
	}
	p.out.rows, err = p.passing(b, batch.All(b.N)[first:], p.out.rows[:0], r.cells, fail)
	return p.out.rows, err
}

// passAll finds the keys of the window that closes that pass the having of each member that looks at rows.
func (s *SharedPanes) passAll() error {
	p, o, some, keys := &s.all, s.all.out, false, false
	for _, m := range s.members {
		if m.panes.asksRows(s) {
			some, keys = true, keys || m.panes.havingKeys
			m.panes.passed = nil
		}
	}
	if !some {
		return nil
	}
	o.slab.Stride = p.stride
	s.keys = s.states.keys(s.keys[:0])
	for kids := s.keys; len(kids) > 0; {
		s.kids = kids[:min(len(kids), batch.RowsMax)]
		kids = kids[len(s.kids):]
		st, err := o.cellsOf(s.end, s.states, s.kids)
		if err == nil {
			err = s.rows[0].fill(p, st, o.cells, keys)
		}
		if err != nil {
			return err
		}
		for _, m := range s.members {
			if m.panes.asksRows(s) {
				m.Drive(m.pass)
			}
		}
	}
	return nil
}

// asksRows reports that a member has part in the window that closes, and a having for which states do not do.
func (p *PaneAgg) asksRows(s *SharedPanes) bool {
	return s.end > p.upTo && p.having != nil && !(p.inRange.kernel != nil && s.states == windowStates(s.all.past.running))
}

// passShared adds those of the keys in work that pass having to those that are kept.
func (p *PaneAgg) passShared(s *SharedPanes) error {
	r, o := &s.rows[0], p.out
	if !r.ok {
		defer p.lookAt(s)()
		o.kept = o.kept[:0]
		err := o.passing(p, s.end, s.states, s.kids)
		p.passed = append(p.passed, o.kept...)
		return err
	}
	rows, err := r.pass(p, 0, p.reports())
	for _, row := range rows {
		p.passed = append(p.passed, r.cells[row].kid)
	}
	return err
}

// tellAll has the members tell of the changes in order, which are ordered by window.
func (s *SharedPanes) tellAll(order []uint32) error {
	c := &s.all.changes
	for len(order) > 0 {
		s.order = order[:min(len(order), chunkChanges)]
		order = order[len(s.order):]
		c.cells, s.oldAt = c.cells[:0], s.oldAt[:0]
		for _, at := range s.order {
			s.oldAt = append(s.oldAt, -1)
			if ch := &c.list[at]; ch.had {
				s.oldAt[len(s.oldAt)-1] = int32(len(c.cells))
				c.cells = append(c.cells, cell{ch.end, ch.kid, at})
			}
		}
		if err := s.rows[0].fill(&s.all, &c.before, c.cells, true); err != nil {
			return err
		}
		c.cells = c.cells[:0]
		for _, at := range s.order {
			c.cells = append(c.cells, cell{c.list[at].end, c.list[at].kid, at})
		}
		if err := s.rows[1].fill(&s.all, &c.after, c.cells, true); err != nil {
			return err
		}
		for _, m := range s.members {
			if c.list[s.order[len(s.order)-1]].end > m.panes.upTo {
				m.Drive(m.tell)
			}
		}
	}
	return nil
}

// tellShared tells what changed in shared windows.
func (p *PaneAgg) tellShared(s *SharedPanes, out Emitter) error {
	list, skip := s.all.changes.list, 0
	for list[s.order[skip]].end <= p.upTo {
		skip++
	}
	if !s.rows[0].ok || !s.rows[1].ok {
		defer p.lookAt(s)()
		return p.changes.tellAll(&s.all.changes, s.order[skip:], out)
	}
	c := &p.changes
	c.makeRows()
	before, after := s.rows[0].of(p), s.rows[1].of(p)
	first := before.N // of those that are told
	for _, at := range s.oldAt[skip:] {
		if at >= 0 {
			first = int(at)
			break
		}
	}
	rows, err := s.rows[0].pass(p, first, silent)
	if err != nil {
		return err
	}
	c.oldAt = c.oldAt[:0]
	for _, at := range s.oldAt {
		for len(rows) > 0 && int32(rows[0]) < at {
			rows = rows[1:]
		}
		if at >= 0 && (len(rows) == 0 || int32(rows[0]) != at) {
			at = -1
		}
		c.oldAt = append(c.oldAt, at)
	}
	if rows, err = s.rows[1].pass(p, skip, p.reports()); err != nil {
		return err
	}
	c.tell.Reset(nil)
	for i := range s.order {
		now := -1
		if len(rows) > 0 && int(rows[0]) == i {
			now, rows = i, rows[1:]
		}
		if i >= skip {
			c.tellOne(before, int(c.oldAt[i]), after, now)
		}
	}
	return c.sendTold(out)
}
