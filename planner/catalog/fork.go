package catalog

// PgTemp is the schema of a connection's temporary tables.
const PgTemp = "pg_temp"

// Fork returns a catalogue of its own that begins with a snapshot: an open transaction changes it, and nobody else sees it.
func Fork(s *Snapshot) *Catalog {
	c := &Catalog{}
	c.cur.Store(s)
	return c
}

// Restore makes a snapshot the current state again.
func (c *Catalog) Restore(s *Snapshot) { c.cur.Store(s) }

// WithTemp returns the snapshot as a connection sees it that has temporary tables: they come before all other relations of
// their names.
func (s *Snapshot) WithTemp(tables []*Table) *Snapshot {
	if len(tables) == 0 {
		return s
	}
	next := *s
	next.temp = map[string]*Table{}
	for _, t := range tables {
		next.temp[t.Name] = t
		next.byID = next.byID.with(t.ID, t)
	}
	return &next
}
