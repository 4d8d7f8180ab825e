package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// fakeSource is a small database: a stream, a query over it, an IOC list, a function, a relation of schema vigil.
type fakeSource struct {
	cat *catalog.Catalog
}

func (f *fakeSource) Snapshot() *catalog.Snapshot { return f.cat.Snapshot() }
func (f *fakeSource) Settings(context.Context) []Setting {
	return []Setting{{Name: "TimeZone", Value: "Europe/Berlin", Default: "UTC", Doc: "zone"}, {Name: "work_mem", Value: "4", Default: "4", Type: "integer"}}
}
func (f *fakeSource) SearchPath() []string          { return []string{"public"} }
func (f *fakeSource) Started() types.EventTime      { return 42 }
func (f *fakeSource) RelationBytes(id uint64) int64 { return int64(id) * 1000 }

func typ(k types.Kind, mod int32) types.Type { return types.Type{Kind: k, Mod: mod} }

var authSchema = types.Schema{Cols: []types.Column{
	{Name: "ts", Type: typ(types.TimestampTZ, 0), NotNull: true}, {Name: "username", Type: typ(types.Text, 0)},
	{Name: "dst", Type: typ(types.Text, 0)}, {Name: "src_ip", Type: typ(types.Inet, 0)}, {Name: "n", Type: typ(types.Varchar, 14)},
	{Name: "amount", Type: typ(types.Numeric, 10<<16|2+4)}, {Name: "tags", Type: types.ArrayOf(types.Text)},
}}

