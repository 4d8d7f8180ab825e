package fn

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// arg reads an argument of a test: text of a type, "NULL" for NULL.
func arg(t *testing.T, ty types.Type, s string) types.Value {
	t.Helper()
	if s == "NULL" {
		return types.Null(ty)
	}
	v, err := types.ParseText(ty, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// callSet calls the signature that takes exactly the arguments and returns its rows as text.
func callSet(t *testing.T, name string, in []types.Value) ([]string, error) {
	t.Helper()
	ts := make([]types.Type, len(in))
	for i, v := range in {
		ts[i] = v.Type
	}
	for _, d := range SetsByName(name) {
		if !d.Accepts(ts) {
			continue
		}
		var out []string
		width := len(d.Cols(ts))
		err := d.Eval(&Ctx{Session: &Session{Catalog: fakeCatalog{}, Channels: func() []string { return []string{"a", "b"} }}}, in, func(row []types.Value) error {
			if len(row) != width {
				t.Fatalf("%s: %d values for %d columns", name, len(row), width)
			}
			var parts []string
			for i, v := range row {
				if v.Type.Kind != d.Cols(ts)[i].Type.Kind {
					t.Fatalf("%s: column %d is %v, not %v", name, i, v.Type, d.Cols(ts)[i].Type)
				}
				parts = append(parts, v.Text())
			}
			out = append(out, strings.Join(parts, "|"))
			return nil
		})
		return out, err
	}
	t.Fatalf("no %s%v", name, ts)
	return nil, nil
}

// The rows are those of a PostgreSQL 15.
func TestSetFunctions(t *testing.T) {
	text, arr := types.ArrayOf(types.Text), types.ArrayOf(types.Int4)
	for _, x := range []struct {
		name  string
		types []types.Type
		args  string // separated by ;
		want  string // rows separated by spaces
	}{
		{"generate_series", args{tInt4, tInt4}, "2;4", "2 3 4"},
		{"generate_series", args{tInt4, tInt4}, "4;2", ""},
		{"generate_series", args{tInt8, tInt8, tInt8}, "5;1;-2", "5 3 1"},
		{"generate_series", args{tInt8, tInt8}, "9223372036854775806;9223372036854775807", "9223372036854775806 9223372036854775807"},
		{"generate_series", args{tInt8, tInt8, tInt8}, "-9223372036854775807;-9223372036854775808;-5", "-9223372036854775807"},
		{"generate_series", args{tNumeric, tNumeric, tNumeric}, "1.5;3;0.5", "1.5 2.0 2.5 3.0"},
		{"generate_series", args{tTimestampTZ, tTimestampTZ, tInterval}, "2024-01-31;2024-03-31;1 month", "2024-01-31_00:00:00+00 2024-02-29_00:00:00+00 2024-03-29_00:00:00+00"},
		{"generate_series", args{tTimestamp, tTimestamp, tInterval}, "2024-01-02;2024-01-01;-12:00", "2024-01-02_00:00:00 2024-01-01_12:00:00 2024-01-01_00:00:00"},
		{"generate_subscripts", args{arr, tInt4}, "{5,6,7};1", "1 2 3"},
		{"generate_subscripts", args{arr, tInt4, tBool}, "{5,6,7};1;t", "3 2 1"},
		{"generate_subscripts", args{arr, tInt4}, "{5,6,7};2", ""},
		{"unnest", args{text}, "{a,NULL}", "a NULL"},
		{"unnest", args{arr, text}, "{1,2};{x}", "1|x 2|NULL"},
		{"unnest", args{text}, "NULL", ""},
		{"_pg_expandarray", args{arr}, "{7,9}", "7|1 9|2"},
		{"string_to_table", args{tText, tText}, "a,b,;,", "a b "},
		{"string_to_table", args{tText, tText}, "abc;NULL", "a b c"},
		{"json_each", args{tJSON}, `{"a":{"x":1},"a":null}`, `a|{"x":1} a|null`},
		{"jsonb_each", args{tJSONB}, `{"a":1,"a":2}`, "a|2"},
		{"json_each_text", args{tJSON}, `{"a":{},"b":null,"c":"d"}`, "a|{} b|NULL c|d"},
		{"jsonb_array_elements_text", args{tJSONB}, `[1,null,"a",{}]`, "1 NULL a {}"},
		{"json_array_elements", args{tJSON}, `[1,"a"]`, `1 "a"`},
		{"json_object_keys", args{tJSON}, `{"b":1,"a":2}`, "b a"},
		{"pg_options_to_table", args{text}, "{a=1,b,c=d=e}", "a|1 b|NULL c|d=e"},
	} {
		var in []types.Value
		for i, s := range strings.Split(x.args, ";") {
			if i < len(x.types) {
				in = append(in, arg(t, x.types[i], s))
			}
		}
		got, err := callSet(t, x.name, in)
		if err != nil {
			t.Errorf("%s(%s): %v", x.name, x.args, err)
			continue
		}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], " ", "_")
		}
		if s := strings.Join(got, " "); s != x.want {
			t.Errorf("%s(%s) = %s, want %s", x.name, x.args, s, x.want)
		}
	}
}

