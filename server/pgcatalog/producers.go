package pgcatalog

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// producers is the table of the relations whose rows depend on what exists.
var producers = sync.OnceValue(func() map[string]producer {
	return map[string]producer{
		"pg_catalog.pg_class":               (*Catalog).pgClass,
		"pg_catalog.pg_type":                (*Catalog).pgType,
		"pg_catalog.pg_attribute":           (*Catalog).pgAttribute,
		"pg_catalog.pg_attrdef":             (*Catalog).pgAttrdef,
		"pg_catalog.pg_index":               (*Catalog).pgIndex,
		"pg_catalog.pg_constraint":          (*Catalog).pgConstraint,
		"pg_catalog.pg_indexes":             (*Catalog).pgIndexes,
		"pg_catalog.pg_sequence":            (*Catalog).pgSequence,
		"pg_catalog.pg_sequences":           (*Catalog).pgSequences,
		"pg_catalog.pg_namespace":           (*Catalog).pgNamespace,
		"pg_catalog.pg_database":            (*Catalog).pgDatabase,
		"pg_catalog.pg_authid":              (*Catalog).pgRoles,
		"pg_catalog.pg_roles":               (*Catalog).pgRoles,
		"pg_catalog.pg_user":                (*Catalog).pgUser,
		"pg_catalog.pg_shadow":              (*Catalog).pgUser,
		"pg_catalog.pg_group":               (*Catalog).pgGroup,
		"pg_catalog.pg_auth_members":        (*Catalog).pgAuthMembers,
		"pg_catalog.pg_proc":                (*Catalog).pgProc,
		"pg_catalog.pg_language":            (*Catalog).pgLanguage,
		"pg_catalog.pg_settings":            (*Catalog).pgSettings,
		"pg_catalog.pg_tables":              (*Catalog).pgTables,
		"pg_catalog.pg_matviews":            (*Catalog).pgMatviews,
		"pg_catalog.pg_views":               (*Catalog).pgViews,
		"pg_catalog.pg_stat_activity":       (*Catalog).pgStatActivity,
		"pg_catalog.pg_cursors":             (*Catalog).pgCursors,
		"pg_catalog.pg_prepared_statements": (*Catalog).pgPreparedStatements,
		"pg_catalog.pg_rewrite":             (*Catalog).pgRewrite,

		"information_schema.table_privileges":  (*Catalog).infoTablePrivileges,
		"information_schema.role_table_grants": (*Catalog).infoTablePrivileges,

		"information_schema.schemata":  (*Catalog).infoSchemata,
		"information_schema.tables":    (*Catalog).infoTables,
		"information_schema.columns":   (*Catalog).infoColumns,
		"information_schema.views":     (*Catalog).infoViews,
		"information_schema.routines":  (*Catalog).infoRoutines,
		"pg_catalog.pg_description":    (*Catalog).pgDescription,
		"information_schema.sequences": (*Catalog).infoSequences,

		"information_schema.information_schema_catalog_name": (*Catalog).infoCatalogName,
	}
})

// databaseName is the one database.
const databaseName = "vigil"

