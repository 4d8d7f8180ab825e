// Package ioc owns lists of indicators of compromise: immutable versions of all lists, an exact table per list with a
// cuckoo filter in front, normalisation of values by type, and the matching that IN IOC asks for. It does not know where
// entries are stored or come from.
package ioc

import (
	"bytes"
	"maps"
	"net/netip"

	"github.com/gaissmai/bart"
	"github.com/vigil-sql/vigil/executor/expr"
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
	// Create makes an empty list of type Kind, compared as Mode says ("": a list of domains by Subdomains, others Exact); Remove forgets the list. Both leave
	// Add and Drop unused.
	Create, Remove bool
	Kind, Mode     string
	Add, Drop      []string
	// Info is what is known of each of Add, opaque here, and is kept; nil: nothing of any.
	Info [][]byte
}

// info is what is known of Add[i].
func (c *Change) info(i int) []byte {
	if c.Info == nil {
		return nil
	}
	return c.Info[i]
}

// Set is one version of all lists. It is immutable: readers on any number of goroutines need no lock.
type Set struct {
	lists map[string]*list
}

var _ expr.Matcher = (*Set)(nil)

// list is one version of one list: a big base that versions share, and what changed since it was built.
type list struct {
	kind, mode string
	version    uint64
	base       *table
	// added and dropped correct the base; disjoint, and small against it. What is in added replaces what the base knows of it.
	added   map[string][]byte
	dropped map[string]struct{}
	// nets holds the prefixes of a cidr list, with what is known of them; base is then nil.
	nets *bart.Table[[]byte]
	size int
	// longest is no less than the length of the longest entry.
	longest int
}

// NewSet returns the version with no lists.
func NewSet() *Set { return &Set{lists: map[string]*list{}} }

// With returns the version after some changes; the receiver stays as it was. Changes to lists that do not exist are
// ignored. The cost is that of the change, plus now and then that of rebuilding a list that changed by an eighth.
func (s *Set) With(changes ...Change) *Set {
	next := &Set{lists: maps.Clone(s.lists)}
	for _, c := range changes {
		switch old := next.lists[c.List]; {
		case c.Create:
			next.lists[c.List] = newList(c.Kind, c.Mode)
		case c.Remove:
			delete(next.lists, c.List)
		case old != nil:
			next.lists[c.List] = old.with(&c)
		}
	}
	return next
}

// Has reports whether a list exists, Len how many entries it has, Version how often it changed since it was created or
// the server started.
func (s *Set) Has(name string) bool { return s.lists[name] != nil }

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
		return l.version
	}
	return 0
}

// FilterBytes is the memory of a list's cuckoo filter, TableBytes that of its exact table.
func (s *Set) FilterBytes(name string) int64 {
	if l := s.lists[name]; l != nil && l.base != nil {
		return l.base.filterBytes()
	}
	return 0
}

func newList(kind, mode string) *list {
	switch {
	case mode != "":
	case kind == Domain:
		mode = Subdomains
	default:
		mode = Exact
	}
	l := &list{kind: kind, mode: mode, version: 1}
	if kind == CIDR {
		l.nets = new(bart.Table[[]byte])
		return l
	}
	l.base = newTable(nil)
	return l
}

// deltaMax is how many corrections a list carries before its base is rebuilt: an eighth of it, at least this many.
const deltaMax = 4096

func (l *list) with(c *Change) *list {
	if l.kind == CIDR {
		return l.withNets(c)
	}
	next := *l
	next.version++
	next.added, next.dropped = maps.Clone(l.added), maps.Clone(l.dropped)
	if next.added == nil {
		next.added = map[string][]byte{}
	}
	if next.dropped == nil {
		next.dropped = map[string]struct{}{}
	}
	for _, v := range c.Drop {
		next.drop(v)
	}
	for i, v := range c.Add {
		next.add(v, c.info(i))
	}
	if n := len(next.added) + len(next.dropped); n > deltaMax && n > next.base.n/8 {
		next.rebuild()
	}
	return &next
}

func (l *list) add(v string, info []byte) {
	if !l.has([]byte(v)) {
		l.size++
		l.longest = max(l.longest, len(v))
	}
	delete(l.dropped, v)
	if known, ok := l.base.get([]byte(v), hashOf([]byte(v))); ok && bytes.Equal(known, info) {
		delete(l.added, v)
		return
	}
	l.added[v] = info
}

func (l *list) drop(v string) {
	if !l.has([]byte(v)) {
		return
	}
	l.size--
	delete(l.added, v)
	if l.base.has([]byte(v), hashOf([]byte(v))) {
		l.dropped[v] = struct{}{}
	}
}

// rebuild folds the corrections into a new base.
func (l *list) rebuild() {
	entries := make([]entry, 0, l.size)
	l.base.each(func(v, info []byte) {
		_, gone := l.dropped[string(v)]
		_, anew := l.added[string(v)]
		if !gone && !anew {
			entries = append(entries, entry{string(v), info})
		}
	})
	for v, info := range l.added {
		entries = append(entries, entry{v, info})
	}
	l.base, l.added, l.dropped = newTable(entries), nil, nil
}

func (l *list) withNets(c *Change) *list {
	next := *l
	next.version++
	if len(c.Add)+len(c.Drop) > 64 {
		next.nets = l.nets.Clone()
		for _, v := range c.Drop {
			next.nets.Delete(prefixOf(v))
		}
		for i, v := range c.Add {
			next.nets.Insert(prefixOf(v), c.info(i))
		}
	} else {
		for _, v := range c.Drop {
			next.nets = next.nets.DeletePersist(prefixOf(v))
		}
		for i, v := range c.Add {
			next.nets = next.nets.InsertPersist(prefixOf(v), c.info(i))
		}
	}
	next.size = next.nets.Size()
	return &next
}

// has says whether a canonical value is in the list.
func (l *list) has(v []byte) bool {
	if len(l.added) > 0 {
		if _, ok := l.added[string(v)]; ok {
			return true
		}
	}
	if !l.base.has(v, hashOf(v)) {
		return false
	}
	if len(l.dropped) > 0 {
		if _, gone := l.dropped[string(v)]; gone {
			return false
		}
	}
	return true
}

// netOf is the longest prefix that covers p.
func (l *list) netOf(p netip.Prefix) (netip.Prefix, bool) {
	net, _, ok := l.nets.LookupPrefixLPM(p)
	return net, ok
}

// infoOf is what is known of an entry.
func (l *list) infoOf(v []byte) []byte {
	if l.kind == CIDR {
		info, _ := l.nets.Get(prefixOf(string(v)))
		return info
	}
	if info, ok := l.added[string(v)]; ok {
		return info
	}
	info, _ := l.base.get(v, hashOf(v))
	return info
}
