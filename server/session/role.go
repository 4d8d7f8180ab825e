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

// kindRole is the kind of roles. Everything about one, its present name too, is in the property propRole, as JSON; the stored text is
// only the statement that began it.
const (
	kindRole = "role"
	propRole = "role"
)

func denied(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.InsufficientPrivilege, format, args...)
}

func noRole(name string) *sqlerr.Error {
	return sqlerr.New(sqlerr.UndefinedObject, "role %q does not exist", name)
}

// roleCommand gives the statements on roles and privileges.
func (s *Session) roleCommand(stmt parse.Statement) doFunc {
	tag, run := "", func(*scope, context.Context, pgwire.Output) error { return nil }
	switch st := stmt.(type) {
	case *parse.CreateRole:
		tag, run = "CREATE ROLE", func(sc *scope, ctx context.Context, out pgwire.Output) error { return sc.createRole(ctx, st, out) }
	case *parse.AlterRole:
		tag, run = "ALTER ROLE", func(sc *scope, ctx context.Context, out pgwire.Output) error { return sc.alterRole(ctx, st, out) }
	case *parse.DropRole:
		tag, run = "DROP ROLE", func(sc *scope, ctx context.Context, out pgwire.Output) error { return sc.dropRoles(ctx, st, out) }
	case *parse.GrantRole:
		tag = map[bool]string{true: "REVOKE ROLE", false: "GRANT ROLE"}[st.Revoke]
		run = func(sc *scope, ctx context.Context, out pgwire.Output) error { return sc.grantRole(ctx, st, out) }
	case *parse.Grant:
		tag = map[bool]string{true: "REVOKE", false: "GRANT"}[st.Revoke]
		run = func(sc *scope, ctx context.Context, out pgwire.Output) error { return sc.grant(ctx, st, out) }
	}
	return simple(tag, func(ctx context.Context, out pgwire.Output) error {
		return s.scope(func(sc *scope) error { return run(sc, ctx, out) })
	})
}

// roleEdit gathers what one statement does to roles.
type roleEdit struct {
	*scope
	changed map[string]*catalog.Role // by the name before
	order   []string
	step    step
}

func (s *scope) editRoles() *roleEdit {
	return &roleEdit{scope: s, changed: map[string]*catalog.Role{}}
}

// edit gives a copy of a role that apply puts in its place.
func (e *roleEdit) edit(r *catalog.Role) *catalog.Role {
	if x := e.changed[r.Name]; x != nil {
		return x
	}
	x := *r
	x.MemberOf = slices.Clone(r.MemberOf)
	e.changed[r.Name] = &x
	e.order = append(e.order, r.Name)
	return &x
}

// object is a role as it is stored.
func roleObject(r *catalog.Role) (job.Object, error) {
	data, err := json.Marshal(r)
	if err != nil {
		return job.Object{}, err
	}
	text := parse.Print(&parse.CreateRole{Name: parse.RoleName{Name: r.Name}})
	return job.Object{Meta: meta.Object{Kind: kindRole, ID: r.ID, Name: r.Name, SQL: text,
		Props: map[string]string{propCreated: "0", propRole: string(data)}}}, nil
}

// apply makes the changes take effect together.
func (e *roleEdit) apply(ctx context.Context) error {
	for _, name := range e.order {
		r := e.changed[name]
		if r.ID == 0 { // the owner, for the first time
			var err error
			if r.ID, err = e.eng.NextID(); err != nil {
				return err
			}
			o, err := roleObject(r)
			if err != nil {
				return err
			}
			e.step.change.Create = append(e.step.change.Create, o)
			continue
		}
		data, err := json.Marshal(r)
		if err != nil {
			return err
		}
		e.step.change.Props = append(e.step.change.Props, job.PropChange{ID: r.ID, Set: map[string]string{propRole: string(data)}})
	}
	publish, changed := e.step.publish, maps.Clone(e.changed)
	e.step.publish = func(cat *catalog.Catalog) {
		if publish != nil {
			publish(cat)
		}
		for _, name := range e.order {
			cat.PutRole(changed[name])
		}
	}
	if len(e.step.change.Create)+len(e.step.change.Drop)+len(e.step.change.Props) == 0 {
		return nil
	}
	return e.scope.apply(ctx, e.step)
}