func TestSetFunctionErrors(t *testing.T) {
	for _, x := range []struct {
		name string
		typ  types.Type
		arg  string
		want string
	}{
		{"json_each", tJSON, "[]", "cannot deconstruct an array as an object"}, {"json_each", tJSON, "3", "cannot deconstruct a scalar"},
		{"jsonb_each_text", tJSONB, "3", "cannot call jsonb_each_text on a non-object"},
		{"json_array_elements", tJSON, "3", "cannot call json_array_elements on a scalar"},
		{"json_array_elements_text", tJSON, "{}", "cannot call json_array_elements_text on a non-array"},
		{"jsonb_array_elements", tJSONB, "{}", "cannot extract elements from an object"},
		{"jsonb_object_keys", tJSONB, "[]", "cannot call jsonb_object_keys on an array"},
	} {
		_, err := callSet(t, x.name, []types.Value{arg(t, x.typ, x.arg)})
		if e := sqlerr.As(err); e == nil || e.Message != x.want || e.Code != sqlerr.InvalidParameterValue {
			t.Errorf("%s(%s): %v", x.name, x.arg, err)
		}
	}
	zero := func(step types.Value, a ...types.Value) {
		t.Helper()
		if _, err := callSet(t, "generate_series", append(a, step)); sqlerr.CodeOf(err) != sqlerr.InvalidParameterValue {
			t.Errorf("step zero: %v", err)
		}
	}
	zero(arg(t, tInt4, "0"), arg(t, tInt4, "1"), arg(t, tInt4, "2"))
	zero(arg(t, tNumeric, "0.0"), arg(t, tNumeric, "1"), arg(t, tNumeric, "2"))
	zero(arg(t, tInterval, "0 days"), arg(t, tTimestamp, "2024-01-01"), arg(t, tTimestamp, "2024-01-02"))
	zero(arg(t, tNumeric, "1"), arg(t, tNumeric, "NaN"), arg(t, tNumeric, "2"))
	zero(arg(t, tInterval, "1 day"), arg(t, tTimestamp, "infinity"), arg(t, tTimestamp, "2024-01-02"))
}

// An error of the consumer ends every set-returning function at once and comes back as it is.
func TestSetFunctionsStop(t *testing.T) {
	stop := errors.New("stop")
	for _, d := range SetBuiltins() {
		var in []types.Value
		for i, want := range d.Args {
			if want == tAnyArray {
				want = types.ArrayOf(types.Int4)
			}
			s := map[types.Kind]string{types.Int4: "1", types.Int8: "1", types.Numeric: "1", types.Timestamp: "2024-01-01", types.TimestampTZ: "2024-01-01",
				types.Interval: "1 day", types.Bool: "t", types.Array: "{1,2}", types.Text: "a", types.RegClass: "1", types.JSON: "[1,2]", types.JSONB: "[1,2]"}[want.Kind]
			if strings.Contains(d.Name, "each") || strings.Contains(d.Name, "keys") {
				s = `{"a":1,"b":2}`
			}
			if d.Name == "jsonb_path_query" {
				s = map[int]string{0: "[1,2]", 1: "$[*]", 2: "{}", 3: "f"}[i]
			}
			in = append(in, arg(t, want, s))
		}
		if d.Name == "aclexplode" {
			in[0] = types.NewArray(types.Text, values{types.NewText("=r/alice"), types.NewText(`"a ""b"=a*w/alice`)})
		}
		if strings.HasPrefix(d.Name, "regexp") {
			in = in[:2] // the third are flags
		}
		if d.EvalRecord != nil {
			d.Eval = func(ctx *Ctx, a values, emit func(values) error) error {
				one := stored(a[0].Type.Kind, `{"a":1}`)
				if strings.HasSuffix(d.Name, "set") {
					one.S = `[{"a":1},{"a":2}]`
				}
				return d.EvalRecord(ctx, values{one}, []types.Column{col("a", tInt4)}, emit)
			}
		}
		n := 0
		err := d.Eval(&Ctx{Session: &Session{Catalog: fakeCatalog{}, Channels: func() []string { return []string{"a", "b"} }}}, in, func([]types.Value) error { n++; return stop })
		if n > 1 || n == 1 && !errors.Is(err, stop) || n == 0 && err != nil {
			t.Errorf("%s: %d rows, %v", d.Name, n, err)
		}
	}
}

