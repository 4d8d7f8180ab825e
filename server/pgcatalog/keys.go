package pgcatalog

import (
	"context"
	"strings"

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

// keyed lists the tables with a primary key.
func (c *Catalog) keyed() []*catalog.Table {
	var out []*catalog.Table
	for _, t := range c.src.Snapshot().Tables() {
		if len(t.Key) > 0 {
			out = append(out, t)
		}
	}
	return out
}

// keyNames are the quoted columns of a primary key.
func keyNames(t *catalog.Table) string {
	var names []string
	for _, k := range t.Key {
		names = append(names, quoteIdent(t.Table.Schema.Cols[k].Name))
	}
	return strings.Join(names, ", ")
}

// IndexText implements fn.KeyReader.
func (c *Catalog) IndexText(oid int64, column int) (string, bool) {
	for _, t := range c.keyed() {
		if userOID(t.ID)|indexBit != uint32(oid) {
			continue
		}
		if column > 0 {
			if column > len(t.Key) {
				return "", true
			}
			return quoteIdent(t.Table.Schema.Cols[t.Key[column-1]].Name), true
		}
		return "CREATE UNIQUE INDEX " + quoteIdent(t.RelName()+"_pkey") + " ON public." + quoteIdent(t.Name) + " USING btree (" + keyNames(t) + ")", true
	}
	return "", false
}

// ConstraintText implements fn.KeyReader.
func (c *Catalog) ConstraintText(oid int64) (string, bool) {
	for _, t := range c.keyed() {
		if userOID(t.ID)|constraintBit == uint32(oid) {
			return "PRIMARY KEY (" + keyNames(t) + ")", true
		}
	}
	return "", false
}

// numbers are the attribute numbers of a key's columns.
func numbers(t *catalog.Table) []int64 {
	var out []int64
	for _, k := range t.Key {
		out = append(out, int64(k+1))
	}
	return out
}

func (c *Catalog) pgIndex(_ context.Context, w *writer) error {
	for _, t := range c.keyed() {
		err := w.add(fields{"indexrelid": userOID(t.ID) | indexBit, "indrelid": userOID(t.ID), "indnatts": len(t.Key), "indnkeyatts": len(t.Key),
			"indisunique": true, "indisprimary": true, "indimmediate": true, "indisvalid": true, "indisready": true, "indislive": true,
			"indkey": numbers(t), "indoption": make([]int64, len(t.Key))})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Catalog) pgConstraint(_ context.Context, w *writer) error {
	for _, t := range c.keyed() {
		err := w.add(fields{"oid": userOID(t.ID) | constraintBit, "conname": t.RelName() + "_pkey", "connamespace": c.space(t), "contype": "p",
			"convalidated": true, "conrelid": userOID(t.ID), "conindid": userOID(t.ID) | indexBit, "conislocal": true, "connoinherit": true,
			"confupdtype": " ", "confdeltype": " ", "confmatchtype": " ", "conkey": numbers(t)})
		if err != nil {
			return err
		}
	}
	return nil
}

// pgAttrdef has the defaults of tables' columns, as the text that pg_get_expr prints.
func (c *Catalog) pgAttrdef(_ context.Context, w *writer) error {
	for _, t := range c.src.Snapshot().Tables() {
		for i, v := range t.Defaults {
			if v.Null {
				continue
			}
			err := w.add(fields{"oid": userOID(t.ID) | constraintBit, "adrelid": userOID(t.ID), "adnum": i + 1, "adbin": defaultText(v)})
			if err != nil {
				return err
			}
		}
	}
	return nil
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
	for _, t := range c.keyed() {
		f := classRow(userOID(t.ID)|indexBit, t.RelName()+"_pkey", c.space(t), 'i', len(t.Key))
		f["relam"], f["relreplident"] = btreeAM, "n"
		if err := w.add(f); err != nil {
			return err
		}
	}
	return nil
}

// keyAttributes are the pg_attribute rows of the indexes' columns.
func (c *Catalog) keyAttributes(w *writer) error {
	for _, t := range c.keyed() {
		for i, k := range t.Key {
			col := t.Table.Schema.Cols[k]
			err := w.add(attributeRow(userOID(t.ID)|indexBit, i+1, col.Name, c.sys.types[col.Type.OID()], col.Type.WireMod(), false))
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
