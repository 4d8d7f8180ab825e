package pgcatalog

import (
	"context"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

var _ fn.KeyReader = (*Catalog)(nil)

// The oids of what belongs to a table: its own with a high bit.
const (
	indexBit      = 1 << 31
	constraintBit = 3 << 30
	btreeAM       = 403
)

// keyed is an index of a table; at is its place among the table's.
type keyed struct {
	*catalog.Key
	t  *catalog.Table
	at int
}

// partOID is the oid of the n-th part of a table: its own with the place above it and a high bit.
func partOID(bit uint32, t *catalog.Table, n int) uint32 {
	return bit | (uint32(n)<<20+userOID(t.ID))&(1<<30-1)
}

func (k *keyed) indexOID() uint32      { return partOID(indexBit, k.t, k.at) }
func (k *keyed) constraintOID() uint32 { return partOID(constraintBit, k.t, k.at) }

func checkOID(t *catalog.Table, n int) uint32 { return partOID(constraintBit, t, len(t.Keys)+n) }

// columns are the quoted columns of a key, with their order where that is not the usual one.
func (k *keyed) columns(order bool) string {
	var names []string
	for i, col := range k.Cols {
		name := quoteIdent(k.t.Table.Schema.Cols[col].Name)
		if order {
			name += [...]string{"", " DESC NULLS LAST", " NULLS FIRST", " DESC"}[k.Options[i]&3]
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// IndexText implements fn.KeyReader.
func (c *Catalog) IndexText(oid int64, column int) (string, bool) {
	k, ok := c.key(uint32(oid))
	switch {
	case !ok:
		return "", false
	case column > len(k.Cols):
		return "", true
	case column > 0:
		return quoteIdent(k.t.Table.Schema.Cols[k.Cols[column-1]].Name), true
	}
	return k.text(), true
}

// text is the index as CREATE INDEX.
func (k *keyed) text() string {
	unique := map[bool]string{true: "UNIQUE "}[k.Unique]
	return "CREATE " + unique + "INDEX " + quoteIdent(k.Name) + " ON " + quoteIdent(k.t.RelNamespace()) + "." + quoteIdent(k.t.RelName()) + " USING btree (" + k.columns(true) + ")"
}

// ConstraintText implements fn.KeyReader.
func (c *Catalog) ConstraintText(oid int64) (string, bool) {
	for _, k := range c.keys() {
		if !k.Index && k.constraintOID() == uint32(oid) {
			return map[bool]string{true: "PRIMARY KEY (", false: "UNIQUE ("}[k.Primary] + k.columns(false) + ")", true
		}
	}
	for _, t := range c.src.Snapshot().Tables() {
		for i := range t.Checks {
			if checkOID(t, i) == uint32(oid) {
				return "CHECK (" + checkText(t.Checks[i].Text) + ")", true
			}
		}
	}
	return "", false
}

// checkText puts the parentheses around a condition that Postgres prints.
func checkText(s string) string { return "(" + s + ")" }

// numbers are the attribute numbers of columns.
func numbers(cols []int) []int64 {
	var out []int64
	for _, k := range cols {
		out = append(out, int64(k+1))
	}
	return out
}

func (c *Catalog) pgIndex(_ context.Context, w *writer) error {
	for _, k := range c.keys() {
		err := w.add(fields{"indexrelid": k.indexOID(), "indrelid": userOID(k.t.ID), "indnatts": len(k.Cols), "indnkeyatts": len(k.Cols),
			"indisunique": k.Unique, "indisprimary": k.Primary, "indimmediate": true, "indisvalid": true, "indisready": true, "indislive": true,
			"indkey": numbers(k.Cols), "indoption": k.Options})
		if err != nil {
			return err
		}
	}
	return nil
}

// pgIndexes are the indexes with their definitions.
func (c *Catalog) pgIndexes(_ context.Context, w *writer) error {
	for _, k := range c.keys() {
		schema := k.t.RelNamespace()
		if k.t.Temp {
			schema = tempName
		}
		err := w.add(fields{"schemaname": schema, "tablename": k.t.RelName(), "indexname": k.Name, "indexdef": k.text()})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgConstraint(_ context.Context, w *writer) error {
	row := func(t *catalog.Table, oid uint32, name, kind string, cols []int) fields {
		return fields{"oid": oid, "conname": name, "connamespace": c.space(t), "contype": kind, "convalidated": true, "conrelid": userOID(t.ID),
			"conislocal": true, "connoinherit": kind != "c", "confupdtype": " ", "confdeltype": " ", "confmatchtype": " ", "conkey": numbers(cols)}
	}
	for _, k := range c.keys() {
		if k.Index {
			continue
		}
		f := row(k.t, k.constraintOID(), k.Name, map[bool]string{true: "p", false: "u"}[k.Primary], k.Cols)
		f["conindid"] = k.indexOID()
		if err := w.add(f); err != nil {
			return err
		}
	}
	for _, t := range c.src.Snapshot().Tables() {
		for i, k := range t.Checks {
			if err := w.add(row(t, checkOID(t, i), k.Name, "c", k.Cols)); err != nil {
				return err
			}
		}
	}
	return nil
}

// pgAttrdef has the defaults of tables' columns, as the text that pg_get_expr prints.
func (c *Catalog) pgAttrdef(_ context.Context, w *writer) error {
	for _, t := range c.src.Snapshot().Tables() {
		for i := range t.Defaults {
			text := columnDefault(t, i)
			if text == "" {
				continue
			}
			err := w.add(fields{"oid": userOID(t.ID) | constraintBit, "adrelid": userOID(t.ID), "adnum": i + 1, "adbin": text})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// columnDefault is the text of a column's default, "" when it has none of its own.
func columnDefault(t *catalog.Table, i int) string {
	switch x := t.Defaults[i].(type) {
	case nil:
		return ""
	case *expr.Const:
		return defaultText(x.Val)
	}
	if t.Identity[i] != 0 {
		return ""
	}
	return t.DefaultText[i]
}

// defaultText prints a default as Postgres does: numbers bare, others as a literal with its type.
func defaultText(v types.Value) string {
	s := string(types.AppendText(nil, v, nil))
	switch {
	case v.Type.Kind.IsNumber() || v.Type.Kind.IsInteger():
		if strings.HasPrefix(s, "-") {
			return "'" + s + "'::" + v.Type.String()
		}
		return s
	case v.Type.Kind == types.Bool:
		return map[bool]string{true: "true", false: "false"}[v.Bool()]
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'::" + v.Type.String()
}

// keyClasses are the pg_class rows of the indexes.
func (c *Catalog) keyClasses(w *writer) error {
	for _, k := range c.keys() {
		f := classRow(k.indexOID(), k.Name, c.space(k.t), 'i', len(k.Cols))
		f["relam"], f["relreplident"] = btreeAM, "n"
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// keyAttributes are the pg_attribute rows of the indexes' columns.
func (c *Catalog) keyAttributes(w *writer) error {
	for _, k := range c.keys() {
		for i, at := range k.Cols {
			col := k.t.Table.Schema.Cols[at]
			err := w.add(attributeRow(k.indexOID(), i+1, col.Name, c.sys.types[col.Type.OID()], col.Type.WireMod(), false))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// tableOf finds the table behind an object, nil for other relations.
func (c *Catalog) tableOf(o object) *catalog.Table {
	t, _ := c.src.Snapshot().ByID(o.id).(*catalog.Table)
	if t == nil || userOID(t.ID) != o.oid {
		return nil
	}
	return t
}
