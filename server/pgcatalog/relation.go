package pgcatalog

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// relationsText describes the system relations of PostgreSQL 15: see its first line.
//
//go:embed relations.txt
var relationsText string

// staticText holds the rows of system relations that do not depend on what exists: "@schema.name", then lines of
// columns in COPY's text format.
//
//go:embed static.txt
var staticText string

// relation is a system relation as Postgres has it.
type relation struct {
	oid          uint32
	kind         byte // 'r' or 'v'
	schema, name string
	cols         []column
	index        map[string]int
	virtual      *catalog.Virtual
	// static are the rows that are always there.
	static [][]types.Value
}

// column is one column of a relation in Postgres' words.
type column struct {
	name    string
	pgType  string // pg_type.typname
	typ     types.Type
	notNull bool
}

// hiddenColumns exist in tables but are not part of *.
var hiddenColumns = []column{
	{"tableoid", "oid", types.T(types.OID), true},
	{"xmin", "xid", types.T(types.OID), true},
	{"ctid", "tid", types.T(types.Text), true},
}

// hiddenNumbers are pg_attribute.attnum of the hidden columns.
var hiddenNumbers = []int{-6, -2, -1}

// standIns are the types that vigil shows in place of Postgres' internal ones.
var standIns = map[string]types.Type{
	"int2vector": types.Vector(types.Int2), "oidvector": types.Vector(types.OID), "char": types.T(types.Char), "xid": types.T(types.OID),
	"pg_node_tree": types.T(types.Text), "pg_lsn": types.T(types.Text), "_aclitem": types.ArrayOf(types.Text),
	"anyarray": types.ArrayOf(types.Text), "pg_ndistinct": types.T(types.Text), "pg_dependencies": types.T(types.Text),
	"pg_mcv_list": types.T(types.Text), "_pg_statistic": types.ArrayOf(types.Text), "_regtype": types.ArrayOf(types.RegType),
}

// system is everything in the embedded texts, read once.
type system struct {
	list   []*relation
	byName map[string]*relation // "schema.name"
	byOID  map[uint32]*relation
	types  map[uint32]*pgType // pg_type rows by oid
	named  map[string]*pgType // and by typname
	procs  map[uint32]string  // pg_proc names by oid
}

// loadSystem reads the embedded texts. They are part of the program, so an error in them is a bug.
var loadSystem = sync.OnceValue(func() *system {
	s, err := parseSystem(relationsText, staticText)
	if err != nil {
		panic(fmt.Sprintf("pgcatalog: embedded tables: %v", err))
	}
	return s
})

func parseSystem(relations, static string) (*system, error) {
	s := &system{byName: map[string]*relation{}, byOID: map[uint32]*relation{}}
	for line := range strings.Lines(relations) {
		line = strings.TrimRight(line, "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRelation(line)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		s.list = append(s.list, r)
		s.byName[r.schema+"."+r.name] = r
		s.byOID[r.oid] = r
	}
	var r *relation
	for line := range strings.Lines(static) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@':
			if r = s.byName[line[1:]]; r == nil {
				return nil, fmt.Errorf("rows of unknown relation %s", line)
			}
		default:
			row, err := r.parseRow(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", r.name, line, err)
			}
			r.static = append(r.static, row)
		}
	}
	s.index()
	return s, nil
}

// parseRelation reads "oid kind schema.name column:type! ...".
func parseRelation(line string) (*relation, error) {
	words := strings.Fields(line)
	if len(words) < 4 {
		return nil, fmt.Errorf("too few words")
	}
	oid, err := strconv.ParseUint(words[0], 10, 32)
	if err != nil {
		return nil, err
	}
	r := &relation{oid: uint32(oid), kind: words[1][0], index: map[string]int{}}
	r.schema, r.name, _ = strings.Cut(words[2], ".")
	for _, w := range words[3:] {
		name, pg, _ := strings.Cut(w, ":")
		c := column{name: name, pgType: strings.TrimSuffix(pg, "!"), notNull: strings.HasSuffix(pg, "!")}
		t, ok := typeNamed(c.pgType)
		if !ok {
			return nil, fmt.Errorf("column %s has type %q", name, c.pgType)
		}
		c.typ = t
		c.pgType = strings.TrimSuffix(c.pgType, "(3)")
		r.cols = append(r.cols, c)
	}
	r.virtual = &catalog.Virtual{SchemaName: r.schema, Name: r.name, ID: oid}
	for _, c := range r.cols {
		r.virtual.Columns.Cols = append(r.virtual.Columns.Cols, types.Column{Name: c.name, Type: c.typ, NotNull: c.notNull})
	}
	if r.kind == 'r' {
		for _, c := range hiddenColumns {
			r.virtual.Hidden = append(r.virtual.Hidden, len(r.virtual.Columns.Cols))
			r.virtual.Columns.Cols = append(r.virtual.Columns.Cols, types.Column{Name: c.name, Type: c.typ, NotNull: true})
		}
	}
	for i, c := range r.virtual.Columns.Cols {
		r.index[c.Name] = i
	}
	return r, nil
}