func (c *Catalog) pgNamespace(_ context.Context, w *writer) error {
	for _, n := range c.schemas() {
		f := fields{"oid": n.oid, "nspname": n.name, "nspowner": OwnerOID}
		if id, ok := c.accessNumber(n); ok {
			f["nspowner"], f["nspacl"] = c.ownerOID(id), c.access(id)
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgDatabase(_ context.Context, w *writer) error {
	return w.add(fields{"oid": databaseOID, "datname": databaseName, "datdba": OwnerOID, "encoding": encodingUTF8,
		"datlocprovider": "c", "datallowconn": true, "datconnlimit": -1, "datfrozenxid": 3, "datminmxid": 1,
		"dattablespace": 1663, "datcollate": "C", "datctype": "C", "datacl": c.access(catalog.DatabaseAccess)})
}

func (c *Catalog) pgLanguage(_ context.Context, w *writer) error {
	return w.add(fields{"oid": javascriptOID, "lanname": "javascript", "lanowner": OwnerOID, "lanispl": true, "lanpltrusted": true})
}

// volatility is pg_proc.provolatile of CREATE FUNCTION's words.
func volatility(s string) string {
	switch s {
	case "IMMUTABLE":
		return "i"
	case "STABLE":
		return "s"
	}
	return "v"
}

func (c *Catalog) pgProc(_ context.Context, w *writer) error {
	for _, f := range c.src.Snapshot().Functions() {
		argTypes := make([]int64, len(f.Params))
		var names []string
		for i, p := range f.Params {
			argTypes[i] = int64(p.Type.OID())
			if p.Name != "" {
				names = append(names, p.Name)
			}
		}
		row := fields{"oid": userOID(f.ID), "proname": f.Name, "pronamespace": publicNamespace, "proowner": c.ownerOID(f.ID), "proacl": c.access(f.ID),
			"prolang": javascriptOID, "procost": 100.0, "prokind": "f", "proisstrict": f.Strict, "provolatile": volatility(f.Volatility),
			"proparallel": "u", "pronargs": len(f.Params), "prorettype": f.Ret.OID(), "proargtypes": argTypes, "prosrc": f.Body}
		if f.Aggregate {
			row["prokind"] = "a"
		}
		if len(names) == len(f.Params) && len(names) > 0 {
			row["proargnames"] = names
		}
		if err := w.add(row); err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgSettings(ctx context.Context, w *writer) error {
	for _, s := range c.src.Settings(ctx) {
		vartype := s.Type
		if vartype == "" {
			vartype = "string"
		}
		source := "default"
		if s.Value != s.Default {
			source = "session"
		}
		err := w.add(fields{"name": s.Name, "setting": s.Value, "category": "Settings", "short_desc": s.Doc, "context": "user",
			"vartype": vartype, "source": source, "boot_val": s.Default, "reset_val": s.Default, "pending_restart": false})
		if err != nil {
			return err
		}
	}
	return nil
}

// pgRewrite has the rule that makes a materialized view one: clients look it up by the relation's oid.
func (c *Catalog) pgRewrite(_ context.Context, w *writer) error {
	for _, o := range c.objects() {
		if o.def == "" {
			continue
		}
		// The rule's oid need only be stable and its own.
		err := w.add(fields{"oid": o.oid | 1<<31, "rulename": "_RETURN", "ev_class": o.oid, "ev_type": "1", "ev_enabled": "O",
			"is_instead": true, "ev_qual": "<>", "ev_action": "<>"})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgTables(_ context.Context, w *writer) error {
	return c.eachRelation('r', func(space, name string, o object) error {
		return w.add(fields{"schemaname": space, "tablename": name, "tableowner": c.ownerName(o), "hasindexes": false,
			"hasrules": false, "hastriggers": false, "rowsecurity": false})
	})
}

func (c *Catalog) pgViews(_ context.Context, w *writer) error {
	return c.eachRelation('v', func(space, name string, o object) error {
		f := fields{"schemaname": space, "viewname": name, "viewowner": c.ownerName(o)}
		if o.def != "" {
			f["definition"] = c.queryText(o)
		}
		return w.add(f)
	})
}

func (c *Catalog) pgMatviews(_ context.Context, w *writer) error {
	return c.eachRelation('m', func(space, name string, o object) error {
		return w.add(fields{"schemaname": space, "matviewname": name, "matviewowner": c.ownerName(o), "hasindexes": false,
			"ispopulated": true, "definition": c.queryText(o)})
	})
}

// eachRelation calls fn for the relations of one relkind, the system's first.
func (c *Catalog) eachRelation(kind byte, fn func(space, name string, o object) error) error {
	for _, r := range c.sys.list {
		if r.kind == kind {
			if err := fn(r.schema, r.name, object{}); err != nil {
				return err
			}
		}
	}
	for _, o := range c.objects() {
		if o.kind == kind {
			if err := fn(c.namespaceName(o.space), o.name, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// arrayDims is pg_attribute.attndims.
func arrayDims(t types.Type) int {
	if t.Kind == types.Array {
		return 1
	}
	return 0
}

// pgDescription gives the comments of users' objects.
func (c *Catalog) pgDescription(_ context.Context, w *writer) error {
	snap := c.src.Snapshot()
	emit := func(id uint64, class int) error {
		comments := snap.Comments(id)
		for _, column := range slices.Sorted(maps.Keys(comments)) {
			if err := w.add(fields{"objoid": userOID(id), "classoid": class, "objsubid": column, "description": comments[column]}); err != nil {
				return err
			}
		}
		return nil
	}
	for _, r := range snap.Relations() {
		if err := emit(r.RelID(), classRelation); err != nil {
			return err
		}
	}
	for _, f := range snap.Functions() {
		if err := emit(f.ID, classFunction); err != nil {
			return err
		}
	}
	for _, x := range snap.Schemas() {
		if err := emit(x.ID, classNamespace); err != nil {
			return err
		}
	}
	return nil
}

// The oids of the catalogues that objects belong to, as comments name them.
const (
	classRelation  = 1259
	classFunction  = 1255
	classNamespace = 2615
)
