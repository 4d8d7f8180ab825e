package session

import (
	"context"
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/meta"
)

// defaultPath is where names are looked up when search_path says nothing else.
var defaultPath = []string{catalog.Public}

// path is the schemas of search_path that exist.
func (s *Session) path() []string {
	value, _ := s.settings.get("search_path")
	snap := s.srv.cat.Snapshot()
	if s.block != nil && s.block.cat != nil {
		snap = s.block.cat.Snapshot()
	}
	out := []string{} // not nil: an empty path finds nothing but pg_catalog
	for _, name := range strings.Split(value, ",") {
		name = strings.TrimSpace(name)
		if q, ok := strings.CutPrefix(name, `"`); ok {
			name = strings.ReplaceAll(strings.TrimSuffix(q, `"`), `""`, `"`)
		} else {
			name = strings.ToLower(name)
		}
		if name == "$user" {
			if name = s.user(); snap.Schema(name) == nil {
				continue // a user of a system schema's name has no schema of his own
			}
		}
		if snap.HasSchema(name) && s.allowSchema(name, catalog.Usage) == nil {
			out = append(out, name)
		}
	}
	return out
}

// place finds the schema of a new object: the first of search_path unless the name has one. Public is "".
func (s *Session) place(n parse.Name) (parse.Name, error) {
	if n.Schema == "" {
		path := s.path()
		if len(path) == 0 {
			return n, sqlerr.New(sqlerr.InvalidSchemaName, "no schema has been selected to create in").At(n.Pos)
		}
		n.Schema = path[0]
	}
	snap := s.snapshot()
	switch {
	case n.Schema == catalog.Public:
		n.Schema = ""
	case !snap.HasSchema(n.Schema):
		return n, sqlerr.New(sqlerr.InvalidSchemaName, "schema %q does not exist", n.Schema).At(n.Pos)
	case snap.Schema(n.Schema) == nil:
		return n, sqlerr.New(sqlerr.InsufficientPrivilege, "permission denied for schema %s", n.Schema).At(n.Pos).
			WithHint("Objects of users live in schema public, and in schemas that CREATE SCHEMA makes.")
	}
	return n, s.allowSchema(n.Schema, catalog.Create)
}

// resolve completes the name of an object that is there with the schema where search_path finds it.
func (s *Session) resolve(n parse.Name) parse.Name {
	if n.Schema != "" {
		return n
	}
	snap := s.snapshot()
	for _, schema := range s.path() {
		if snap.Relation(schema, n.Name) != nil {
			n.Schema = schema
			return n
		}
	}
	return n
}

// relation finds a relation of users by search_path; nil when there is none.
func (s *Session) relation(n parse.Name) catalog.Relation {
	snap := s.snapshot()
	if n.Schema == "" {
		if r := snap.Relation(catalog.PgTemp, n.Name); r != nil {
			return r
		}
		n = s.resolve(n)
	}
	return snap.Relation(n.Schema, n.Name)
}

func (s *Session) resolved(d *parse.Drop) *parse.Drop {
	x := *d
	x.Names = make([]parse.Name, len(d.Names))
	for i, n := range d.Names {
		x.Names[i] = s.resolve(n)
	}
	return &x
}

// planSchema makes a schema.
func (s *Server) planSchema(st *parse.CreateSchema, id uint64) planned {
	x := &catalog.Schema{ID: id, Name: st.Name.Name, SQL: parse.Print(st)}
	return planned{publish: func(cat *catalog.Catalog) { cat.PutSchema(x) }}
}

// createSchema runs CREATE SCHEMA.
func (s *scope) createSchema(ctx context.Context, st *parse.CreateSchema, out pgwire.Output) error {
	name := st.Name.Name
	if have, _ := s.cat.Snapshot().Held(s.by.actor(), catalog.ClassDatabase, catalog.DatabaseAccess); have&catalog.Create == 0 {
		return denied("permission denied for database %s", databaseName)
	}
	switch {
	case s.cat.HasSchema(name) && st.IfNotExists:
		out.Notice(notice(sqlerr.DuplicateSchema, "schema %q already exists, skipping", name))
		return nil
	case s.cat.HasSchema(name):
		return sqlerr.New(sqlerr.DuplicateSchema, "schema %q already exists", name).At(st.Name.Pos)
	case strings.HasPrefix(name, "pg_"):
		return sqlerr.New("42939", "unacceptable schema name %q", name).At(st.Name.Pos).WithDetail("The prefix \"pg_\" is reserved for system schemas.")
	}
	id, err := s.eng.NextID()
	if err != nil {
		return err
	}
	p := s.planSchema(st, id)
	o := job.Object{Meta: meta.Object{Kind: kindSchema, ID: id, Name: name, SQL: parse.Print(st), Props: map[string]string{propCreated: "0"}}}
	access, err := s.withAccess(&o, nil)
	if err != nil {
		return err
	}
	return s.apply(ctx, step{change: job.Change{Create: []job.Object{o}}, publish: chain(p.publish, access)})
}

// dropSchemas runs DROP SCHEMA: with CASCADE what is in it goes too.
func (s *scope) dropSchemas(ctx context.Context, st *parse.Drop, out pgwire.Output) error {
	var victims, schemas []*existing
	for _, n := range st.Names {
		x := s.cat.Snapshot().Schema(n.Name)
		switch {
		case x == nil && s.cat.HasSchema(n.Name):
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop schema %s because it is required by the system", n.Name).At(n.Pos)
		case x == nil && st.IfExists:
			out.Notice(notice(sqlerr.InvalidSchemaName, "schema %q does not exist, skipping", n.Name))
			continue
		case x == nil:
			return sqlerr.New(sqlerr.InvalidSchemaName, "schema %q does not exist", n.Name).At(n.Pos)
		}
		if err := s.own(kindSchema, x.ID, x.Name); err != nil {
			return err
		}
		for _, r := range s.cat.Snapshot().Relations() {
			if r.RelNamespace() != x.Name {
				continue
			}
			e := s.existing(r)
			if !st.Cascade {
				return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop schema %s because other objects depend on it", x.Name).
					WithDetail("%s %s depends on schema %s", kindWords[e.kind], e.object.Meta.Name, x.Name).
					WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
			}
			out.Notice(notice(sqlerr.Warning, "drop cascades to %s %s", kindWords[e.kind], e.object.Meta.Name))
			victims = append(victims, e)
		}
		schemas = append(schemas, &existing{kindSchema, object(kindSchema, x.ID, x.Name, x.SQL, nil), func(cat *catalog.Catalog) { cat.RemoveSchema(x.Name) }})
	}
	victims, err := s.withDependents(victims, st.Cascade, out)
	if err != nil || len(schemas) == 0 {
		return err
	}
	return s.remove(ctx, append(victims, schemas...))
}
