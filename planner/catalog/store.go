package catalog

import (
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// The schemas that always exist.
const (
	PgCatalog         = "pg_catalog"
	Public            = "public"
	InformationSchema = "information_schema"
	Vigil             = "vigil"
)

// Catalog is the current set of names. Readers take a Snapshot without locking; writers replace it. A Catalog is itself
// a Reader, of whatever is current at each call.
type Catalog struct {
	mu  sync.Mutex // serialises writers
	cur atomic.Pointer[Snapshot]
}

// Snapshot is one immutable state of the catalogue.
type Snapshot struct {
	// relations is the one name space of streams, queries, tables, views and IOC lists, by key.
	relations table[string, Relation]
	byID      table[uint64, Relation]
	kinds     kinds
	// readers counts the queries, views and sinks that read an object.
	readers   table[used, int]
	functions table[string, *Function]
	schemas   table[string, *Schema]
	comments  table[uint64, map[int]string]
	roles     table[string, *Role]
	access    table[uint64, Access]
	virtuals  map[string]map[string]*Virtual // schema, name
	// temp are the temporary tables of the connection that the snapshot is for.
	temp map[string]*Table
}

var (
	_ Reader = (*Catalog)(nil)
	_ Reader = (*Snapshot)(nil)
)

// New returns an empty catalogue.
func New() *Catalog {
	c := &Catalog{}
	c.cur.Store(&Snapshot{})
	return c
}

// Snapshot returns the current state; it does not change afterwards.
func (c *Catalog) Snapshot() *Snapshot { return c.cur.Load() }

// Relation implements Reader.
func (c *Catalog) Relation(schema, name string) Relation { return c.Snapshot().Relation(schema, name) }

// Function implements Reader.
func (c *Catalog) Function(name string) *Function { return c.Snapshot().Function(name) }

// HasSchema implements Reader.
func (c *Catalog) HasSchema(name string) bool { return c.Snapshot().HasSchema(name) }

// change runs one writer on a copy of the current state, which takes its place when fn succeeds.
func (c *Catalog) change(fn func(s *Snapshot) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := *c.cur.Load()
	if err := fn(&next); err != nil {
		return err
	}
	c.cur.Store(&next)
	return nil
}

// Put adds a stream, query or IOC list, or replaces the one with the same id (also under a new name). A name in use by
// another relation is refused with 42P07.
func (c *Catalog) Put(r Relation) error {
	return c.change(func(s *Snapshot) error {
		name, id := keyOf(r), r.RelID()
		if other := s.relations.get(name); other != nil && other.RelID() != id {
			return sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", r.RelName())
		}
		if old := s.byID.get(id); old != nil {
			s.take(old)
		}
		s.put(r)
		return nil
	})
}

// Replace puts r in the place of the relation with its name, whatever that one's id is.
func (c *Catalog) Replace(r Relation) error {
	return c.change(func(s *Snapshot) error {
		for _, old := range []Relation{s.relations.get(keyOf(r)), s.byID.get(r.RelID())} {
			if old != nil && s.byID.get(old.RelID()) == old {
				s.take(old)
			}
		}
		s.put(r)
		return nil
	})
}

// Remove takes a relation of a schema out and returns it; nil when there is none.
func (c *Catalog) Remove(schema, name string) Relation {
	var old Relation
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		if old = s.relations.get(key(schema, name)); old != nil {
			s.take(old)
		}
		return nil
	})
	return old
}

// PutFunction adds a user function or replaces the one of its name.
func (c *Catalog) PutFunction(f *Function) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		s.functions = s.functions.with(f.Name, f)
		return nil
	})
}

// RemoveFunction takes a user function out and returns it; nil when there is none.
func (c *Catalog) RemoveFunction(name string) *Function {
	var old *Function
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		old = s.functions.get(name)
		s.functions = s.functions.without(name)
		return nil
	})
	return old
}