// loadRole publishes a role that was stored.
func (s *Server) loadRole(m meta.Object) error {
	r := &catalog.Role{}
	if err := json.Unmarshal([]byte(m.Props[propRole]), r); err != nil {
		return err
	}
	r.ID = m.ID
	s.cat.PutRole(r)
	return nil
}

// role finds what a statement calls a role.
func (s *scope) role(n parse.RoleName) (*catalog.Role, error) {
	var r *catalog.Role
	switch n.Special {
	case "PUBLIC":
		return nil, noRole("public")
	case "SESSION_USER":
		r = s.by.loginActor()
	case "CURRENT_USER", "CURRENT_ROLE":
		r = s.by.actor()
	default:
		r = s.cat.Snapshot().Role(n.Name)
	}
	if r == nil {
		return nil, noRole(n.Name)
	}
	return r, nil
}

// newRoleName checks the name of a new role.
func (s *scope) newRoleName(n parse.RoleName) error {
	name := n.Name
	switch {
	case n.Special == "PUBLIC" || name == "public" || name == "none":
		return sqlerr.New("42939", "role name %q is reserved", strings.ToLower(n.Special+name)).At(n.Pos)
	case n.Special != "":
		return sqlerr.New("42939", "%s cannot be used as a role name here", n.Special).At(n.Pos)
	case strings.HasPrefix(name, "pg_"):
		return sqlerr.New("42939", "role name %q is reserved", name).WithDetail("Role names starting with \"pg_\" are reserved.")
	case s.cat.Snapshot().Role(name) != nil:
		return sqlerr.New(sqlerr.DuplicateObject, "role %q already exists", name)
	}
	return nil
}

// createRole runs CREATE ROLE.
func (s *scope) createRole(ctx context.Context, st *parse.CreateRole, out pgwire.Output) error {
	by := s.by.actor()
	r := &catalog.Role{Name: st.Name.Name, Inherit: true, ConnLimit: -1}
	switch err := s.roleOptions(r, st.Options, out); {
	case err != nil:
		return err
	case by == nil || !by.Super && !by.CreateRole:
		return denied("permission denied to create role")
	}
	if err := mayMake(by, r); err != nil {
		return err
	}
	if err := s.newRoleName(st.Name); err != nil {
		return err
	}
	id, err := s.eng.NextID()
	if err != nil {
		return err
	}
	r.ID = id
	e := s.editRoles()
	for _, o := range st.Options {
		for _, n := range o.Roles {
			x, err := s.role(n)
			if err != nil {
				return err
			}
			if o.Key == "IN ROLE" {
				r.MemberOf = addMember(r.MemberOf, x.Number(), false)
				continue
			}
			m := e.edit(x)
			m.MemberOf = addMember(m.MemberOf, id, o.Key == "ADMIN")
		}
	}
	for _, n := range r.MemberOf { // who is a member of it cannot be what it is a member of
		if x := s.cat.Snapshot().RoleNumbered(n.Role); e.changed[x.Name] != nil {
			return circular(r.Name, x.Name)
		}
	}
	o, err := roleObject(r)
	if err != nil {
		return err
	}
	e.step.change.Create = []job.Object{o}
	e.step.publish = func(cat *catalog.Catalog) { cat.PutRole(r) }
	return e.apply(ctx)
}

// mayMake refuses attributes that only superusers can give.
func mayMake(by, r *catalog.Role) error {
	switch {
	case by.Super:
		return nil
	case r.Super:
		return denied("must be superuser to create superusers")
	case r.Replication:
		return denied("must be superuser to create replication users")
	case r.BypassRLS:
		return denied("must be superuser to create bypassrls users")
	}
	return nil
}

