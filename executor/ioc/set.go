// Package ioc owns lists of indicators of compromise: immutable versions of all lists, whose entries are in storage/ioc, normalisation
// of values by type, and the matching that IN IOC asks for. It does not know where entries come from.
package ioc

import (
	"maps"
	"net/netip"

	"github.com/gaissmai/bart"
	"github.com/vigil-sql/vigil/executor/expr"
	store "github.com/vigil-sql/vigil/storage/ioc"
)

// The list types.
const (
	IP     = "ip"
	CIDR   = "cidr"
	Domain = "domain"
	URL    = "url"
	Hash   = "hash"
	Email  = "email"
	Text   = "text"
)

// Kinds are the list types in the order they are documented.
func Kinds() []string { return []string{IP, CIDR, Domain, URL, Hash, Email, Text} }

// How the values of a list are compared with what is looked up.
const (
	// Exact: the value itself.
	Exact = "exact"
	// Subdomains: a domain, and all below it.
	Subdomains = "subdomains"
	// Prefix: a URL, and all that continue it after or before a slash, a question mark or an ampersand.
	Prefix = "prefix"
)

// Change is one step from a version of the lists to the next. Values are canonical (Normalize made them).
type Change struct {
	List string
	// ID is the list's in the catalogue.
	ID uint64
	// Create makes an empty list of type Kind, compared as Mode says ("": a list of domains by Subdomains, others Exact); Remove forgets the list. Both leave
	// the rest unused.
	Create, Remove bool
	Kind, Mode     string
	Add, Drop      []string
	// Expired says that what Drop names goes only if it has expired by then, microseconds; 0: it goes.
	Expired int64
	// Info is what is known of each of Add, as Info.Append gives it; nil: nothing of any.
	Info [][]byte
	// Load are more entries to add, after Add.
	Load *store.Load
}

// info is what is known of Add[i].
func (c *Change) info(i int) []byte {
	if c.Info == nil {
		return nil
	}
	return c.Info[i]
}

// Stored is the change as storage/ioc takes it.
func (c *Change) Stored() store.Change {
	out := store.Change{List: c.ID, Create: c.Create, Remove: c.Remove, Drop: c.Drop, Expired: c.Expired, Load: c.Load}
	for i, v := range c.Add {
		out.Add = append(out.Add, store.Addition{Value: v, Info: c.info(i), Expires: ExpiresOf(c.info(i))})
	}
	return out
}

// Set is one version of all lists, as it is at a time: what has expired by then is not in it. It is immutable: readers on any number
// of goroutines need no lock.
type Set struct {
	lists map[string]*list
	store *store.Store
	// version keeps the rows that the set needs.
	version *store.Version
	// now is in microseconds; 0: nothing has expired.
	now int64
}

var _ expr.Matcher = (*Set)(nil)

// list is one version of one list: what the store has of it, and what a transaction changed.
type list struct {
	kind, mode string
	// rows are the entries in the store; nil of a list that is not there yet. stat is what is known of them in the version seq.
	rows *store.List
	seq  uint64
	stat store.Stat
	// added and dropped correct them; disjoint. What is in added replaces what the store knows of it.
	added   map[string]*store.Entry
	dropped map[string]struct{}
	// nets holds all of a cidr list.
	nets *bart.Table[*store.Entry]
	size int
	// longest is no less than the length of the longest entry.
	longest int
}

// NewSet returns the version with no lists. The entries of lists to come are in st.
func NewSet(st *store.Store) *Set {
	return &Set{lists: map[string]*list{}, store: st, version: st.Pin(0)}
}

// At is the set as it is at a time, microseconds.
func (s *Set) At(now int64) *Set {
	for _, l := range s.lists {
		if l.stat.Expiring {
			next := *s
			next.now = now
			return &next
		}
	}
	return s // nothing expires, ever
}

// With returns the version after some changes that nobody else sees; the receiver stays as it was. Changes to lists that do not exist
// are ignored. The cost is that of all changes that the store has not.
func (s *Set) With(changes ...Change) *Set {
	next := *s
	next.lists = maps.Clone(s.lists)
	for i := range changes {
		c := &changes[i]
		switch old := next.lists[c.List]; {
		case c.Create:
			next.lists[c.List] = newList(c.Kind, c.Mode)
		case c.Remove:
			delete(next.lists, c.List)
		case old != nil:
			next.lists[c.List] = s.draft(old, c)
		}
	}
	return &next
}

// Staged returns the version after some changes that the store has as seq, or, of lists of networks alone, after those that came with
// seq.
func (s *Set) Staged(seq uint64, changes ...Change) *Set {
	next := *s
	next.lists, next.version = maps.Clone(s.lists), s.store.Pin(seq)
	for i := range changes {
		c := &changes[i]
		switch old := next.lists[c.List]; {
		case c.Create:
			l := newList(c.Kind, c.Mode)
			l.rows = s.store.List(c.ID)
			next.lists[c.List] = l
		case c.Remove:
			delete(next.lists, c.List)
		case old != nil && old.nets != nil:
			next.lists[c.List] = old.withNets(c)
		}
	}
	for name, l := range next.lists {
		if l.rows != nil {
			next.lists[name] = l.at(seq)
		}
	}
	return &next
}

