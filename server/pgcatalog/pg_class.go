package pgcatalog

import "context"

func (c *Catalog) pgClass(_ context.Context, w *writer) error {
	for _, r := range c.sys.list {
		err := w.add(classRow(r.oid, r.name, c.namespaceOID(r.schema), r.kind, len(r.cols)))
		if err != nil {
			return err
		}
	}
	for _, o := range c.objects() {
		f := classRow(o.oid, o.name, o.space, o.kind, len(o.cols))
		f["reltype"] = rowTypeOID(o)
		if o.id < systemIDs {
			f["relowner"], f["relacl"] = c.ownerOID(o.id), c.access(o.id)
		}
		if o.space == tempNamespace {
			f["relpersistence"] = "t"
		}
		if t := c.tableOf(o); t != nil {
			f["relhasindex"], f["relchecks"] = len(t.Keys) > 0, len(t.Checks)
		}
		if err := w.add(f); err != nil {
			return err
		}
	}
	return c.keyClasses(w)
}

// classRow is the pg_class row of a relation; what it does not name is zero, as for a table without extras.
func classRow(oid uint32, name string, space uint32, kind byte, cols int) fields {
	f := fields{"oid": oid, "relname": name, "relnamespace": space, "relowner": OwnerOID, "relkind": kind, "relnatts": cols,
		"relpersistence": "p", "relispopulated": true, "relreplident": "n", "reltuples": -1.0}
	switch {
	case kind == 'v':
		f["relhasrules"] = true
	case oid < FirstObjectOID:
		f["relam"] = heapAM
	default:
		f["relam"] = heapAM
		f["relreplident"] = "d"
		f["relfilenode"] = oid
	}
	if kind == 'm' {
		f["relhasrules"] = true
	}
	return f
}

func (c *Catalog) pgAttribute(_ context.Context, w *writer) error {
	for _, r := range c.sys.list {
		for i, col := range r.cols {
			t := c.sys.named[col.pgType]
			if err := w.add(attributeRow(r.oid, i+1, col.name, t, col.typ.WireMod(), col.notNull)); err != nil {
				return err
			}
		}
		if r.kind != 'r' {
			continue
		}
		for i, col := range hiddenColumns {
			if err := w.add(attributeRow(r.oid, hiddenNumbers[i], col.name, c.sys.named[col.pgType], -1, true)); err != nil {
				return err
			}
		}
	}
	for _, o := range c.objects() {
		table := c.tableOf(o)
		for i, col := range o.cols {
			t := c.sys.types[col.Type.OID()]
			row := attributeRow(o.oid, i+1, col.Name, t, col.Type.WireMod(), col.NotNull)
			row["attndims"] = arrayDims(col.Type)
			row["atthasdef"] = table != nil && table.HasDefault(i) && table.Identity[i] == 0
			if table != nil && table.Identity[i] != 0 {
				row["attidentity"] = string(table.Identity[i])
			}
			if err := w.add(row); err != nil {
				return err
			}
		}
	}
	return c.keyAttributes(w)
}

// attributeRow is the pg_attribute row of column n (1-based; negative: hidden).
func attributeRow(rel uint32, n int, name string, t *pgType, mod int32, notNull bool) fields {
	f := fields{"attrelid": rel, "attnum": n, "attname": name, "attstattarget": -1, "attcacheoff": -1, "atttypmod": int64(mod),
		"attnotnull": notNull, "attislocal": true, "atthasmissing": false}
	if t == nil {
		return f
	}
	f["atttypid"], f["attlen"], f["attbyval"] = t.oid, t.size, t.byVal
	f["attalign"], f["attstorage"], f["attcollation"] = t.align, t.storage, t.collation
	if t.elem != 0 && t.size == -1 {
		f["attndims"] = 1
	}
	return f
}