// typeNamed finds the type that stands for a pg_type.typname.
func typeNamed(name string) (types.Type, bool) {
	if t, ok := standIns[name]; ok {
		return t, true
	}
	if name == "varchar(3)" { // information_schema.yes_or_no
		return types.Type{Kind: types.Varchar, Mod: types.VarcharMod(3)}, true
	}
	if elem, ok := strings.CutPrefix(name, "_"); ok {
		t, ok := typeNamed(elem)
		return types.ArrayOf(t.Kind), ok
	}
	k, ok := types.KindByName(name)
	return types.T(k), ok
}

// parseRow reads a line in COPY's text format; the few escapes of that format do not occur in the embedded rows.
func (r *relation) parseRow(line string) ([]types.Value, error) {
	fields := strings.Split(line, "\t")
	if len(fields) != len(r.cols) {
		return nil, fmt.Errorf("%d fields for %d columns", len(fields), len(r.cols))
	}
	row := r.blank()
	for i, f := range fields {
		c := &r.cols[i]
		if f == `\N` {
			row[i] = types.Null(c.typ)
			continue
		}
		t := c.typ
		if t.Phys() == types.PhysInt && t.Kind != types.Bool {
			t = types.T(types.Int8) // reg* columns hold plain oids here
		}
		v, err := types.ParseText(t, f, nil)
		if err != nil {
			return nil, fmt.Errorf("column %s: %w", c.name, err)
		}
		v.Type = c.typ
		row[i] = v
	}
	return row, nil
}

// blank is a row of NULLs, and of zero values where NULL is not allowed.
func (r *relation) blank() []types.Value {
	row := make([]types.Value, len(r.virtual.Columns.Cols))
	for i, c := range r.virtual.Columns.Cols {
		row[i] = types.Value{Type: c.Type, Null: !c.NotNull}
		if c.NotNull && c.Type.Kind == types.Array {
			row[i].S = string(types.AppendArrayBytes(nil, nil))
		}
	}
	if r.kind == 'r' {
		n := len(r.cols)
		row[n].I, row[n+1].I, row[n+2].S = int64(r.oid), 1, "(0,1)"
	}
	return row
}

// pgType is what pg_attribute and the naming functions need of a pg_type row.
type pgType struct {
	oid            uint32
	name           string
	size           int64
	byVal          bool
	align, storage string
	collation      int64
	elem, array    uint32
}

// index fills the look-up tables from the static rows.
func (s *system) index() {
	s.types, s.named, s.procs = map[uint32]*pgType{}, map[string]*pgType{}, map[uint32]string{}
	t := s.byName["pg_catalog.pg_type"]
	for _, row := range t.static {
		get := func(name string) types.Value { return row[t.index[name]] }
		p := &pgType{oid: uint32(get("oid").I), name: get("typname").S, size: get("typlen").I, byVal: get("typbyval").Bool(),
			align: get("typalign").S, storage: get("typstorage").S, collation: get("typcollation").I,
			elem: uint32(get("typelem").I), array: uint32(get("typarray").I)}
		s.types[p.oid], s.named[p.name] = p, p
	}
	p := s.byName["pg_catalog.pg_proc"]
	for _, row := range p.static {
		s.procs[uint32(row[p.index["oid"]].I)] = row[p.index["proname"]].S
	}
}
