package session

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/meta"
)

// Who owns an object and who may use it are properties of the object. What is none - schema public, the database - has an object of kind
// kindAccess for them, under the number that the catalogue keeps its access under.
const (
	kindAccess    = "access"
	propRoleOwner = "owner"
	propAccess    = "access"
)

// grantable is an object that privileges are granted on.
type grantable struct {
	class catalog.ObjectClass
	id    uint64
	// what and name are for messages.
	what, name string
	// privs are those that the statement is about.
	privs catalog.Privileges
}

// grant runs GRANT and REVOKE of privileges.
func (s *scope) grant(ctx context.Context, st *parse.Grant, out pgwire.Output) error {
	objects, err := s.grantables(st)
	if err != nil {
		return err
	}
	var to []catalog.Grant
	for _, n := range st.To {
		if n.Special == "PUBLIC" {
			if st.Option && !st.Revoke {
				return sqlerr.New("0LP01", "grant options can only be granted to roles").At(n.Pos)
			}
			to = append(to, catalog.Grant{Public: true})
			continue
		}
		r, err := s.role(n)
		if err != nil {
			return err
		}
		to = append(to, catalog.Grant{Grantee: r.Number()})
	}
	var all step
	next := map[uint64]catalog.Access{}
	for _, o := range objects {
		if o.privs, err = privilegesOf(st, o); err != nil {
			return err
		}
		a, ok := next[o.id]
		if !ok {
			a = s.cat.Snapshot().Access(o.id)
		}
		if a, err = s.granted(st, o, a, to, out); err != nil {
			return err
		}
		next[o.id] = a
	}
	for _, o := range objects {
		if a, ok := next[o.id]; ok {
			if err := storeAccess(&all.change, o.id, a); err != nil {
				return err
			}
			delete(next, o.id)
			all.publish = chain(all.publish, func(cat *catalog.Catalog) { cat.SetAccess(o.id, a) })
		}
	}
	if all.publish == nil {
		return nil
	}
	return s.apply(ctx, all)
}

func chain(first, then func(*catalog.Catalog)) func(*catalog.Catalog) {
	if first == nil {
		return then
	}
	return func(cat *catalog.Catalog) { first(cat); then(cat) }
}

// storeAccess adds the new access of an object to a change.
func storeAccess(ch *job.Change, id uint64, a catalog.Access) error {
	data, err := json.Marshal(a.Grants)
	if err != nil {
		return err
	}
	ch.Props = append(ch.Props, job.PropChange{ID: id, Set: map[string]string{propAccess: string(data)}})
	return nil
}

