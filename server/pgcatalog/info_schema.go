package pgcatalog

import (
	"context"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

func (c *Catalog) infoCatalogName(_ context.Context, w *writer) error {
	return w.add(fields{"catalog_name": databaseName})
}

func (c *Catalog) infoSchemata(_ context.Context, w *writer) error {
	for _, n := range c.schemas() {
		owner := uint32(OwnerOID)
		if id, ok := c.accessNumber(n); ok {
			owner = c.ownerOID(id)
		}
		err := w.add(fields{"catalog_name": databaseName, "schema_name": n.name, "schema_owner": c.RoleName(int64(owner))})
		if err != nil {
			return err
		}
	}
	return nil
}

// infoTables lists tables and views; materialized views are not part of the standard's view of things, but leaving
// continuous queries out would hide them from tools that know nothing else, so they appear as views.
func (c *Catalog) infoTables(_ context.Context, w *writer) error {
	for _, kind := range []byte{'r', 'v', 'm'} {
		err := c.eachRelation(kind, func(space, name string, o object) error {
			what := "VIEW"
			if kind == 'r' {
				what = "BASE TABLE"
			}
			return w.add(fields{"table_catalog": databaseName, "table_schema": space, "table_name": name, "table_type": what,
				"is_insertable_into": kind == 'r' && o.oid != 0, "is_typed": false})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) infoViews(_ context.Context, w *writer) error {
	add := func(space, name string, o object) error {
		if o.def == "" {
			return nil
		}
		return w.add(fields{"table_catalog": databaseName, "table_schema": space, "table_name": name, "check_option": "NONE",
			"view_definition": c.queryText(o), "is_updatable": false, "is_insertable_into": false, "is_trigger_updatable": false,
			"is_trigger_deletable": false, "is_trigger_insertable_into": false})
	}
	if err := c.eachRelation('v', add); err != nil {
		return err
	}
	return c.eachRelation('m', add)
}

func (c *Catalog) infoColumns(_ context.Context, w *writer) error {
	for _, r := range c.sys.list {
		for i, col := range r.cols {
			f := c.columnRow(r.schema, r.name, i, types.Column{Name: col.name, Type: col.typ, NotNull: col.notNull})
			if err := w.add(f); err != nil {
				return err
			}
		}
	}
	for _, o := range c.objects() {
		if o.kind == 'S' { // a sequence's columns are not shown
			continue
		}
		table := c.tableOf(o)
		for i, col := range o.cols {
			f := c.columnRow(c.namespaceName(o.space), o.name, i, col)
			if table != nil {
				describeColumn(f, table, i)
			}
			f["is_updatable"] = o.kind == 'r'
			if err := w.add(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// describeColumn adds what a table says of a column's default.
func describeColumn(f fields, t *catalog.Table, i int) {
	if text := columnDefault(t, i); text != "" {
		f["column_default"] = text
	}
	if t.Identity[i] != 0 {
		f["is_identity"] = true
		f["identity_generation"] = map[byte]string{'a': "ALWAYS", 'd': "BY DEFAULT"}[t.Identity[i]]
	}
}

// columnRow is the information_schema.columns row of column i (0-based).
func (c *Catalog) columnRow(space, table string, i int, col types.Column) fields {
	f := fields{"table_catalog": databaseName, "table_schema": space, "table_name": table, "column_name": col.Name,
		"ordinal_position": i + 1, "is_nullable": !col.NotNull, "udt_catalog": databaseName, "udt_schema": "pg_catalog",
		"dtd_identifier": itoa(i + 1), "is_self_referencing": false, "is_identity": false, "identity_cycle": false,
		"is_generated": "NEVER", "is_updatable": false, "data_type": types.T(col.Type.Kind).String()}
	t := col.Type
	if t.Kind == types.Array {
		f["data_type"] = "ARRAY"
	}
	if p := c.sys.types[t.OID()]; p != nil {
		f["udt_name"] = p.name
	}
	switch t.Kind {
	case types.Int2, types.Int4, types.Int8:
		f["numeric_precision"], f["numeric_precision_radix"], f["numeric_scale"] = 8*int(t.Size()), 2, 0
	case types.Float4:
		f["numeric_precision"], f["numeric_precision_radix"] = 24, 2
	case types.Float8:
		f["numeric_precision"], f["numeric_precision_radix"] = 53, 2
	case types.Numeric:
		f["numeric_precision_radix"] = 10
		if t.Mod > 0 {
			f["numeric_precision"], f["numeric_scale"] = (t.Mod-4)>>16, (t.Mod-4)&0x7ff
		}
	case types.Varchar, types.BPChar:
		if t.Mod > 0 {
			f["character_maximum_length"], f["character_octet_length"] = t.Mod-4, 4*(t.Mod-4)
		} else {
			f["character_octet_length"] = 1 << 30
		}
	case types.Text:
		f["character_octet_length"] = 1 << 30
	case types.Date:
		f["datetime_precision"] = 0
	case types.Timestamp, types.TimestampTZ, types.Interval:
		f["datetime_precision"] = 6
	}
	return f
}

func (c *Catalog) infoRoutines(_ context.Context, w *writer) error {
	for _, fn := range c.src.Snapshot().Functions() {
		name := fn.Name + "_" + itoa(int(userOID(fn.ID)))
		f := fields{"specific_catalog": databaseName, "specific_schema": "public", "specific_name": name,
			"routine_catalog": databaseName, "routine_schema": "public", "routine_name": fn.Name, "routine_type": "FUNCTION",
			"data_type": fn.Ret.String(), "type_udt_catalog": databaseName, "type_udt_schema": "pg_catalog", "routine_body": "EXTERNAL",
			"routine_definition": fn.Body, "external_language": "JAVASCRIPT", "is_deterministic": fn.Volatility == "IMMUTABLE",
			"is_null_call": fn.Strict, "security_type": "INVOKER"}
		if p := c.sys.types[fn.Ret.OID()]; p != nil {
			f["type_udt_name"] = p.name
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}