// Register adds virtual relations, replacing those of the same name.
func (c *Catalog) Register(list ...*Virtual) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		next := map[string]map[string]*Virtual{}
		for schema, rels := range s.virtuals {
			next[schema] = make(map[string]*Virtual, len(rels))
			for name, v := range rels {
				next[schema][name] = v
			}
		}
		for _, v := range list {
			if next[v.SchemaName] == nil {
				next[v.SchemaName] = map[string]*Virtual{}
			}
			next[v.SchemaName][v.Name] = v
		}
		s.virtuals = next
		return nil
	})
}

// Relation implements Reader.
func (s *Snapshot) Relation(schema, name string) Relation {
	switch schema {
	case PgTemp:
		if t := s.temp[name]; t != nil {
			return t
		}
		return nil
	case "":
		if t := s.temp[name]; t != nil {
			return t
		}
		if v := s.virtuals[PgCatalog][name]; v != nil {
			return v
		}
		return s.public(Public, name)
	case Public:
		return s.public(Public, name)
	}
	if v := s.virtuals[schema][name]; v != nil {
		return v
	}
	return s.public(schema, name)
}

// public finds an object of users, or the late rows of a stream.
func (s *Snapshot) public(schema, name string) Relation {
	if r := s.relations.get(key(schema, name)); r != nil {
		return r
	}
	if of, ok := strings.CutSuffix(name, LateSuffix); ok {
		if st, ok := s.relations.get(key(schema, of)).(*Stream); ok {
			return st.Late()
		}
	}
	return nil
}

// ByID finds a stream, query or IOC list; nil when there is none.
func (s *Snapshot) ByID(id uint64) Relation { return s.byID.get(id) }

// Function implements Reader.
func (s *Snapshot) Function(name string) *Function { return s.functions.get(name) }

// HasSchema implements Reader.
func (s *Snapshot) HasSchema(name string) bool {
	switch name {
	case PgCatalog, Public, InformationSchema, Vigil, PgTemp:
		return true
	}
	return s.virtuals[name] != nil || s.schemas.get(name) != nil
}

// Streams lists the streams by name.
func (s *Snapshot) Streams() []*Stream { return relationsOf[*Stream](s) }

// Queries lists the continuous queries by name.
func (s *Snapshot) Queries() []*Query { return relationsOf[*Query](s) }

// Lists lists the IOC lists by name.
func (s *Snapshot) Lists() []*IOCList { return relationsOf[*IOCList](s) }

// Functions lists the user functions by name.
func (s *Snapshot) Functions() []*Function {
	out := s.functions.values()
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Virtuals lists the virtual relations by schema and name.
func (s *Snapshot) Virtuals() []*Virtual {
	var out []*Virtual
	for _, rels := range s.virtuals {
		for _, v := range rels {
			out = append(out, v)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].SchemaName != out[j].SchemaName {
			return out[i].SchemaName < out[j].SchemaName
		}
		return out[i].Name < out[j].Name
	})
	return out
}

func relationsOf[T Relation](s *Snapshot) []T {
	var one T
	list := s.kinds[kindOf(one)].values()
	out := make([]T, 0, len(list))
	for _, r := range list {
		out = append(out, r.(T))
	}
	sort.Slice(out, func(i, j int) bool { return keyOf(out[i]) < keyOf(out[j]) })
	return out
}

// StreamUsers lists the queries that read a stream, by name.
func (s *Snapshot) StreamUsers(id uint64) []*Query {
	return s.users(func(q *Query) bool { return contains(q.Streams, id) })
}

// ListUsers lists the queries that ask an IOC list, by name.
func (s *Snapshot) ListUsers(name string) []*Query {
	return s.users(func(q *Query) bool { return contains(q.Lists, name) })
}

// FunctionUsers lists the queries that call a user function, by name.
func (s *Snapshot) FunctionUsers(id uint64) []*Query {
	return s.users(func(q *Query) bool { return contains(q.Functions, id) })
}

func (s *Snapshot) users(uses func(*Query) bool) []*Query {
	var out []*Query
	for _, q := range s.Queries() {
		if uses(q) {
			out = append(out, q)
		}
	}
	return out
}

func contains[T comparable](list []T, want T) bool {
	for _, x := range list {
		if x == want {
			return true
		}
	}
	return false
}