func TestAccepts(t *testing.T) {
	d := SetDef{Args: args{tInt4, tAnyArray}, Variadic: true}
	for _, x := range []struct {
		in args
		ok bool
	}{
		{args{tInt4, types.ArrayOf(types.Text)}, true}, {args{tInt4, types.ArrayOf(types.Text), types.ArrayOf(types.Int4)}, true},
		{args{tInt4}, false}, {args{tInt8, types.ArrayOf(types.Text)}, false}, {args{tInt4, tText}, false},
	} {
		if d.Accepts(x.in) != x.ok {
			t.Errorf("%v", x.in)
		}
	}
	one := SetDef{Args: args{types.ArrayOf(types.Text)}}
	if one.Accepts(args{types.ArrayOf(types.Int4)}) || one.Accepts(args{types.ArrayOf(types.Text), tText}) {
		t.Error("accepts what does not fit")
	}
}

// fakeCatalog answers catalogue functions.
type fakeCatalog struct{}

func (fakeCatalog) Comment(oid int64, column int) (string, bool) { return "", false }
func (fakeCatalog) TypeName(oid int64, mod int32, hasMod bool) string {
	if hasMod {
		return "typ(m)"
	}
	return "typ"
}
func (fakeCatalog) RoleName(int64) string                    { return "alice" }
func (fakeCatalog) Visible(_ string, oid int64) (bool, bool) { return oid == 1, oid < 3 }
func (fakeCatalog) ViewText(oid int64) (string, bool)        { return " SELECT 1", oid == 1 }
func (fakeCatalog) FunctionText(oid int64) (FunctionText, bool) {
	return FunctionText{"CREATE", "a integer", "text"}, oid == 1
}
func (fakeCatalog) RelationBytes(oid int64) (int64, bool) { return 77, oid == 1 }
func (fakeCatalog) DatabaseBytes() int64                  { return 99 }
func (fakeCatalog) Started() types.EventTime              { return 0 }
func (fakeCatalog) RegLookup(_ types.Kind, name string) (int64, error) {
	if name == "auth" {
		return 16385, nil
	}
	return 0, sqlerr.New(sqlerr.UndefinedTable, "no")
}

// Holds implements PrivilegeReader: there is no object 5.
func (fakeCatalog) Holds(_ string, _, object types.Value, _ string) (holds, known bool, err error) {
	return true, object.I != 5, nil
}

// HasRole implements PrivilegeReader.
func (fakeCatalog) HasRole(_, _ types.Value, privilege string) (holds, known bool, err error) {
	return privilege == "MEMBER", true, nil
}

// RoleOID is that of any role.
func (fakeCatalog) RoleOID(name string) (oid int64, ok bool) {
	return int64(len(name)), name != "nobody"
}

// TestACLExplode: entries of access lists, with names in quotes, and what is no entry.
func TestACLExplode(t *testing.T) {
	explode := func(item string) (string, error) {
		var out []string
		err := aclExplode().Eval(&Ctx{Session: &Session{Catalog: fakeCatalog{}}}, values{types.NewArray(types.Text, values{types.NewText(item)})},
			func(row values) error {
				out = append(out, row[0].Text()+" "+row[1].Text()+" "+row[2].Text()+" "+row[3].Text())
				return nil
			})
		return strings.Join(out, ", "), err
	}
	for item, want := range map[string]string{"=r/alice": "5 0 SELECT f", "bob=a*w/alice": "5 3 INSERT t, 5 3 UPDATE f", `"a ""b"=X/"x"`: "1 4 EXECUTE f"} {
		if got, err := explode(item); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", item, got, err, want)
		}
	}
	for _, item := range []string{"", "bob", "bob=r", "bob=?/alice", `"bob=r/alice`, "nobody=r/alice", "bob=r/alice=x"} {
		if got, err := explode(item); err == nil {
			t.Errorf("%s: %s", item, got)
		}
	}
}

