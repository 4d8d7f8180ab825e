package catalog

import (
	"maps"
	"slices"
	"strings"
)

// Namespace is the schema of an object; "" is public. An object of another schema has that in its name, "schema.name": by it
// the engine and the system relations tell objects apart.
type Namespace string

// RelNamespace implements Relation.
func (n Namespace) RelNamespace() string {
	if n == "" {
		return Public
	}
	return string(n)
}

// bare is a name without the schema.
func (n Namespace) bare(name string) string {
	if n == "" {
		return name
	}
	return strings.TrimPrefix(name, string(n)+".")
}

// Display is a name as users see it: the schema comes first where it is not public.
func Display(schema, name string) string {
	if schema == "" || schema == Public {
		return name
	}
	return schema + "." + name
}

// NamespaceOf is the namespace of a schema's objects.
func NamespaceOf(schema string) Namespace {
	if schema == Public {
		return ""
	}
	return Namespace(schema)
}

// key is the place of a relation in its name space.
func key(schema, name string) string {
	if schema == "" || schema == Public {
		return name
	}
	return schema + "\x00" + name
}

func keyOf(r Relation) string { return key(r.RelNamespace(), r.RelName()) }

// Schema is a schema of users.
type Schema struct {
	ID   uint64
	Name string
	SQL  string // canonical CREATE SCHEMA
}

// PutSchema adds a schema.
func (c *Catalog) PutSchema(x *Schema) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		s.schemas = s.schemas.with(x.Name, x)
		return nil
	})
}

// RemoveSchema takes a schema out; its objects must be gone.
func (c *Catalog) RemoveSchema(name string) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		s.schemas = s.schemas.without(name)
		return nil
	})
}

// Schema finds a schema of users; nil when there is none.
func (s *Snapshot) Schema(name string) *Schema { return s.schemas.get(name) }

// Schemas lists the schemas of users by name.
func (s *Snapshot) Schemas() []*Schema {
	out := s.schemas.values()
	slices.SortFunc(out, func(a, b *Schema) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Relations lists all objects of users in FROM's name space, by id.
func (s *Snapshot) Relations() []Relation {
	out := s.relations.values()
	slices.SortFunc(out, func(a, b Relation) int { return int(int64(a.RelID()) - int64(b.RelID())) })
	return out
}

// Named finds a relation by its name as Display gives it.
func (s *Snapshot) Named(display string) Relation {
	if r := s.public(Public, display); r != nil {
		return r
	}
	if schema, name, ok := strings.Cut(display, "."); ok {
		return s.public(schema, name)
	}
	return nil
}

// SetComment sets the comment of an object, or of its column counted from 1; "" takes it away.
func (c *Catalog) SetComment(id uint64, column int, text string) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		next := maps.Clone(s.comments.get(id))
		if next == nil {
			next = map[int]string{}
		}
		if next[column] = text; text == "" {
			delete(next, column)
		}
		s.comments = s.comments.with(id, next)
		return nil
	})
}

// Comments are the comments of an object by column, its own under 0. The map must not be changed.
func (s *Snapshot) Comments(id uint64) map[int]string { return s.comments.get(id) }
