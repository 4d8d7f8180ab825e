package pgcatalog

import (
	"context"
	"slices"

	"github.com/vigil-sql/vigil/planner/catalog"
)

// roleOID is the oid of a role by its number.
func roleOID(number uint64) uint32 {
	if number == 0 {
		return OwnerOID
	}
	return userOID(number)
}

// roles lists the roles by oid.
func (c *Catalog) roles() []*catalog.Role {
	list := c.src.Snapshot().Roles()
	slices.SortFunc(list, func(a, b *catalog.Role) int { return int(int64(roleOID(a.Number())) - int64(roleOID(b.Number()))) })
	return list
}

// RoleOID is the oid of a role by its name.
func (c *Catalog) RoleOID(name string) (oid int64, ok bool) {
	r := c.src.Snapshot().Role(name)
	if r == nil {
		return 0, false
	}
	return int64(roleOID(r.Number())), true
}

// ownerOID is the oid of the role that owns an object.
func (c *Catalog) ownerOID(id uint64) uint32 { return roleOID(c.src.Snapshot().Access(id).Owner) }

// ownerName is the name of that role; objects of the system are the owner's.
func (c *Catalog) ownerName(o object) string {
	if o.oid == 0 || o.id >= systemIDs {
		return c.RoleName(OwnerOID)
	}
	return c.RoleName(int64(c.ownerOID(o.id)))
}

// systemIDs is where the numbers of relations begin that are not users'.
const systemIDs = 1 << 30

// stars stand for passwords where everybody may look.
const stars = "********"

// pgRoles serves pg_authid and pg_roles, which have the same columns but for the password's stars and rolconfig.
func (c *Catalog) pgRoles(_ context.Context, w *writer) error {
	for _, r := range c.roles() {
		f := fields{"oid": roleOID(r.Number()), "rolname": r.Name, "rolsuper": r.Super, "rolinherit": r.Inherit, "rolcreaterole": r.CreateRole,
			"rolcreatedb": r.CreateDB, "rolcanlogin": r.Login, "rolreplication": r.Replication, "rolconnlimit": r.ConnLimit, "rolbypassrls": r.BypassRLS}
		if r.ValidUntil != nil {
			f["rolvaliduntil"] = *r.ValidUntil
		}
		switch {
		case w.rel.name == "pg_roles":
			f["rolpassword"] = stars
		case r.Password != "":
			f["rolpassword"] = r.Password
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// pgUser serves pg_user and pg_shadow.
func (c *Catalog) pgUser(_ context.Context, w *writer) error {
	for _, r := range c.roles() {
		if !r.Login {
			continue
		}
		f := fields{"usename": r.Name, "usesysid": roleOID(r.Number()), "usecreatedb": r.CreateDB, "usesuper": r.Super, "userepl": r.Replication,
			"usebypassrls": r.BypassRLS}
		if r.ValidUntil != nil {
			f["valuntil"] = *r.ValidUntil
		}
		switch {
		case w.rel.name == "pg_user":
			f["passwd"] = stars
		case r.Password != "":
			f["passwd"] = r.Password
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgAuthMembers(_ context.Context, w *writer) error {
	for _, r := range c.roles() {
		for _, m := range r.MemberOf {
			if err := w.add(fields{"roleid": roleOID(m.Role), "member": roleOID(r.Number()), "grantor": OwnerOID, "admin_option": m.Admin}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pgGroup lists the roles that cannot log in, with their members.
func (c *Catalog) pgGroup(_ context.Context, w *writer) error {
	for _, r := range c.roles() {
		if r.Login {
			continue
		}
		members := []int64{}
		for _, m := range c.roles() {
			if slices.ContainsFunc(m.MemberOf, func(x catalog.Membership) bool { return x.Role == r.Number() }) {
				members = append(members, int64(roleOID(m.Number())))
			}
		}
		if err := w.add(fields{"groname": r.Name, "grosysid": roleOID(r.Number()), "grolist": members}); err != nil {
			return err
		}
	}
	return nil
}

// access is an access list as Postgres prints it; nil where nothing was ever granted.
func (c *Catalog) access(id uint64) any {
	snap := c.src.Snapshot()
	grants := snap.Access(id).Grants
	if grants == nil {
		return nil
	}
	list := make([]string, len(grants))
	for i, g := range grants {
		list[i] = snap.Text(g)
	}
	return list
}

// accessNumber is the number under which the access to a schema is kept.
func (c *Catalog) accessNumber(n namespace) (id uint64, ok bool) {
	if n.oid == publicNamespace {
		return catalog.PublicAccess, true
	}
	x := c.src.Snapshot().Schema(n.name)
	if x == nil {
		return 0, false
	}
	return x.ID, true
}

// infoTablePrivileges serves table_privileges and role_table_grants, which leaves out what PUBLIC has.
func (c *Catalog) infoTablePrivileges(_ context.Context, w *writer) error {
	snap := c.src.Snapshot()
	for _, r := range snap.Relations() {
		for _, g := range snap.Access(r.RelID()).List(catalog.ClassRelation, r.RelID()) {
			grantee := "PUBLIC"
			if !g.Public {
				grantee = c.RoleName(int64(roleOID(g.Grantee)))
			} else if w.rel.name == "role_table_grants" {
				continue
			}
			for _, p := range g.Privs.Names() {
				option := g.Option&catalog.PrivilegeNamed(p) != 0 || !g.Public && g.Grantee == snap.Access(r.RelID()).Owner
				err := w.add(fields{"grantor": c.RoleName(int64(roleOID(g.Grantor))), "grantee": grantee, "table_catalog": databaseName,
					"table_schema": r.RelNamespace(), "table_name": r.RelName(), "privilege_type": p, "is_grantable": option,
					"with_hierarchy": p == "SELECT"})
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}