func TestCatalogFunctions(t *testing.T) {
	defs := catalogDefs()
	ctx := &Ctx{Now: 5, Session: &Session{Catalog: fakeCatalog{}, SetConfig: func(n string, v types.Value, local bool) (string, error) { return n + "=" + v.S, nil }}}
	for _, x := range []struct {
		name  string
		types args
		args  string
		want  string
	}{
		{"format_type", args{tOID, tInt4}, "23;NULL", "typ"}, {"format_type", args{tOID, tInt4}, "23;5", "typ(m)"}, {"format_type", args{tOID, tInt4}, "NULL;5", "NULL"},
		{"pg_get_userbyid", args{tOID}, "10", "alice"}, {"pg_table_is_visible", args{tOID}, "1", "t"}, {"pg_type_is_visible", args{tOID}, "2", "f"},
		{"pg_function_is_visible", args{tOID}, "3", "NULL"}, {"pg_get_viewdef", args{tOID, tBool}, "1;t", " SELECT 1"}, {"pg_get_viewdef", args{tOID}, "2", "NULL"},
		{"pg_get_function_result", args{tOID}, "1", "text"}, {"pg_get_function_arguments", args{tOID}, "1", "a integer"}, {"pg_get_functiondef", args{tOID}, "2", "NULL"},
		{"pg_relation_size", args{tRegClass}, "1", "77"}, {"pg_table_size", args{tRegClass}, "9", "NULL"}, {"pg_database_size", args{tName}, "vigil", "99"}, {"to_regclass", args{tText}, "nope", "NULL"},
		{"to_regclass", args{tText}, "auth", "16385"}, {"obj_description", args{tOID, tName}, "1;pg_class", "NULL"},
		{"set_config", args{tText, tText, tBool}, "a;b;f", "a=b"}, {"txid_current", nil, "", "5"}, {"pg_encoding_to_char", args{tInt4}, "6", "UTF8"},
		{"pg_char_to_encoding", args{tName}, "LATIN1", "-1"}, {"has_table_privilege", args{tOID, tText}, "1;SELECT", "t"}, {"has_table_privilege", args{tOID, tText}, "5;SELECT", "NULL"},
		{"has_table_privilege", args{tName, tText, tText}, "u;auth;SELECT", "t"}, {"has_schema_privilege", args{tName, tOID, tText}, "u;4;USAGE", "t"}, {"pg_has_role", args{tName, tText}, "u;MEMBER", "t"},
		{"pg_has_role", args{tOID, tText}, "1;USAGE", "f"}, {"acldefault", args{tChar, tOID}, "d;10", "{=Tc/alice,alice=CTc/alice}"},
		{"oidvectortypes", args{types.ArrayOf(types.OID)}, "{23,25}", "typ, typ"}, {"pg_relation_is_publishable", args{tRegClass}, "1", "f"}, {"pg_is_in_recovery", nil, "", "f"},
	} {
		var in []types.Value
		for i, s := range strings.Split(x.args, ";") {
			if i < len(x.types) {
				in = append(in, arg(t, x.types[i], s))
			}
		}
		i := slices.IndexFunc(defs, func(d Def) bool { return d.Name == x.name && slices.Equal(d.Args, x.types) })
		if i < 0 {
			t.Errorf("no %s%v", x.name, x.types)
			continue
		}
		v, err := defs[i].Eval(ctx, in)
		if err != nil || v.Text() != x.want {
			t.Errorf("%s(%s) = %s, %v; want %s", x.name, x.args, v.Text(), err, x.want)
		}
		if ret := defs[i].Ret; v.Type.Kind != ret.Kind {
			t.Errorf("%s gives %v, not %v", x.name, v.Type, ret)
		}
	}
}

func TestSizePretty(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 10239: "10239 bytes", 10240: "10 kB", 10485247: "10239 kB", 10485248: "10 MB", -10239: "-10239 bytes",
		-10240: "-10 kB", -10485247: "-10239 kB", -10485248: "-10 MB", 10737418240: "10 GB", 10736893951: "10239 MB", 10736893952: "10 GB",
		9223372036854775807: "8192 PB", 1500000: "1465 kB", 11258999068426240: "10 PB", 12384898975268864: "11 PB", -9223372036854775808: "-8192 PB"} {
		if got := sizePretty(n); got != want {
			t.Errorf("pg_size_pretty(%d) = %s, want %s", n, got, want)
		}
	}
}