func addMember(list []catalog.Membership, role uint64, admin bool) []catalog.Membership {
	for i := range list {
		if list[i].Role == role {
			list[i].Admin = list[i].Admin || admin
			return list
		}
	}
	return append(list, catalog.Membership{Role: role, Admin: admin})
}

func circular(role, member string) error {
	return sqlerr.New("0LP01", "role %q is a member of role %q", role, member)
}

// alterRole runs ALTER ROLE.
func (s *scope) alterRole(ctx context.Context, st *parse.AlterRole, out pgwire.Output) error {
	r, err := s.role(st.Name)
	if err != nil {
		return err
	}
	by, e := s.by.actor(), s.editRoles()
	if st.Rename != "" {
		if err := s.mayRename(by, r, st.Rename); err != nil {
			return err
		}
		e.edit(r).Name = st.Rename
		return e.apply(ctx)
	}
	x := e.edit(r)
	if err := s.roleOptions(x, st.Options, out); err != nil {
		return err
	}
	if err := mayAlter(by, r, x, st.Options); err != nil {
		return err
	}
	if r.Number() == 0 && (!x.Super || !x.Login) {
		return sqlerr.NotSupported("taking SUPERUSER or LOGIN from the role "+catalog.OwnerName, "It owns the server; make other roles for what needs less.")
	}
	return e.apply(ctx)
}

func (s *scope) mayRename(by, r *catalog.Role, to string) error {
	switch {
	case r.Number() == 0:
		return sqlerr.NotSupported("another name for the role "+catalog.OwnerName, "Make a role with SUPERUSER.")
	case r == s.by.loginActor():
		return sqlerr.New(sqlerr.FeatureNotSupported, "session user cannot be renamed")
	case r == by:
		return sqlerr.New(sqlerr.FeatureNotSupported, "current user cannot be renamed")
	}
	if err := s.newRoleName(parse.RoleName{Name: to}); err != nil {
		return err
	}
	switch {
	case r.Super && (by == nil || !by.Super):
		return denied("must be superuser to rename superusers")
	case by == nil || !by.Super && !by.CreateRole:
		return denied("permission denied to rename role")
	}
	return nil
}

// mayAlter tells whether a role may make another one, or itself, what it is to be.
func mayAlter(by, old, next *catalog.Role, options []parse.RoleOption) error {
	switch {
	case by == nil:
		return denied("permission denied")
	case by.Super:
		return nil
	case old.Super || next.Super:
		return denied("must be superuser to alter superuser roles or change superuser attribute")
	case old.Replication || next.Replication:
		return denied("must be superuser to alter replication roles or change replication attribute")
	case old.BypassRLS != next.BypassRLS:
		return denied("must be superuser to change bypassrls attribute")
	case by.CreateRole:
		return nil
	}
	own := by.Number() == old.Number() && len(options) == 1 && options[0].Key == "PASSWORD"
	if !own {
		return denied("permission denied")
	}
	return nil
}

// dropRoles runs DROP ROLE.
func (s *scope) dropRoles(ctx context.Context, st *parse.DropRole, out pgwire.Output) error {
	by, e := s.by.actor(), s.editRoles()
	if by == nil || !by.Super && !by.CreateRole {
		return denied("permission denied to drop role")
	}
	var gone []*catalog.Role
	for _, n := range st.Names {
		if n.Special != "" {
			return sqlerr.New(sqlerr.InvalidParameterValue, "cannot use special role specifier in DROP ROLE").At(n.Pos)
		}
		r := s.cat.Snapshot().Role(n.Name)
		if r == nil && st.IfExists {
			out.Notice(notice(sqlerr.UndefinedObject, "role %q does not exist, skipping", n.Name))
			continue
		}
		if r == nil {
			return noRole(n.Name)
		}
		if err := s.mayDrop(by, r); err != nil {
			return err
		}
		o, err := roleObject(r)
		if err != nil {
			return err
		}
		o.Meta.Props = nil // how it was is nobody's business any more
		if gone = append(gone, r); slices.ContainsFunc(e.step.change.Drop, func(x job.Object) bool { return sameObject(x, o) }) {
			gone = gone[:len(gone)-1]
			continue
		}
		e.step.change.Drop = append(e.step.change.Drop, o)
	}
	for _, m := range s.cat.Snapshot().Roles() {
		if slices.Contains(gone, m) {
			continue
		}
		in := func(x catalog.Membership) bool {
			return slices.ContainsFunc(gone, func(r *catalog.Role) bool { return r.Number() == x.Role })
		}
		if slices.ContainsFunc(m.MemberOf, in) {
			x := e.edit(m)
			x.MemberOf = slices.DeleteFunc(x.MemberOf, in)
		}
	}
	e.step.publish = func(cat *catalog.Catalog) {
		for _, r := range gone {
			cat.RemoveRole(r.Name)
		}
	}
	return e.apply(ctx)
}

