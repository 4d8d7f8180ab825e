package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// sharedFirsts is what a member of shared panes has told of their windows, with EMIT FIRST.
type sharedFirsts struct {
	fired map[changeKey]struct{} // by the numbers of keys there
	// marks are, by the start of a pane, what its rows have set off: as pane.fired.
	marks map[types.EventTime]*firedMarks
}

// foldFirst is PaneAgg.foldFirst for all members: each row is folded once, and looked at by each of them. What it sets off in own and
// in shared windows comes out in one order.
func (s *SharedPanes) foldFirst(in Input, from, to int) error {
	s.from, s.to = from, to
	s.own((*Member).toTake)
	if err := s.all.foldHits(in, from, to); err != nil {
		return err
	}
	for _, m := range s.members {
		if len(m.panes.firsts.hits) > 0 {
			m.Drive(m.tell)
		}
	}
	return nil
}

// examine has the members look at the cells of the turn.
func (s *SharedPanes) examine() error {
	f := &s.all.firsts
	for len(f.cells) > 0 {
		n := min(len(f.cells), batch.RowsMax)
		if err := f.states(n); err != nil {
			return err
		}
		if err := s.rows[0].fill(&s.all, &f.check, f.cells[:n], true); err != nil {
			return err
		}
		for _, m := range s.members {
			m.Drive(m.examine)
		}
		f.cells, f.at = f.cells[n:], f.at[n:]
	}
	return nil
}

// examineShared tells the cells of shared windows that pass having and have not been told.
func (p *PaneAgg) examineShared(s *SharedPanes) error {
	r := &s.rows[0]
	if !r.ok {
		return p.examineAlone(s)
	}
	b, o := r.of(p), p.out
	o.all = o.all[:0]
	for row, c := range r.cells {
		if p.untold(c) {
			o.all = append(o.all, uint32(row))
		}
	}
	rows := o.all
	if p.having != nil && len(rows) > 0 {
		var err error
		if o.rows, err = p.passing(b, rows, o.rows[:0], r.cells, p.reports()); err != nil {
			return err
		}
		rows = o.rows
	}
	for _, row := range rows {
		p.fireShared(s, b, row, r.cells[row])
	}
	return nil
}

// examineAlone is examineShared where results of some cell are errors.
func (p *PaneAgg) examineAlone(s *SharedPanes) error {
	defer p.lookAt(s)()
	f := &p.firsts
	f.cells = f.cells[:0]
	for _, c := range s.rows[0].cells {
		if p.untold(c) {
			f.cells = append(f.cells, c)
		}
	}
	good, rows, err := p.out.rowsOf(p, p.out.b, &s.all.firsts.check, f.cells, p.reports())
	for _, row := range rows {
		p.fireShared(s, p.out.b, row, good[row])
	}
	return err
}

// untold reports that a cell is of a shared window, and was not told.
func (p *PaneAgg) untold(c cell) bool {
	_, told := p.firsts.shared.fired[changeKey{c.end, c.kid}]
	return c.end > p.upTo && !told
}

// fireShared notes that a row of b has been set off, by the row of the input that the cell is of.
func (p *PaneAgg) fireShared(s *SharedPanes, b *batch.Batch, row uint32, c cell) {
	f, all := &p.firsts, &s.all
	by := all.firsts.at[c.gid]
	f.hit(b, int(row), c.end, by)
	t := all.firsts.timeOf(s.in, by)
	pn := all.paneOf(all.startOf(t))
	gid, _ := pn.find(c.kid)
	m := firedMark{gid, all.firsts.windowOf(t, c.end)}
	f.addShared(pn, m)
	if p.sharesPane(pn) {
		return
	}
	// The checkpoint has the pane that is the member's own.
	kid, _ := p.dict.Find(all.dict.Key(c.kid), all.dict.Hash(c.kid))
	own := p.paneOf(pn.start)
	m.gid, _ = own.find(kid)
	own.fired.add(m)
	own.dirty.Mark(m.gid)
	f.fired[changeKey{c.end, kid}] = struct{}{}
}

// addShared notes that a group of a shared pane has set off a window.
func (f *firsts) addShared(pn *pane, m firedMark) {
	if f.shared.fired == nil {
		f.shared = sharedFirsts{map[changeKey]struct{}{}, map[types.EventTime]*firedMarks{}}
	}
	f.shared.fired[changeKey{f.endOfMark(pn, m), pn.ids[m.gid]}] = struct{}{}
	at := f.shared.marks[pn.start]
	if at == nil {
		at = &firedMarks{}
		f.shared.marks[pn.start] = at
	}
	at.add(m)
}

// of are the marks of a shared pane.
func (f *sharedFirsts) of(pn *pane) *firedMarks {
	if at := f.marks[pn.start]; at != nil {
		return at
	}
	return &firedMarks{}
}

// marksOf are the marks of a pane, by group, that is the operator's own or shared.
func (p *PaneAgg) marksOf(pn *pane) []firedMark {
	if p.from == p {
		return pn.fired.byGroup()
	}
	return p.firsts.shared.of(pn).byGroup()
}

// leaveShared forgets what the rows of a shared pane have set off.
func (p *PaneAgg) leaveShared(pn *pane) {
	f := &p.firsts
	for _, m := range f.shared.of(pn).list {
		delete(f.shared.fired, changeKey{f.endOfMark(pn, m), pn.ids[m.gid]})
	}
	delete(f.shared.marks, pn.start)
}

// renumbered follows a new dictionary of shared panes, which have done so.
func (s *SharedPanes) renumbered() {
	for _, m := range s.members {
		f := &m.panes.firsts
		clear(f.shared.fired)
		for _, pn := range s.all.panes {
			for _, mark := range f.shared.of(pn).list {
				f.shared.fired[changeKey{f.endOfMark(pn, mark), pn.ids[mark.gid]}] = struct{}{}
			}
		}
	}
}
