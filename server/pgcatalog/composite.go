package pgcatalog

import (
	"context"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Every relation of users has a row type of its name, and an array type of that. Their oids are the relation's with these bits,
// which oids of users' objects do not have.
const (
	rowTypeBit   = 1 << 30
	arrayTypeBit = 1<<30 | 1<<28
)

// rowTypeOID is the oid of a relation's row type, 0 for indexes and relations of the system.
func rowTypeOID(o object) uint32 {
	if o.oid < FirstObjectOID || o.oid&rowTypeBit != 0 {
		return 0
	}
	return o.oid | rowTypeBit
}

// composite finds the relation whose row type, or the array of it, an oid is.
func (c *Catalog) composite(oid uint32) (o object, array, ok bool) {
	if oid&rowTypeBit == 0 {
		return object{}, false, false
	}
	array = oid&arrayTypeBit == arrayTypeBit
	if o, ok = c.object(oid &^ arrayTypeBit); !ok || rowTypeOID(o) == 0 {
		return object{}, false, false
	}
	return o, array, true
}

// pgType gives the types of relations' rows; the built-in types are static rows.
func (c *Catalog) pgType(_ context.Context, w *writer) error {
	for _, o := range c.objects() {
		row := rowTypeOID(o)
		if row == 0 {
			continue
		}
		f := fields{"typnamespace": o.space, "typowner": OwnerOID, "typlen": -1, "typisdefined": true, "typdelim": ",", "typalign": "d",
			"typstorage": "x", "typtypmod": -1}
		f["oid"], f["typname"], f["typtype"], f["typcategory"] = row, o.name, "c", "C"
		f["typrelid"], f["typarray"] = o.oid, o.oid|arrayTypeBit
		f["typinput"], f["typoutput"], f["typreceive"], f["typsend"] = 2290, 2291, 2402, 2403
		if err := w.add(f); err != nil {
			return err
		}
		f["oid"], f["typname"], f["typtype"], f["typcategory"] = o.oid|arrayTypeBit, "_"+o.name, "b", "A"
		f["typrelid"], f["typarray"], f["typelem"], f["typsubscript"] = 0, 0, row, 6179
		f["typinput"], f["typoutput"], f["typreceive"], f["typsend"] = 750, 751, 2400, 2401
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// lookupType finds a type by its name as SQL writes it, qualified, quoted and with modifiers or not.
func (c *Catalog) lookupType(name string) (int64, error) {
	base := strings.TrimSpace(name)
	array := strings.HasSuffix(base, "[]")
	base = strings.TrimSpace(strings.TrimSuffix(base, "[]"))
	missing := sqlerr.New(sqlerr.UndefinedObject, "type \"%s\" does not exist", name)
	schema, quoted := "", strings.Contains(base, `"`)
	if quoted || strings.Contains(base, ".") {
		parts, err := splitName(base)
		if err != nil || len(parts) > 3 {
			return 0, missing
		}
		if base = parts[len(parts)-1]; len(parts) > 1 {
			schema = parts[len(parts)-2]
		}
	}
	if p := c.builtinType(schema, base, quoted); p != nil {
		if array {
			return int64(p.array), nil
		}
		return int64(p.oid), nil
	}
	oid, err := c.lookupRelation(schema, base)
	if err != nil {
		return 0, missing
	}
	if array {
		return oid | arrayTypeBit, nil
	}
	return oid | rowTypeBit, nil
}

// builtinType finds a type of pg_catalog, under its own name or, unless quoted, under that of SQL; nil when there is none.
func (c *Catalog) builtinType(schema, name string, quoted bool) *pgType {
	if schema != "" && schema != "pg_catalog" {
		return nil
	}
	if quoted {
		return c.sys.named[name]
	}
	name = strings.ToLower(name)
	if open := strings.IndexByte(name, '('); open >= 0 && strings.Contains(name[open:], ")") {
		name = strings.TrimSpace(name[:open] + name[open+strings.IndexByte(name[open:], ')')+1:])
	}
	if k, ok := types.KindByName(name); ok {
		return c.sys.types[types.T(k).OID()]
	}
	if p := c.sys.named[name]; p != nil {
		return p
	}
	for pg, sql := range sqlNames {
		if sql == name {
			return c.sys.named[pg]
		}
	}
	return nil
}

// lookupRelation finds a relation by name; schema "" searches.
func (c *Catalog) lookupRelation(schema, name string) (int64, error) {
	if schema == "" || schema == "pg_catalog" {
		if r := c.sys.byName["pg_catalog."+name]; r != nil {
			return int64(r.oid), nil
		}
	}
	if r := c.sys.byName[schema+"."+name]; r != nil {
		return int64(r.oid), nil
	}
	spaces := []uint32{c.namespaceOID(schema)}
	if schema == "" {
		spaces = c.searched()
	}
	candidates := c.contents().named(name)
	for _, space := range spaces {
		for _, o := range candidates {
			if o.space == space {
				return int64(o.oid), nil
			}
		}
	}
	return 0, sqlerr.New(sqlerr.UndefinedTable, "relation \"%s\" does not exist", name)
}
