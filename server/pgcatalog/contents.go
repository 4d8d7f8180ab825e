package pgcatalog

import (
	"slices"

	"github.com/vigil-sql/vigil/planner/catalog"
)

// contents is what exists in one snapshot of the catalogue, ready to be found: clients ask for names and oids row by row. It does
// not change once it is made.
type contents struct {
	snap *catalog.Snapshot
	// objects are the relations that are not Postgres' own, by oid.
	objects []object
	byOID   map[uint32]int
	byName  map[string][]int
	// schemas are those of the system, of users, and the temporary one when it has tables.
	schemas   []namespace
	spaceOIDs map[string]uint32
	// keys are the indexes of all tables.
	keys     []keyed
	keyByOID map[uint32]int // by the oid of the index
}

// contents gives what exists now; it is made anew when the snapshot is another one.
func (c *Catalog) contents() *contents {
	snap := c.src.Snapshot()
	if k := c.known.Load(); k != nil && k.snap == snap {
		return k
	}
	k := &contents{snap: snap, byOID: map[uint32]int{}, byName: map[string][]int{}, spaceOIDs: map[string]uint32{}, keyByOID: map[uint32]int{}}
	k.addSchemas()
	k.addObjects(c.sys)
	for i, o := range k.objects {
		k.byOID[o.oid] = i
		k.byName[o.name] = append(k.byName[o.name], i)
	}
	c.known.Store(k)
	return k
}

// addSchemas lists the schemas, and the indexes of the tables on the way.
func (k *contents) addSchemas() {
	k.schemas = slices.Clone(namespaces)
	for _, x := range k.snap.Schemas() {
		k.schemas = append(k.schemas, namespace{userOID(x.ID), x.Name})
	}
	temp := false
	for _, t := range k.snap.Tables() {
		temp = temp || t.Temp
		for i := range t.Keys {
			x := keyed{&t.Keys[i], t, i}
			k.keyByOID[x.indexOID()] = len(k.keys)
			k.keys = append(k.keys, x)
		}
	}
	if temp {
		k.schemas = append(k.schemas, namespace{tempNamespace, tempName})
	}
	for _, n := range k.schemas {
		k.spaceOIDs[n.name] = n.oid
	}
	k.spaceOIDs[tempName], k.spaceOIDs[catalog.PgTemp] = tempNamespace, tempNamespace
}

// addObjects lists streams, tables, sequences, queries, IOC lists, views, and virtual relations that are not Postgres'.
func (k *contents) addObjects(sys *system) {
	add := func(r catalog.Relation, kind byte, def string) {
		k.objects = append(k.objects, object{userOID(r.RelID()), r.RelID(), r.RelName(), k.spaceOIDs[r.RelNamespace()], kind, r.RelSchema().Cols, def})
	}
	for _, t := range k.snap.Tables() { // with the connection's temporary ones
		add(t, 'r', "")
	}
	for _, r := range k.snap.Relations() {
		switch r := r.(type) {
		case *catalog.Stream, *catalog.IOCList:
			add(r, 'r', "")
		case *catalog.Sequence:
			add(r, 'S', "")
		case *catalog.Query:
			add(r, 'm', r.SQL)
		case *catalog.View:
			add(r, 'v', r.SQL)
		}
	}
	for _, v := range k.snap.Virtuals() {
		if sys.byName[v.SchemaName+"."+v.Name] == nil {
			k.objects = append(k.objects, object{uint32(v.ID), v.ID, v.Name, vigilNamespace, 'v', v.Columns.Cols, ""})
		}
	}
	slices.SortFunc(k.objects, func(a, b object) int { return int(int64(a.oid) - int64(b.oid)) })
}

// named gives the objects of a name, in all schemas.
func (k *contents) named(name string) []object {
	at := k.byName[name]
	out := make([]object, len(at))
	for i, n := range at {
		out[i] = k.objects[n]
	}
	return out
}

// objects lists the relations that are not Postgres' own, by oid. The list must not be changed.
func (c *Catalog) objects() []object { return c.contents().objects }

// object finds an object by oid.
func (c *Catalog) object(oid uint32) (object, bool) {
	k := c.contents()
	if i, ok := k.byOID[oid]; ok {
		return k.objects[i], true
	}
	return object{}, false
}

// keys lists the indexes of all tables. The list must not be changed.
func (c *Catalog) keys() []keyed { return c.contents().keys }

// key finds an index by its oid.
func (c *Catalog) key(oid uint32) (keyed, bool) {
	k := c.contents()
	if i, ok := k.keyByOID[oid]; ok {
		return k.keys[i], true
	}
	return keyed{}, false
}

// schemas lists the schemas, those of users and the connection's temporary one included.
func (c *Catalog) schemas() []namespace { return c.contents().schemas }

// space is the oid of a relation's schema.
func (c *Catalog) space(r catalog.Relation) uint32 { return c.namespaceOID(r.RelNamespace()) }

// namespaceOID is the oid of a schema, 0 when there is none of the name.
func (c *Catalog) namespaceOID(name string) uint32 { return c.contents().spaceOIDs[name] }

// namespaceName is the name of a schema, "" for an unknown oid.
func (c *Catalog) namespaceName(oid uint32) string {
	if oid == tempNamespace {
		return tempName
	}
	for _, n := range c.schemas() {
		if n.oid == oid {
			return n.name
		}
	}
	return ""
}