// keepAccessObjects makes sure that there is something to keep the access of schema public and of the database on.
func (s *Server) keepAccessObjects(list []meta.Object) error {
	for id, name := range map[uint64]string{catalog.PublicAccess: "schema public", catalog.DatabaseAccess: "database"} {
		if slices.ContainsFunc(list, func(m meta.Object) bool { return m.ID == id }) {
			continue
		}
		if err := s.meta.Keep(meta.Object{Kind: kindAccess, ID: id, Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// loadAccess publishes the access of an object that was stored.
func (s *Server) loadAccess(m meta.Object) error {
	a, err := accessOf(m.Props)
	if err == nil && (a.Owner != 0 || a.Grants != nil) {
		s.cat.SetAccess(m.ID, a)
	}
	return err
}

// accessOf reads the access of an object from its properties.
func accessOf(props map[string]string) (a catalog.Access, err error) {
	for name, to := range map[string]any{propRoleOwner: &a.Owner, propAccess: &a.Grants} {
		if text := props[name]; text != "" {
			if err := json.Unmarshal([]byte(text), to); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

// accessProps is an access as an object's properties have it.
func accessProps(a catalog.Access) (map[string]string, error) {
	props := map[string]string{}
	if a.Owner != 0 {
		data, err := json.Marshal(a.Owner)
		if err != nil {
			return nil, err
		}
		props[propRoleOwner] = string(data)
	}
	if a.Grants != nil {
		data, err := json.Marshal(a.Grants)
		if err != nil {
			return nil, err
		}
		props[propAccess] = string(data)
	}
	return props, nil
}

// withAccess gives a new object its owner - who creates it, or whoever has owned what it replaces - and with that what was granted.
func (s *scope) withAccess(o *job.Object, old *existing) (func(*catalog.Catalog), error) {
	var a catalog.Access
	if old != nil {
		a = s.cat.Snapshot().Access(old.object.Meta.ID)
	} else if r := s.by.actor(); r != nil {
		a.Owner = r.Number()
	}
	props, err := accessProps(a)
	if err != nil {
		return nil, err
	}
	o.Meta.Props = maps.Clone(o.Meta.Props)
	maps.Copy(o.Meta.Props, props)
	id := o.Meta.ID
	return func(cat *catalog.Catalog) { cat.SetAccess(id, a) }, nil
}

// privilegesOf are those that a statement names, which the object must have.
func privilegesOf(st *parse.Grant, o grantable) (catalog.Privileges, error) {
	if len(st.Privileges) == 0 {
		return o.class.All(), nil
	}
	var privs catalog.Privileges
	for _, p := range st.Privileges {
		x := catalog.PrivilegeNamed(p.Name)
		if x == 0 {
			return 0, sqlerr.New(sqlerr.SyntaxError, "unrecognized privilege type %q", strings.ToLower(p.Name)).At(p.Pos)
		}
		if o.class.All()&x == 0 {
			return 0, sqlerr.New("0LP01", "invalid privilege type %s for %s", p.Name, o.class)
		}
		privs |= x
	}
	return privs, nil
}

// granted is an object's access after the statement.
func (s *scope) granted(st *parse.Grant, o grantable, a catalog.Access, to []catalog.Grant, out pgwire.Output) (catalog.Access, error) {
	snap, by, privs := s.cat.Snapshot(), s.by.actor(), o.privs
	grantor := a.Owner
	if by == nil || !snap.Owns(by, o.id) {
		have, option := snap.Held(by, o.class, o.id)
		if option&privs == 0 && have == 0 {
			return a, denied("permission denied for %s %s", o.what, o.name)
		}
		if option&privs != privs {
			s.partial(st.Revoke, option&privs == 0, o.name, out)
		}
		if privs &= option; privs == 0 {
			return a, nil
		}
		grantor = by.Number()
	}
	list := slices.Clone(a.List(o.class, o.id))
	for _, g := range to {
		g.Grantor, g.Privs = grantor, privs
		if st.Option {
			g.Option = privs
		}
		if !st.Revoke {
			list = catalog.AddGrant(list, g)
			continue
		}
		var ok bool
		if list, ok = catalog.TakeGrant(list, g, st.Option, st.Cascade, a.Owner); !ok {
			return a, sqlerr.New(sqlerr.DependentObjectsExist, "dependent privileges exist").WithHint("Use CASCADE to revoke them too.")
		}
	}
	a.Grants = list
	return a, nil
}

// partial warns that less is granted or revoked than the statement says.
func (s *scope) partial(revoke, none bool, name string, out pgwire.Output) {
	code, text := sqlerr.Code("01007"), "not all privileges were granted for %q"
	switch {
	case revoke && none:
		code, text = "01006", "no privileges could be revoked for %q"
	case revoke:
		code, text = "01006", "not all privileges could be revoked for %q"
	case none:
		text = "no privileges were granted for %q"
	}
	out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(code, text, name)})
}

// grantables finds the objects of a statement.
func (s *scope) grantables(st *parse.Grant) ([]grantable, error) {
	var list []grantable
	for _, n := range st.Names {
		if st.All || st.Kind == "SCHEMA" {
			o, err := s.grantableSchema(n)
			if err != nil {
				return nil, err
			}
			if !st.All {
				list = append(list, o)
				continue
			}
			list = append(list, s.grantablesIn(st.Kind, n.Name)...)
			continue
		}
		o, err := s.grantableObject(st.Kind, n)
		if err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, nil
}

func (s *scope) grantableSchema(n parse.Name) (grantable, error) {
	id, ok := schemaAccess(s.cat.Snapshot(), n.Name)
	switch {
	case ok:
		return grantable{class: catalog.ClassSchema, id: id, what: "schema", name: n.Name}, nil
	case s.cat.HasSchema(n.Name):
		return grantable{}, sqlerr.NotSupported("a privilege on a schema of the system", "Everybody can read the system's relations.").At(n.Pos)
	}
	return grantable{}, sqlerr.New(sqlerr.InvalidSchemaName, "schema %q does not exist", n.Name)
}

// grantablesIn are all relations, or functions, of a schema.
func (s *scope) grantablesIn(kind, schema string) []grantable {
	var list []grantable
	if kind == "FUNCTION" {
		for _, f := range s.cat.Snapshot().Functions() {
			if schema == catalog.Public {
				list = append(list, grantable{class: catalog.ClassFunction, id: f.ID, what: "function", name: f.Name})
			}
		}
		return list
	}
	for _, r := range s.cat.Snapshot().Relations() {
		if r.RelNamespace() == schema {
			list = append(list, grantable{class: catalog.ClassRelation, id: r.RelID(), what: relationWord(r), name: r.RelName()})
		}
	}
	return list
}

func (s *scope) grantableObject(kind string, n parse.Name) (grantable, error) {
	switch kind {
	case "DATABASE":
		if n.Name != databaseName {
			return grantable{}, sqlerr.New(sqlerr.InvalidCatalogName, "database %q does not exist", n.Name)
		}
		return grantable{class: catalog.ClassDatabase, id: catalog.DatabaseAccess, what: "database", name: n.Name}, nil
	case "FUNCTION":
		if f := s.cat.Function(n.Name); f != nil {
			return grantable{class: catalog.ClassFunction, id: f.ID, what: "function", name: f.Name}, nil
		}
		return grantable{}, sqlerr.New(sqlerr.UndefinedFunction, "could not find a function named %q", n.Name)
	}
	r := s.by.relation(n)
	switch x := r.(type) {
	case nil:
		return grantable{}, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", n.Name)
	case *catalog.Virtual:
		return grantable{}, sqlerr.NotSupported("a privilege on a relation of the system", "Everybody can read the system's relations; late rows follow their stream.").At(n.Pos)
	case *catalog.Table:
		if x.Temp {
			return grantable{}, sqlerr.NotSupported("a privilege on a temporary table", "Only its own connection sees it.").At(n.Pos)
		}
	}
	return grantable{class: catalog.ClassRelation, id: r.RelID(), what: relationWord(r), name: r.RelName()}, nil
}