func (s *scope) mayDrop(by, r *catalog.Role) error {
	switch {
	case r == by:
		return sqlerr.New(sqlerr.ObjectInUse, "current user cannot be dropped")
	case r == s.by.loginActor():
		return sqlerr.New(sqlerr.ObjectInUse, "session user cannot be dropped")
	case r.Number() == 0:
		return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop role %s because it is required by the database system", r.Name)
	case r.Super && !by.Super:
		return denied("must be superuser to drop superusers")
	}
	if uses := s.usesOfRole(r.Number()); len(uses) > 0 {
		return sqlerr.New(sqlerr.DependentObjectsExist, "role %q cannot be dropped because some objects depend on it", r.Name).
			WithDetail("%s", strings.Join(uses, "\n")).WithHint("REVOKE its privileges, and DROP what it owns.")
	}
	return nil
}

// grantRole runs GRANT role TO role, and REVOKE.
func (s *scope) grantRole(ctx context.Context, st *parse.GrantRole, out pgwire.Output) error {
	e := s.editRoles()
	for _, n := range st.Roles {
		r, err := s.role(n)
		if err != nil {
			return err
		}
		if err := s.mayGrantRole(r); err != nil {
			return err
		}
		for _, m := range st.Members {
			member, err := s.role(m)
			if err != nil {
				return err
			}
			if slices.Contains(s.cat.Snapshot().ActsAs(r, false), member.Number()) && !st.Revoke {
				return circular(r.Name, member.Name)
			}
			e.member(r, member, st, out)
		}
	}
	return e.apply(ctx)
}

// member adds a member to a role, or takes it out.
func (e *roleEdit) member(r, member *catalog.Role, st *parse.GrantRole, out pgwire.Output) {
	x := e.edit(member)
	at := slices.IndexFunc(x.MemberOf, func(m catalog.Membership) bool { return m.Role == r.Number() })
	switch {
	case !st.Revoke && at >= 0 && (x.MemberOf[at].Admin || !st.Option):
		out.Notice(notice("00000", "role %q is already a member of role %q", member.Name, r.Name))
	case !st.Revoke:
		x.MemberOf = addMember(x.MemberOf, r.Number(), st.Option)
	case at < 0:
		out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(sqlerr.Warning, "role %q is not a member of role %q", member.Name, r.Name)})
	case st.Option:
		x.MemberOf[at].Admin = false
	default:
		x.MemberOf = slices.Delete(x.MemberOf, at, at+1)
	}
}

func (s *scope) mayGrantRole(r *catalog.Role) error {
	by := s.by.actor()
	switch {
	case by == nil:
		return denied("must have admin option on role %q", r.Name)
	case by.Super:
		return nil
	case r.Super:
		return denied("must be superuser to alter superusers")
	case by.CreateRole:
		return nil
	}
	snap := s.cat.Snapshot()
	for _, n := range snap.ActsAs(by, false) {
		if x := snap.RoleNumbered(n); x != nil && slices.Contains(x.MemberOf, catalog.Membership{Role: r.Number(), Admin: true}) {
			return nil
		}
	}
	return denied("must have admin option on role %q", r.Name)
}
