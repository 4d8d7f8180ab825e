package pgcatalog

import (
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

var _ fn.PrivilegeReader = (*Catalog)(nil)

// Actor is implemented by sources that know whose rights the connection's statements have; nil is a role without any.
type Actor interface{ Actor() *catalog.Role }

// user is the role that a function asks about: by name or oid, the connection's where neither is given.
func (c *Catalog) user(v types.Value) (r *catalog.Role, known bool, err error) {
	snap := c.src.Snapshot()
	switch v.Type.Kind {
	case types.OID:
		for _, r := range snap.Roles() {
			if int64(roleOID(r.Number())) == v.I {
				return r, true, nil
			}
		}
		return nil, false, nil
	case types.Name, types.Text:
		if r := snap.Role(v.S); r != nil {
			return r, true, nil
		}
		return nil, false, sqlerr.New(sqlerr.UndefinedObject, "role \"%s\" does not exist", v.S)
	}
	if a, ok := c.src.(Actor); ok {
		return a.Actor(), true, nil
	}
	return snap.Role(catalog.OwnerName), true, nil
}

// HasRole implements fn.PrivilegeReader.
func (c *Catalog) HasRole(user, role types.Value, privilege string) (holds, known bool, err error) {
	u, known, err := c.user(user)
	if err != nil || !known {
		return false, known, err
	}
	r, known, err := c.user(role)
	if err != nil || !known {
		return false, known, err
	}
	for word := range strings.SplitSeq(strings.ToUpper(privilege), ",") {
		word = strings.TrimSpace(word)
		if word != "MEMBER" && word != "USAGE" && !strings.HasSuffix(word, " OPTION") {
			return false, true, sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized privilege type: \"%s\"", strings.TrimSpace(privilege))
		}
		holds = holds || u != nil && (u.Super || slices.Contains(c.src.Snapshot().ActsAs(u, word == "USAGE"), r.Number()))
	}
	return holds, true, nil
}

// Holds implements fn.PrivilegeReader.
func (c *Catalog) Holds(class string, user, object types.Value, privilege string) (holds, known bool, err error) {
	r, known, err := c.user(user)
	if err != nil || !known {
		return false, known, err
	}
	kinds := map[string]catalog.ObjectClass{"pg_class": catalog.ClassRelation, "pg_namespace": catalog.ClassSchema,
		"pg_database": catalog.ClassDatabase, "pg_proc": catalog.ClassFunction}
	id, system, known, err := c.privileged(class, object)
	if err != nil || !known {
		return false, known, err
	}
	have, option := c.src.Snapshot().Held(r, kinds[class], id)
	if system && r != nil && !r.Super {
		have, option = catalog.Select|catalog.Usage|catalog.Execute, 0
	}
	for word := range strings.SplitSeq(strings.ToUpper(privilege), ",") {
		word, wants := strings.CutSuffix(strings.TrimSpace(word), " WITH GRANT OPTION")
		if word == "TEMP" {
			word = "TEMPORARY"
		}
		if word == "USAGE" && class == "pg_class" { // of a sequence
			word = "SELECT"
		}
		p := catalog.PrivilegeNamed(word)
		if p == 0 || kinds[class].All()&p == 0 {
			return false, true, sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized privilege type: \"%s\"", strings.TrimSpace(privilege))
		}
		holds = holds || have&p != 0 && !wants || option&p != 0 && wants
	}
	return holds, true, nil
}

// privileged finds the number under which the access of an object is kept. Objects of the system have none: everybody may read them.
func (c *Catalog) privileged(class string, v types.Value) (id uint64, system, known bool, err error) {
	oid := v.I
	if v.Type.Kind != types.OID {
		if oid, err = c.privilegedOID(class, v.S); err != nil {
			return 0, false, false, err
		}
	}
	switch class {
	case "pg_database":
		return catalog.DatabaseAccess, false, oid == databaseOID, nil
	case "pg_namespace":
		name := c.namespaceName(uint32(oid))
		id, ok := c.accessNumber(namespace{uint32(oid), name})
		return id, !ok, name != "", nil
	}
	if _, there := c.Visible(class, oid); !there {
		return 0, false, false, nil
	}
	if oid < FirstObjectOID || oid >= systemIDs {
		return 0, true, true, nil
	}
	return uint64(oid - FirstObjectOID), false, true, nil
}

func (c *Catalog) privilegedOID(class, name string) (int64, error) {
	switch class {
	case "pg_database":
		if name != databaseName {
			return 0, sqlerr.New(sqlerr.InvalidCatalogName, "database \"%s\" does not exist", name)
		}
		return databaseOID, nil
	case "pg_namespace":
		return c.RegLookup(types.RegNamespace, name)
	case "pg_proc":
		bare, _, _ := strings.Cut(name, "(")
		return c.RegLookup(types.RegProc, strings.TrimSpace(bare))
	}
	return c.RegLookup(types.RegClass, name)
}