func newFake(t *testing.T) (*Catalog, *fakeSource) {
	t.Helper()
	src := &fakeSource{cat: catalog.New()}
	c := New(src)
	src.cat.Register(c.Relations()...)
	src.cat.Register(&catalog.Virtual{SchemaName: "vigil", Name: "streams", ID: 1 << 30,
		Columns: types.Schema{Cols: []types.Column{{Name: "name", Type: types.T(types.Text)}}}})
	query := &catalog.Query{SQL: "CREATE CONTINUOUS QUERY brute AS SELECT username FROM auth"}
	query.Query = spec.Query{ID: 2, Name: "brute"}
	query.Schema = types.Schema{Cols: []types.Column{{Name: "window_start", Type: types.T(types.TimestampTZ)},
		{Name: "username", Type: types.T(types.Text)}, {Name: "count", Type: types.T(types.Int8)}}}
	for _, r := range []catalog.Relation{
		&catalog.Stream{Stream: spec.Stream{ID: 1, Name: "auth", Schema: authSchema}}, query,
		&catalog.IOCList{IOCList: spec.IOCList{ID: 3, Name: "Bad IPs", Type: "ip"}},
	} {
		if err := src.cat.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	src.cat.PutFunction(&catalog.Function{SQL: "CREATE FUNCTION entropy ...", Function: spec.Function{ID: 4, Name: "entropy",
		Params: []types.Column{{Name: "s", Type: types.T(types.Text)}}, Ret: types.T(types.Float8), Body: "return 1", Volatility: "IMMUTABLE"}})
	return c, src
}

// rowsOf reads a relation as maps from column to text.
func rowsOf(t *testing.T, c *Catalog, name string) []map[string]string {
	t.Helper()
	schema, rel, _ := strings.Cut(name, ".")
	r := c.sys.byName[name]
	var out []map[string]string
	err := c.Rows(context.Background(), schema, rel, func(row []types.Value) error {
		m := map[string]string{}
		for i, v := range row {
			m[r.virtual.Columns.Cols[i].Name] = v.Text()
		}
		out = append(out, m)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// find returns the only row in which the columns have the values.
func find(t *testing.T, rows []map[string]string, match map[string]string) map[string]string {
	t.Helper()
	var found []map[string]string
next:
	for _, r := range rows {
		for k, v := range match {
			if r[k] != v {
				continue next
			}
		}
		found = append(found, r)
	}
	if len(found) != 1 {
		t.Fatalf("%d rows with %v", len(found), match)
	}
	return found[0]
}

// Whatever a relation emits fits its schema: as many values as columns, of their types, no NULL where none may be.
func TestRowsFitTheirSchemas(t *testing.T) {
	c, _ := newFake(t)
	withRows := 0
	for _, v := range c.Relations() {
		n := 0
		err := c.Rows(context.Background(), v.SchemaName, v.Name, func(row []types.Value) error {
			n++
			if len(row) != len(v.Columns.Cols) {
				return fmt.Errorf("%d values for %d columns", len(row), len(v.Columns.Cols))
			}
			for i, x := range row {
				col := v.Columns.Cols[i]
				if x.Type.Kind != col.Type.Kind || x.Type.Elem != col.Type.Elem || x.Null && col.NotNull {
					return fmt.Errorf("%s: %v NULL %v for %v", col.Name, x.Type, x.Null, col.Type)
				}
				if col.Type.Kind == types.Array && !x.Null {
					if _, err := types.DecodeArray(col.Type.Elem, x.S); err != nil {
						return fmt.Errorf("%s: %w", col.Name, err)
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s.%s: %v", v.SchemaName, v.Name, err)
		}
		if n > 0 {
			withRows++
		}
	}
	if len(c.Relations()) < 180 || withRows < 25 {
		t.Fatalf("%d relations, %d of them with rows", len(c.Relations()), withRows)
	}
	for name := range c.rows {
		if c.sys.byName[name] == nil {
			t.Errorf("producer of unknown relation %s", name)
		}
	}
}

func TestTypesAgreeWithPgType(t *testing.T) {
	c, _ := newFake(t)
	for k := types.Bool; k <= types.RegNamespace; k++ {
		p := c.sys.types[types.T(k).OID()]
		if p == nil || p.size != int64(types.T(k).Size()) {
			t.Errorf("%v: pg_type has %+v", types.T(k), p)
			continue
		}
		if a := types.ArrayOf(k); p.array != a.OID() || c.sys.types[a.OID()] == nil {
			t.Errorf("array of %v: oid %d, pg_type has %d", types.T(k), a.OID(), p.array)
		}
	}
}

func TestObjectsAppear(t *testing.T) {
	c, src := newFake(t)
	class := rowsOf(t, c, "pg_catalog.pg_class")
	auth := find(t, class, map[string]string{"relname": "auth"})
	for col, want := range map[string]string{"oid": "16385", "relkind": "r", "relnamespace": "2200", "relam": "2", "relnatts": "7",
		"relpersistence": "p", "relreplident": "d", "relhasindex": "f", "relispartition": "f", "reloftype": "0", "tableoid": "1259"} {
		if auth[col] != want {
			t.Errorf("pg_class.%s of auth is %s, want %s", col, auth[col], want)
		}
	}
	find(t, class, map[string]string{"relname": "brute", "relkind": "m", "oid": "16386"})
	find(t, class, map[string]string{"relname": "Bad IPs", "relkind": "r"})
	find(t, class, map[string]string{"relname": "pg_class", "relkind": "r", "oid": "1259"})
	find(t, class, map[string]string{"relname": "streams", "relkind": "v", "relnamespace": "16383"})
	attrs := rowsOf(t, c, "pg_catalog.pg_attribute")
	amount := find(t, attrs, map[string]string{"attrelid": "16385", "attname": "amount"})
	if amount["atttypid"] != "1700" || amount["atttypmod"] != "655366" || amount["attnum"] != "6" || amount["attstorage"] != "m" {
		t.Errorf("amount: %v", amount)
	}
	if ts := find(t, attrs, map[string]string{"attrelid": "16385", "attname": "ts"}); ts["attnotnull"] != "t" || ts["atttypmod"] != "-1" {
		t.Errorf("ts: %v", ts)
	}
	find(t, attrs, map[string]string{"attrelid": "2610", "attname": "indkey", "atttypid": "22"})
	find(t, rowsOf(t, c, "pg_catalog.pg_proc"), map[string]string{"proname": "entropy", "prorettype": "701", "proargnames": "{s}",
		"provolatile": "i", "proargtypes": "25"})
	find(t, rowsOf(t, c, "pg_catalog.pg_settings"), map[string]string{"name": "TimeZone", "source": "session", "vartype": "string"})
	find(t, rowsOf(t, c, "pg_catalog.pg_roles"), map[string]string{"oid": "10", "rolname": "vigil", "rolsuper": "t"})
	src.cat.PutRole(&catalog.Role{ID: 700, Name: "bob", Login: true, ConnLimit: 3, Password: "SCRAM", MemberOf: []catalog.Membership{{Role: 0, Admin: true}}})
	roles := rowsOf(t, c, "pg_catalog.pg_roles")
	find(t, roles, map[string]string{"oid": "17084", "rolname": "bob", "rolsuper": "f", "rolcanlogin": "t", "rolconnlimit": "3", "rolpassword": "********"})
	find(t, rowsOf(t, c, "pg_catalog.pg_authid"), map[string]string{"rolname": "bob", "rolpassword": "SCRAM"})
	find(t, rowsOf(t, c, "pg_catalog.pg_auth_members"), map[string]string{"roleid": "10", "member": "17084", "admin_option": "t"})
	if len(roles) != 2 || c.RoleName(10) != "vigil" || c.RoleName(99) != "unknown (OID=99)" {
		t.Errorf("roles: %v", roles)
	}
	n := find(t, rowsOf(t, c, "information_schema.columns"), map[string]string{"table_name": "auth", "column_name": "n"})
	if n["data_type"] != "character varying" || n["character_maximum_length"] != "10" || n["udt_name"] != "varchar" || n["is_nullable"] != "YES" {
		t.Errorf("information_schema.columns: %v", n)
	}
	find(t, rowsOf(t, c, "information_schema.tables"), map[string]string{"table_name": "auth", "table_type": "BASE TABLE", "table_schema": "public"})
}

// The texts are those of a PostgreSQL 15.
func TestTypeNames(t *testing.T) {
	c, _ := newFake(t)
	for _, x := range []struct {
		oid    int64
		mod    int32
		hasMod bool
		want   string
	}{
		{23, -1, true, "integer"}, {16, 0, false, "boolean"}, {1043, 14, true, "character varying(10)"}, {1043, -1, true, "character varying"},
		{1042, -1, true, "bpchar"}, {1042, 0, false, "character"}, {1042, 9, true, "character(5)"}, {1700, 655366, true, "numeric(10,2)"},
		{1700, 10<<16 | 2046 + 4, true, "numeric(10,-2)"}, {1184, 3, true, "timestamp(3) with time zone"}, {1114, -1, true, "timestamp without time zone"},
		{1083, -1, true, "time without time zone"}, {1009, -1, true, "text[]"}, {1015, 14, true, "character varying(10)[]"},
		{18, -1, true, `"char"`}, {19, -1, true, "name"}, {0, 0, false, "-"}, {99999, 0, false, "???"}, {30, 0, false, "oidvector"}, {1562, -1, true, "bit varying"},
	} {
		if got := c.TypeName(x.oid, x.mod, x.hasMod); got != x.want {
			t.Errorf("format_type(%d, %d) = %s, want %s", x.oid, x.mod, got, x.want)
		}
	}
}

func TestRegNames(t *testing.T) {
	c, _ := newFake(t)
	for _, x := range []struct {
		kind       types.Kind
		name, back string
		oid        int64
	}{
		{types.RegClass, "auth", "auth", 16385}, {types.RegClass, "AUTH", "auth", 16385}, {types.RegClass, "public.auth", "auth", 16385},
		{types.RegClass, `public."Bad IPs"`, `"Bad IPs"`, 16387}, {types.RegClass, "pg_catalog.pg_class", "pg_class", 1259},
		{types.RegClass, "vigil.streams", "vigil.streams", 1 << 30}, {types.RegClass, "16385", "auth", 16385},
		{types.RegClass, "information_schema.tables", "information_schema.tables", -1}, {types.RegClass, "-", "-", 0},
		{types.RegType, "int4", "integer", 23}, {types.RegType, "character varying(3)", "character varying", 1043},
		{types.RegType, "text[]", "text[]", 1009}, {types.RegType, "pg_catalog.int8", "bigint", 20}, {types.RegType, "time without time zone", "time without time zone", 1083},
		{types.RegProc, "int4in", "int4in", 42}, {types.RegProc, "entropy", "entropy", 16388}, {types.RegNamespace, "public", "public", 2200},
		{types.RegClass, "77", "77", 77},
	} {
		oid, err := c.RegLookup(x.kind, x.name)
		if err != nil || x.oid >= 0 && oid != x.oid {
			t.Errorf("%v %q: %d, %v", types.T(x.kind), x.name, oid, err)
		}
		if back := c.RegName(x.kind, oid); back != x.back {
			t.Errorf("%v %d: %q, want %q", types.T(x.kind), oid, back, x.back)
		}
	}
	for _, x := range []struct {
		kind types.Kind
		name string
		code sqlerr.Code
		text string
	}{
		{types.RegClass, "nope", sqlerr.UndefinedTable, `relation "nope" does not exist`},
		{types.RegClass, "x.nope", sqlerr.UndefinedTable, `relation "x.nope" does not exist`},
		{types.RegType, "nope", sqlerr.UndefinedObject, `type "nope" does not exist`},
		{types.RegProc, "nope", sqlerr.UndefinedFunction, `function "nope" does not exist`},
		{types.RegNamespace, "nope", sqlerr.InvalidSchemaName, `schema "nope" does not exist`},
		{types.RegClass, `"open`, sqlerr.InvalidName, "invalid name syntax"}, {types.RegClass, "a..b", sqlerr.InvalidName, "invalid name syntax"},
		{types.RegClass, "", sqlerr.InvalidName, "invalid name syntax"}, {types.RegClass, `"a"b`, sqlerr.InvalidName, "invalid name syntax"},
	} {
		_, err := c.RegLookup(x.kind, x.name)
		if e := sqlerr.As(err); e == nil || e.Code != x.code || e.Message != x.text {
			t.Errorf("%q: %v", x.name, err)
		}
	}
}

func TestVisibility(t *testing.T) {
	c, _ := newFake(t)
	for _, x := range []struct {
		class       string
		oid         int64
		visible, ok bool
	}{
		{"pg_class", 16385, true, true}, {"pg_class", 1259, true, true}, {"pg_class", 1 << 30, false, true}, {"pg_class", 5, false, false},
		{"pg_type", 23, true, true}, {"pg_type", 5, false, false}, {"pg_proc", 42, true, true}, {"pg_proc", 16388, true, true},
		{"pg_proc", 5, false, false}, {"pg_collation", 100, true, true}, {"pg_collation", 5, false, false}, {"pg_operator", 96, false, false},
	} {
		if v, ok := c.Visible(x.class, x.oid); v != x.visible || ok != x.ok {
			t.Errorf("%s %d: %v %v", x.class, x.oid, v, ok)
		}
	}
}

func TestDefinitions(t *testing.T) {
	c, _ := newFake(t)
	if s, ok := c.ViewText(16386); !ok || s != " SELECT username FROM auth" {
		t.Errorf("view %q %v", s, ok)
	}
	if _, ok := c.ViewText(16385); ok {
		t.Error("a stream is no view")
	}
	f, ok := c.FunctionText(16388)
	if want := (fn.FunctionText{Definition: "CREATE FUNCTION entropy ...", Arguments: "s text", Result: "double precision"}); !ok || f != want {
		t.Errorf("function %+v", f)
	}
	if n, ok := c.RelationBytes(16387); !ok || n != 3000 {
		t.Errorf("size %d %v", n, ok)
	}
	if _, ok := c.RelationBytes(99); ok {
		t.Error("unknown relation has a size")
	}
}

func TestErrorsOfRows(t *testing.T) {
	c, _ := newFake(t)
	err := c.Rows(context.Background(), "pg_catalog", "nope", nil)
	if sqlerr.CodeOf(err) != sqlerr.UndefinedTable {
		t.Errorf("got %v", err)
	}
	stop := errors.New("stop")
	for _, name := range []string{"pg_am", "pg_class", "pg_attribute", "pg_settings"} {
		if err := c.Rows(context.Background(), "pg_catalog", name, func([]types.Value) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDamagedTablesAreErrors(t *testing.T) {
	for _, x := range []string{"1 r a.b", "x r a.b c:int4", "1 r a.b c:nope"} {
		if _, err := parseSystem(x, ""); err == nil {
			t.Errorf("%q parsed", x)
		}
	}
	if _, err := parseSystem("1 r pg_catalog.x c:int4", "@pg_catalog.y\n1"); err == nil {
		t.Error("rows of an unknown relation")
	}
	if _, err := parseSystem("1 r pg_catalog.x c:int4", "@pg_catalog.x\n1\t2"); err == nil {
		t.Error("a row with too many fields")
	}
	var w writer
	w.rel = loadSystem().byName["pg_catalog.pg_am"]
	if err := w.add(fields{"nope": 1}); err == nil {
		t.Error("a field without column")
	}
	if err := w.add(fields{"amname": 1}); err == nil {
		t.Error("an integer for a name")
	}
}

func TestColumnOrderIsPostgres(t *testing.T) {
	c, _ := newFake(t)
	var names []string
	for _, col := range c.sys.byName["pg_catalog.pg_namespace"].virtual.Columns.Cols {
		names = append(names, col.Name)
	}
	if want := []string{"oid", "nspname", "nspowner", "nspacl", "tableoid", "xmin", "ctid"}; !slices.Equal(names, want) {
		t.Errorf("columns %v", names)
	}
}
