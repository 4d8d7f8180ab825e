package op

// paneScratch is what the members of shared panes make rows with, one after the other, each while it is driven: none has any of its own
// for what is shared.
type paneScratch struct {
	out  paneOutput
	tell tellScratch
}

// lend has do done with the scratch of s.
func (p *PaneAgg) lend(s *SharedPanes, do func() error) func() error {
	return func() error {
		out, tell := p.out, p.changes.tellScratch
		defer func() { p.out, p.changes.tellScratch = out, tell }()
		p.out, p.changes.tellScratch = &s.lent.out, &s.lent.tell
		p.out.use(p.schema)
		return do()
	}
}

// tellHits sends what rows set off in windows of its own and in shared ones, and keeps no room for it: few batches set off anything.
func (p *PaneAgg) tellHits(out Emitter) error {
	f := &p.firsts
	err := f.emit(out)
	dropScratch(f.found)
	f.hits = nil
	return err
}

// scratch is the memory of what is made of the panes.
func (s *SharedPanes) scratch() int64 {
	n := s.lent.out.bytes() + s.lent.tell.bytes() + capBytes(s.keys) + capBytes(s.oldAt)
	for i := range s.rows {
		n += scratchBytes(s.rows[i].b) + capBytes(s.rows[i].cells)
	}
	return n
}
