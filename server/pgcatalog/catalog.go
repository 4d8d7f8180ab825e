// Package pgcatalog shows what exists in vigil the way PostgreSQL 15 would: the relations of pg_catalog and
// information_schema with Postgres' columns, types and oids, and the data behind the catalogue functions. Streams and IOC
// lists appear as tables, continuous queries as materialized views, all in schema public.
package pgcatalog

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// Source is what exists at the moment. It is asked from many goroutines.
type Source interface {
	// Snapshot is the catalogue: streams, queries, IOC lists, functions and virtual relations.
	Snapshot() *catalog.Snapshot
	// Settings lists the settings of the connection that ctx belongs to, for pg_settings.
	Settings(ctx context.Context) []Setting
	// Started is when the server started.
	Started() types.EventTime
	// SearchPath is where the connection finds names without a schema; pg_catalog comes before it.
	SearchPath() []string
}

// Sizer is implemented by sources that know how much a relation keeps on disk, in bytes.
type Sizer interface{ RelationBytes(id uint64) int64 }

// Setting is one row of pg_settings. Type is Postgres' vartype: bool, integer, real, string or enum.
type Setting struct{ Name, Value, Default, Type, Doc string }

// The oids that vigil fixes.
const (
	// OwnerOID owns every object: the bootstrap user of Postgres.
	OwnerOID = 10
	// FirstObjectOID is added to an object's catalogue id: oids below it are Postgres' own.
	FirstObjectOID = 16384

	catalogNamespace = 11
	publicNamespace  = 2200
	infoNamespace    = 13207
	vigilNamespace   = 16383
	tempNamespace    = 16380
	databaseOID      = 16382
	javascriptOID    = 16381
	encodingUTF8     = 6
	defaultCollation = 100
	heapAM           = 2
)

// Catalog produces the rows. It is safe for concurrent use.
type Catalog struct {
	src Source
	sys *system
	// rows are the producers by "schema.name"; relations without one hold their static rows only.
	rows map[string]producer
	// known is what exists, as of the snapshot that was asked last.
	known atomic.Pointer[contents]
}

// producer emits the rows of one relation.
type producer func(c *Catalog, ctx context.Context, w *writer) error

// New returns the catalogue over a source.
func New(src Source) *Catalog {
	return &Catalog{src: src, sys: loadSystem(), rows: producers()}
}

// Relations lists the system relations for the planner's catalogue. They are shared and must not be changed.
func (c *Catalog) Relations() []*catalog.Virtual {
	out := make([]*catalog.Virtual, len(c.sys.list))
	for i, r := range c.sys.list {
		out[i] = r.virtual
	}
	return out
}

// Rows gives the rows of a relation to emit, hidden columns included, in the order of its Virtual's Columns. emit must not
// retain the row; its error ends the call and is returned as it is.
func (c *Catalog) Rows(ctx context.Context, schema, name string, emit func([]types.Value) error) error {
	r := c.sys.byName[schema+"."+name]
	if r == nil {
		return sqlerr.New(sqlerr.UndefinedTable, "relation \"%s.%s\" does not exist", schema, name)
	}
	for _, row := range r.static {
		if err := emit(row); err != nil {
			return err
		}
	}
	if p := c.rows[schema+"."+name]; p != nil {
		return p(c, ctx, &writer{rel: r, emit: emit})
	}
	return nil
}

// object is a relation that is not part of the system.
type object struct {
	oid   uint32
	id    uint64
	name  string
	space uint32
	kind  byte // pg_class.relkind
	cols  []types.Column
	def   string // a query's SQL
}

// RelationOID is the pg_class.oid of a relation by the planner's number of it.
func RelationOID(id uint64, virtual bool) uint32 {
	if virtual {
		return uint32(id)
	}
	return userOID(id)
}

// userOID is the oid of a user's object.
func userOID(id uint64) uint32 { return uint32(id) + FirstObjectOID }

// namespace is a schema.
type namespace struct {
	oid  uint32
	name string
}

// namespaces are the schemas by oid that are always there.
var namespaces = []namespace{{catalogNamespace, "pg_catalog"}, {publicNamespace, "public"}, {infoNamespace, "information_schema"}, {vigilNamespace, "vigil"}}

// tempName is the schema of the connection's temporary tables, under the name that pg_class shows.
const tempName = "pg_temp_1"

// searched lists the oids of the schemas where names without one are found, in order.
func (c *Catalog) searched() []uint32 {
	out := []uint32{tempNamespace, catalogNamespace}
	for _, name := range c.src.SearchPath() {
		out = append(out, c.namespaceOID(name))
	}
	return out
}

// visible tells whether an object is found by its name alone: no other one of the name comes before it.
func (c *Catalog) visible(o object) bool {
	path := c.searched()
	at := slices.Index(path, o.space)
	if at < 0 {
		return false
	}
	for _, x := range c.contents().named(o.name) {
		if i := slices.Index(path, x.space); x.oid != o.oid && i >= 0 && i < at {
			return false
		}
	}
	return true
}
