// Package ioc owns lists of indicators of compromise: immutable versions of all lists, an exact table per list with a
// cuckoo filter in front, normalisation of values by type, and the matching that IN IOC asks for. It does not know where
// entries are stored or come from.
package ioc

import (
	"maps"
	"slices"

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

// Change is one step from a version of the lists to the next. Values are canonical (Normalize made them).
type Change struct {
	List string
	// Create makes an empty list of type Kind; Remove forgets the list. Both leave Add and Drop unused.
	Create, Remove bool
	Kind           string
	Add, Drop      []string
}

// Set is one version of all lists. It is immutable: readers on any number of goroutines need no lock.
type Set struct {
	lists map[string]*list
}

var _ expr.Matcher = (*Set)(nil)

// list is one version of one list: a big base that versions share, and what changed since it was built.
type list struct {
	kind    string
	version uint64
	base    *table
	// added and dropped correct the base; disjoint, and small against it.
	added, dropped map[string]struct{}
	// nets holds the prefixes of a cidr list; base is then nil.
	nets *bart.Table[struct{}]
	size int
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
			next.lists[c.List] = newList(c.Kind)
		case c.Remove:
			delete(next.lists, c.List)
		case old != nil:
			next.lists[c.List] = old.with(c.Add, c.Drop)
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

func newList(kind string) *list {
	l := &list{kind: kind, version: 1}
	if kind == CIDR {
		l.nets = new(bart.Table[struct{}])
		return l
	}
	l.base = newTable(nil)
	return l
}

// deltaMax is how many corrections a list carries before its base is rebuilt: an eighth of it, at least this many.
const deltaMax = 4096

func (l *list) with(add, drop []string) *list {
	if l.kind == CIDR {
		return l.withNets(add, drop)
	}
	next := &list{kind: l.kind, version: l.version + 1, base: l.base, size: l.size,
		added: maps.Clone(l.added), dropped: maps.Clone(l.dropped)}
	if next.added == nil {
		next.added, next.dropped = map[string]struct{}{}, map[string]struct{}{}
	}
	for _, v := range drop {
		next.drop(v)
	}
	for _, v := range add {
		next.add(v)
	}
	if n := len(next.added) + len(next.dropped); n > deltaMax && n > next.base.n/8 {
		next.rebuild()
	}
	return next
}

func (l *list) add(v string) {
	if _, ok := l.dropped[v]; ok {
		delete(l.dropped, v)
		l.size++
		return
	}
	if _, ok := l.added[v]; ok || l.base.has([]byte(v), hashOf([]byte(v))) {
		return
	}
	l.added[v] = struct{}{}
	l.size++
}

func (l *list) drop(v string) {
	if _, ok := l.added[v]; ok {
		delete(l.added, v)
		l.size--
		return
	}
	if _, gone := l.dropped[v]; gone || !l.base.has([]byte(v), hashOf([]byte(v))) {
		return
	}
	l.dropped[v] = struct{}{}
	l.size--
}

// rebuild folds the corrections into a new base.
func (l *list) rebuild() {
	values := make([]string, 0, l.size)
	l.base.each(func(v []byte) {
		if _, gone := l.dropped[string(v)]; !gone {
			values = append(values, string(v))
		}
	})
	values = append(values, slices.Collect(maps.Keys(l.added))...)
	l.base, l.added, l.dropped = newTable(values), nil, nil
}

func (l *list) withNets(add, drop []string) *list {
	next := &list{kind: l.kind, version: l.version + 1, nets: l.nets}
	if len(add)+len(drop) > 64 {
		next.nets = l.nets.Clone()
		for _, v := range drop {
			next.nets.Delete(prefixOf(v))
		}
		for _, v := range add {
			next.nets.Insert(prefixOf(v), struct{}{})
		}
	} else {
		for _, v := range drop {
			next.nets = next.nets.DeletePersist(prefixOf(v))
		}
		for _, v := range add {
			next.nets = next.nets.InsertPersist(prefixOf(v), struct{}{})
		}
	}
	next.size = next.nets.Size()
	return next
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