// at is the list as the store has it in a version.
func (l *list) at(seq uint64) *list {
	next := *l
	next.seq, next.stat = seq, l.rows.Stat(seq)
	next.longest = int(next.stat.Longest)
	if next.size = int(next.stat.Size); l.nets != nil {
		next.size = l.nets.Size()
	}
	return &next
}

// Seq is the number of the version in the store.
func (s *Set) Seq() uint64 { return s.version.Seq() }

// Has reports whether a list exists, Len how many entries it has, those that expired and are not swept yet included, Version how often it changed
// since it was created.
func (s *Set) Has(name string) bool { return s.lists[name] != nil }

// Name is the name of the list that the store knows by a number.
func (s *Set) Name(id uint64) (string, bool) {
	for name, l := range s.lists {
		if l.rows != nil && l.rows.ID() == id {
			return name, true
		}
	}
	return "", false
}

// Len is the number of entries of a list, 0 when there is none of that name.
func (s *Set) Len(name string) int {
	if l := s.lists[name]; l != nil {
		return l.size
	}
	return 0
}

// Version counts the changes of a list.
func (s *Set) Version(name string) uint64 {
	if l := s.lists[name]; l != nil {
		return l.stat.Version
	}
	return 0
}

// FilterBytes is the memory of a list's filters.
func (s *Set) FilterBytes(name string) int64 {
	if l := s.lists[name]; l != nil && l.rows != nil {
		return l.rows.FilterBytes()
	}
	return 0
}

// Entries calls fn for the entries of a list that have not expired, as the store has them, until it returns an error. info is valid during
// the call.
func (s *Set) Entries(id uint64, fn func(value string, info []byte) error) error {
	for _, l := range s.lists {
		if l.rows == nil || l.rows.ID() != id {
			continue
		}
		return l.rows.Scan(l.seq, func(value []byte, e store.Entry) (bool, error) {
			if s.expired(&e) {
				return true, nil
			}
			err := fn(string(value), e.Info)
			return err == nil, err
		})
	}
	return nil
}

func (s *Set) expired(e *store.Entry) bool { return e.Expires != 0 && s.now != 0 && e.Expires <= s.now }

func newList(kind, mode string) *list {
	switch {
	case mode != "":
	case kind == Domain:
		mode = Subdomains
	default:
		mode = Exact
	}
	l := &list{kind: kind, mode: mode, stat: store.Stat{Version: 1}}
	if kind == CIDR {
		l.nets = new(bart.Table[*store.Entry])
	}
	return l
}

// draft is a list after a change that the store has not.
func (s *Set) draft(l *list, c *Change) *list {
	if l.kind == CIDR {
		return l.withNets(c)
	}
	next := *l
	next.stat.Version++
	next.added, next.dropped = maps.Clone(l.added), maps.Clone(l.dropped)
	if next.added == nil {
		next.added = map[string]*store.Entry{}
	}
	if next.dropped == nil {
		next.dropped = map[string]struct{}{}
	}
	p := prober{set: s}
	defer p.release()
	for _, v := range c.Drop {
		next.drop(&p, v)
	}
	c.each(func(v string, e *store.Entry) {
		if p.get(&next, []byte(v)) == nil {
			next.size++
		}
		delete(next.dropped, v)
		next.added[v], next.longest = e, max(next.longest, len(v))
		next.stat.Expiring = next.stat.Expiring || e.Expires != 0
	})
	return &next
}

// each calls fn for what the change adds.
func (c *Change) each(fn func(value string, e *store.Entry)) {
	for i, v := range c.Add {
		fn(v, &store.Entry{Info: c.info(i), Expires: ExpiresOf(c.info(i))})
	}
	if c.Load != nil {
		c.Load.Each(func(value, info []byte, expires int64) { fn(string(value), &store.Entry{Info: info, Expires: expires}) })
	}
}

func (l *list) drop(p *prober, v string) {
	if p.get(l, []byte(v)) == nil {
		return
	}
	l.size--
	delete(l.added, v)
	l.dropped[v] = struct{}{}
}

// withNets is a list of networks after a change.
func (l *list) withNets(c *Change) *list {
	next := *l
	next.stat.Version++
	next.stat.Expiring = next.stat.Expiring || c.expires()
	goes := func(p netip.Prefix) bool {
		e, ok := l.nets.Get(p)
		return ok && (c.Expired == 0 || e.Expires != 0 && e.Expires <= c.Expired)
	}
	if len(c.Add)+len(c.Drop) > 64 || c.Load != nil {
		next.nets = l.nets.Clone()
		for _, v := range c.Drop {
			if p := prefixOf(v); goes(p) {
				next.nets.Delete(p)
			}
		}
		c.each(func(v string, e *store.Entry) { next.nets.Insert(prefixOf(v), e) })
	} else {
		for _, v := range c.Drop {
			if p := prefixOf(v); goes(p) {
				next.nets = next.nets.DeletePersist(p)
			}
		}
		c.each(func(v string, e *store.Entry) { next.nets = next.nets.InsertPersist(prefixOf(v), e) })
	}
	next.size = next.nets.Size()
	return &next
}

func (c *Change) expires() (some bool) {
	c.each(func(_ string, e *store.Entry) { some = some || e.Expires != 0 })
	return some
}
