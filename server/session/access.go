package session

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// permit decides for the planner what the connection's statements may read.
type permit struct{ s *Session }

var _ planner.Permit = permit{}

// Read implements planner.Permit.
func (p permit) Read(r catalog.Relation) error { return p.s.allow(r, catalog.Select) }

// Call implements planner.Permit.
func (p permit) Call(f *catalog.Function) error {
	if have, _ := p.s.snapshot().Held(p.s.actor(), catalog.ClassFunction, f.ID); have&catalog.Execute == 0 {
		return denied("permission denied for function %s", f.Name)
	}
	return nil
}

// secret are the system relations that only superusers read: they hold verifiers of passwords, raw rows of all streams, and what functions log of them.
var secret = map[string]bool{"pg_catalog.pg_authid": true, "pg_catalog.pg_shadow": true, "vigil.rejected": true, "vigil.udf_log": true, "vigil.sink_dead_letters": true}

// allow refuses what the connection's role may not do with a relation.
func (s *Session) allow(r catalog.Relation, p catalog.Privileges) error {
	by := s.actor()
	if by != nil && by.Super {
		return nil
	}
	word := relationWord(r)
	switch x := r.(type) {
	case *catalog.Virtual:
		if schema := x.RelNamespace(); schema == catalog.PgCatalog || schema == catalog.InformationSchema || schema == catalog.Vigil {
			if secret[schema+"."+x.Name] {
				return denied("permission denied for %s %s", word, x.Name)
			}
			return nil
		}
	case *catalog.Table:
		if x.Temp { // it is the connection's own
			return nil
		}
	}
	if err := s.allowSchema(r.RelNamespace(), catalog.Usage); err != nil {
		return err
	}
	if have, _ := s.snapshot().Held(by, catalog.ClassRelation, r.RelID()); have&p != p {
		return denied("permission denied for %s %s", word, r.RelName())
	}
	return nil
}

// allowSequence refuses to draw from a sequence: that is for those who may change it, and those who may insert into the table that
// it belongs to.
func (s *Session) allowSequence(q *catalog.Sequence) error {
	if t := s.snapshot().ByID(q.Owner); q.Owner != 0 && t != nil && s.allow(t, catalog.Insert) == nil {
		return nil
	}
	return s.allow(q, catalog.Update)
}

func relationWord(r catalog.Relation) string {
	switch r.(type) {
	case *catalog.Stream:
		return kindWords[kindStream]
	case *catalog.Query:
		return kindWords[kindQuery]
	case *catalog.IOCList:
		return kindWords[kindIOC]
	case *catalog.Sequence:
		return kindWords[kindSequence]
	case *catalog.View:
		return kindWords[kindView]
	case *catalog.Sink:
		return kindWords[kindSink]
	case *catalog.Virtual:
		if r.RelName() != "pg_authid" {
			return kindWords[kindView]
		}
	}
	return kindWords[kindTable]
}

// schemaAccess is the number under which the access to a schema is kept; ok is false for schemas of the system.
func schemaAccess(snap *catalog.Snapshot, name string) (id uint64, ok bool) {
	if name == "" || name == catalog.Public {
		return catalog.PublicAccess, true
	}
	if x := snap.Schema(name); x != nil {
		return x.ID, true
	}
	return 0, false
}

// allowSchema refuses what the connection's role may not do in a schema. The schemas of the system are open to all who read.
func (s *Session) allowSchema(name string, p catalog.Privileges) error {
	snap := s.snapshot()
	id, ok := schemaAccess(snap, name)
	if !ok {
		return nil
	}
	if have, _ := snap.Held(s.actor(), catalog.ClassSchema, id); have&p != p {
		if name == "" {
			name = catalog.Public
		}
		return denied("permission denied for schema %s", name)
	}
	return nil
}

// allowChange is allow for the target of UPDATE and DELETE, whose rows are read where reads says so.
func (s *Session) allowChange(r catalog.Relation, p catalog.Privileges, reads bool) error {
	if reads {
		p |= catalog.Select
	}
	return s.allow(r, p)
}

// readsTarget tells whether the values that SET gives depend on a row: all but literals and parameters may.
func readsTarget(list []parse.Assignment) bool {
	for _, a := range list {
		switch a.Value.(type) {
		case *parse.Null, *parse.Bool, *parse.Number, *parse.String, *parse.Interval, *parse.Param, *parse.Default:
		default:
			return true
		}
	}
	return false
}

// conflictPrivileges are what ON CONFLICT of an INSERT needs besides.
func conflictPrivileges(st *parse.Insert) (p catalog.Privileges) {
	if st.Conflict != nil && st.Conflict.Columns != nil {
		p |= catalog.Select
	}
	if st.Conflict != nil && st.Conflict.Set != nil {
		p |= catalog.Update | catalog.Select
	}
	return p
}

// own refuses who does not own an object.
func (s *scope) own(kind string, id uint64, name string) error {
	if s.by == nil || s.cat.Snapshot().Owns(s.by.actor(), id) {
		return nil
	}
	if _, bare, ok := strings.Cut(name, "."); ok {
		name = bare
	}
	return denied("must be owner of %s %s", kindWords[kind], name)
}

// mayConnect refuses a stream with a connector to all but superusers: connectors reach what the server reaches.
func (s *Session) mayConnect(st *parse.CreateStream) error {
	for _, o := range st.Options {
		if o.Key == "connector" && !s.superuser() {
			return denied("permission denied to create a stream with a connector").WithHint("Only superusers can: connectors open files and networks as the server.")
		}
	}
	return nil
}

// usesOfRole lists what depends on a role: what it owns, and privileges that it has or gave.
func (s *scope) usesOfRole(n uint64) []string {
	snap := s.cat.Snapshot()
	var out []string
	note := func(what string, id uint64) {
		a := snap.Access(id)
		if a.Owner == n {
			out = append(out, "owner of "+what)
			return
		}
		for _, g := range a.Grants {
			if !g.Public && g.Grantee == n || g.Grantor == n {
				out = append(out, "privileges for "+what)
				return
			}
		}
	}
	for _, r := range snap.Relations() {
		note(fmt.Sprintf("%s %s", relationWord(r), r.RelName()), r.RelID())
	}
	for _, f := range snap.Functions() {
		note("function "+f.Name, f.ID)
	}
	for _, x := range snap.Schemas() {
		note("schema "+x.Name, x.ID)
	}
	note("schema public", catalog.PublicAccess)
	note("database "+databaseName, catalog.DatabaseAccess)
	return out
}

// databaseName is the one database.
const databaseName = "vigil"
