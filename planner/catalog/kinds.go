package catalog

// kinds are the relations of users by what they are, so that a few tables are found among many queries.
type kinds [kindCount]table[uint64, Relation]

const (
	kindStream = iota
	kindQuery
	kindTable
	kindView
	kindList
	kindSequence
	kindSink
	kindOther
	kindCount
)

func kindOf(r Relation) int {
	switch r.(type) {
	case *Stream:
		return kindStream
	case *Query:
		return kindQuery
	case *Table:
		return kindTable
	case *View:
		return kindView
	case *IOCList:
		return kindList
	case *Sequence:
		return kindSequence
	case *Sink:
		return kindSink
	}
	return kindOther
}

// used is what a query, view or sink reads: a list by its name, all else by its id.
type used struct {
	id   uint64
	list string
}

// usedBy lists what a relation reads.
func usedBy(r Relation) []used {
	var out []used
	ids := func(lists ...[]uint64) {
		for _, list := range lists {
			for _, id := range list {
				out = append(out, used{id: id})
			}
		}
	}
	var lists []string
	switch r := r.(type) {
	case *Query:
		ids(r.Streams, r.Queries, r.Functions, r.Tables, r.Views)
		lists = r.Lists
	case *View:
		ids(r.Streams, r.Queries, r.Functions, r.Tables, r.Views)
		lists = r.Lists
	case *Sink:
		ids([]uint64{r.Query})
	}
	for _, name := range lists {
		out = append(out, used{list: name})
	}
	return out
}

// put adds a relation whose name and id are free.
func (s *Snapshot) put(r Relation) {
	id, kind := r.RelID(), kindOf(r)
	s.relations = s.relations.with(keyOf(r), r)
	s.byID = s.byID.with(id, r)
	s.kinds[kind] = s.kinds[kind].with(id, r)
	for _, u := range usedBy(r) {
		s.readers = s.readers.with(u, s.readers.get(u)+1)
	}
}

// take removes a relation.
func (s *Snapshot) take(r Relation) {
	id, kind := r.RelID(), kindOf(r)
	s.relations = s.relations.without(keyOf(r))
	s.byID = s.byID.without(id)
	s.kinds[kind] = s.kinds[kind].without(id)
	for _, u := range usedBy(r) {
		if n := s.readers.get(u) - 1; n > 0 {
			s.readers = s.readers.with(u, n)
		} else {
			s.readers = s.readers.without(u)
		}
	}
}

// HasReaders tells whether a query, view or sink reads the object with this id, or the IOC list with this name: of the most it is
// known at once that none does.
func (s *Snapshot) HasReaders(id uint64, list string) bool {
	return s.readers.get(used{id: id}) > 0 || list != "" && s.readers.get(used{list: list}) > 0
}
