package udf

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// typeName resolves "integer[]" and the like.
func typeName(t *testing.T, name string) types.Type {
	elem, array := strings.CutSuffix(name, "[]")
	k, ok := types.KindByName(elem)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	if array {
		return types.ArrayOf(k)
	}
	return types.T(k)
}

// column parses values of a type; "NULL" is NULL.
func column(t *testing.T, typ types.Type, texts ...string) *batch.Vec {
	t.Helper()
	v := &batch.Vec{}
	v.Reset(typ)
	for _, s := range texts {
		if s == "NULL" {
			v.AppendNull()
			continue
		}
		x, err := types.ParseText(typ, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		v.AppendValue(x)
	}
	return v
}

// TestRoundTrip: a function that returns its argument changes nothing, and sees the JavaScript type that is documented.
func TestRoundTrip(t *testing.T) {
	p := newPool(t, 1)
	for _, c := range []struct {
		typ, js string
		values  []string
	}{
		{"boolean", "boolean", []string{"t", "f"}},
		{"smallint", "number", []string{"-32768", "0", "32767"}},
		{"integer", "number", []string{"-2147483648", "7", "2147483647"}},
		{"bigint", "bigint", []string{"-9223372036854775808", "9007199254740993", "9223372036854775807"}},
		{"oid", "number", []string{"4294967295"}},
		{"real", "number", []string{"1.5", "-0.1", "Infinity", "NaN"}},
		{"double precision", "number", []string{"0.1", "1e+300", "-Infinity", "NaN", "-0"}},
		{"numeric", "string", []string{"12345678901234567890.123456789", "-0.10", "NaN"}},
		{"text", "string", []string{"", "short", "longer than sixteen bytes", "grüße", "日本語のログ", "🦊 fox"}},
		{"character varying", "string", []string{"x"}},
		{"name", "string", []string{"pg_class"}},
		{"bytea", "Uint8Array", []string{`\x`, `\x00ff10`}},
		{"date", "Date", []string{"1970-01-01", "2026-11-23", "1969-12-31", "4713-01-01 BC"}},
		{"timestamp", "Date", []string{"2026-11-23 10:20:30.123456", "1969-12-31 23:59:59.999999"}},
		{"timestamptz", "Date", []string{"2026-11-23 10:20:30.123456+00", "1969-12-31 23:59:59.999999+00", "2000-01-01 00:00:00+00"}},
		{"interval", "number", []string{"01:02:03.5", "-00:00:00.000001", "48:00:00"}},
		{"inet", "string", []string{"10.1.2.3", "10.0.0.0/8", "2001:db8::1", "::ffff:1.2.3.4"}},
		{"cidr", "string", []string{"10.0.0.0/8", "2001:db8::/32"}},
		{"uuid", "string", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}},
		{"json", "Object", []string{`{"a":1,"b":[true,null,"x"]}`, `{}`}},
		{"jsonb", "Object", []string{`{"a": 1, "b": [true, null, "ü"]}`}},
		{"text[]", "Array", []string{`{}`, `{a,"b c",NULL,"NULL",""}`}},
		{"bigint[]", "Array", []string{`{1,9007199254740993,NULL}`}},
		{"inet[]", "Array", []string{`{10.0.0.1,::1}`}},
		{"bytea[]", "Array", []string{`{"\\x00ff"}`}},
		{"timestamptz[]", "Array", []string{`{"2026-11-23 10:20:30.123456+00"}`}},
	} {
		t.Run(c.typ, func(t *testing.T) {
			typ := typeName(t, c.typ)
			f := &spec.Function{ID: 1, Ret: typ, Body: "return a", Params: []types.Column{{Name: "a", Type: typ}}}
			g := &spec.Function{ID: 2, Ret: types.T(types.Text), Params: f.Params,
				Body: "return a === null ? 'null' : typeof a === 'object' ? Object.prototype.toString.call(a).slice(8, -1) : typeof a"}
			define(t, p, f)
			define(t, p, g)
			arg := column(t, typ, append(c.values, "NULL")...)
			rows, err := run(t, p, 1, typ, arg.N, arg)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range rows {
				if want := arg.Value(i).Text(); r.text != want || r.err != nil {
					t.Errorf("%s comes back as %s, %v", want, r.text, r.err)
				}
			}
			if rows, err = run(t, p, 2, types.T(types.Text), arg.N, arg); err != nil || rows[0].text != c.js || rows[len(rows)-1].text != "null" {
				t.Errorf("JavaScript sees %v, %v; want %s", rows, err, c.js)
			}
		})
	}
}

// TestResults: what a function of a type may return, and the error of what it may not.
func TestResults(t *testing.T) {
	p := newPool(t, 1)
	for _, c := range []struct{ typ, body, want string }{
		{"boolean", "return 1", "42804"},
		{"boolean", "return new Boolean(true)", "42804"},
		{"boolean", "return 'true'", "42804"},
		{"boolean", "", "NULL"},
		{"smallint", "return 32768", "22003"},
		{"integer", "return 2147483648", "22003"},
		{"integer", "return -0", "0"},
		{"integer", "return 7n", "7"},
		{"integer", "return '7'", "42804"},
		{"integer", "return {valueOf() { return 7 }}", "42804"},
		{"bigint", "return 2**53-1", "9007199254740991"},
		{"bigint", "return 2**53", "22003"},
		{"bigint", "return 2n**63n", "22003"},
		{"bigint", "return -(2n**63n)", "-9223372036854775808"},
		{"bigint", "return Infinity", "22003"},
		{"oid", "return -1", "22003"},
		{"real", "return 1e39", "22003"},
		{"real", "return 0.1", "0.1"},
		{"double precision", "return 1n", "42804"},
		{"numeric", "return 0.1", "0.1"},
		{"numeric", "return 10n**30n", "1000000000000000000000000000000"},
		{"numeric", "return '1.50'", "1.50"},
		{"numeric", "return 'x'", "22P02"},
		{"numeric", "return true", "42804"},
		{"text", "return 1.5", "1.5"},
		{"text", "return 10n", "10"},
		{"text", "return true", "true"},
		{"text", "return new Date(0)", "1970-01-01T00:00:00.000Z"},
		{"text", "return new Date(NaN)", "22008"},
		{"text", "return {}", "42804"},
		{"text", "return () => 1", "42804"},
		{"text", "return 'a\\ud800b'", "a\uFFFDb"},
		{"text", "return 'a' + '\\0'", "22021"},
		{"bytea", "return 'x'", "42804"},
		{"bytea", "return [1,2]", "42804"},
		{"bytea", "return new Uint8Array([1,2,3]).subarray(1)", `\x0203`},
		{"bytea", "return new Uint8Array([1,2]).buffer", `\x0102`},
		{"bytea", "return new Uint16Array([1])", "42804"},
		{"date", "return new Date(-1)", "1969-12-31"},
		{"date", "return new Date(-8.64e15)", "22008"},
		{"timestamptz", "return 5", "42804"},
		{"timestamptz", "return new Date(-8.64e15)", "22008"},
		{"timestamptz", "const d = new Date(5); d.micros = 5999n; return d", "1970-01-01 00:00:00.005999+00"},
		{"timestamptz", "const d = new Date(5); d.micros = 6000n; return d", "1970-01-01 00:00:00.005+00"},
		{"interval", "return 1.5", "00:00:00.0015"},
		{"interval", "return Infinity", "22008"},
		{"inet", "return '10.0.0.0/8'", "10.0.0.0/8"},
		{"inet", "return '10.0.0.256'", "22P02"},
		{"inet", "return 10", "42804"},
		{"uuid", "return 'x'", "22P02"},
		{"jsonb", "return {b:1, a:[undefined, 1.5]}", `{"a": [null, 1.5], "b": 1}`},
		{"jsonb", "return 'x'", `"x"`},
		{"jsonb", "return undefined", "NULL"},
		{"jsonb", "return () => 1", "NULL"},
		{"jsonb", "return 1n", "38000"},
		{"jsonb", "return {toJSON() { throw new Error('no') }}", "38000"},
		{"integer[]", "return [1, null, 3]", "{1,NULL,3}"},
		{"integer[]", "return [1.5]", "22003"},
		{"integer[]", "return {length: 1}", "42804"},
		{"inet[]", "return ['x']", "22P02"},
		{"text[]", "return new Proxy(['a'], {})", "42804"},
		{"text[]", "return Object.defineProperty(['a'], 0, {get() { throw new Error('trap') }})", "38000"},
	} {
		typ := typeName(t, c.typ)
		f := &spec.Function{ID: 1, Ret: typ, Body: c.body}
		define(t, p, f)
		rows, err := run(t, p, 1, typ, 1)
		if err != nil {
			t.Errorf("%s %q: %v", c.typ, c.body, err)
			continue
		}
		got := rows[0].text
		if rows[0].err != nil {
			got = string(sqlerr.CodeOf(rows[0].err))
		}
		if got != c.want {
			t.Errorf("%s %q: %s (%v), want %s", c.typ, c.body, got, rows[0].err, c.want)
		}
	}
	for _, typ := range []string{"record", "void", "regclass", "record[]"} {
		f := &spec.Function{ID: 1, Ret: typeName(t, typ), Body: "return null"}
		if err := p.Define(f); sqlerr.CodeOf(err) != sqlerr.FeatureNotSupported {
			t.Errorf("%s: %v", typ, err)
		}
	}
}

// TestUtils checks each helper.
func TestUtils(t *testing.T) {
	p := newPool(t, 1)
	for _, c := range [][2]string{
		{`matches("Failed password for root", "^Failed \\w+ for")`, "true"},
		{`matches("abc", "(?i)B")`, "true"},
		{`matches(null, "x")`, "false"},
		{`matches("x", "(")`, "38000"},
		{`matches(5, "x")`, "38000"},
		{`matches("x", "y".repeat(5000))`, "38000"},
		{`includesIgnoreCase("PowerShell -ENC", "-enc")`, "true"},
		{`includesIgnoreCase("PowerShell", "q")`, "false"},
		{`includesIgnoreCase("GRÜSSE", "grü")`, "true"},
		{`includesIgnoreCase("x", "")`, "true"},
		{`startsWithIgnoreCase("HTTP://x", "http")`, "true"},
		{`startsWithIgnoreCase("h", "http")`, "false"},
		{`equalsIgnoreCase("Straße", "STRAßE")`, "true"},
		{`inCidr("10.1.2.3", "10.0.0.0/8")`, "true"},
		{`inCidr("::ffff:10.1.2.3", "10.0.0.0/8")`, "true"},
		{`inCidr("2001:db8::1", "2001:db8::/32")`, "true"},
		{`inCidr("11.1.2.3", "10.0.0.0/8")`, "false"},
		{`inCidr("rubbish", "10.0.0.0/8")`, "false"},
		{`inCidr("10.0.0.1", "10.0.0.1")`, "true"},
		{`inCidr("10.0.0.1", "rubbish")`, "38000"},
		{`domainOf("https://user:p@Evil.Example.:8080/a?b#c")`, "evil.example"},
		{`domainOf("http://[2001:db8::1]:80/")`, "2001:db8::1"},
		{`domainOf("evil.example/path")`, "evil.example"},
		{`domainOf("/path")`, "null"},
		{`isSubdomain("a.b.Example.com.", "example.COM")`, "true"},
		{`isSubdomain("example.com", "example.com")`, "true"},
		{`isSubdomain("badexample.com", "example.com")`, "false"},
		{`isSubdomain("x", "")`, "false"},
		{`utf8(utils.b64decode("Z3LDvMOfZQ=="))`, "grüße"},
		{`utf8(utils.b64decode("Z3LDvMOfZQ"))`, "grüße"},
		{`b64decode("!")`, "null"},
		{`utf16le(utils.b64decode("aQBlAHgA"))`, "iex"},
		{`b64encode("grüße")`, "Z3LDvMOfZQ=="},
		{`hexencode(utils.hexdecode("00FF"))`, "00ff"},
		{`hexdecode("0")`, "null"},
		{`md5("")`, "d41d8cd98f00b204e9800998ecf8427e"},
		{`sha1("abc")`, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{`sha256("abc")`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{`md5({})`, "38000"},
		{`md5(null)`, "null"},
		{`entropy("aabb")`, "1"},
		{`entropy("")`, "0"},
		{`levenshtein("kitten", "sitting")`, "3"},
		{`levenshtein("kitten", "sitting", 1)`, "2"},
		{`levenshtein("", "abc")`, "3"},
		{`levenshtein("x".repeat(3000), "y")`, "38000"},
		{`matches.name`, "matches"},
	} {
		define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Text), Body: "return String(utils." + c[0] + ")"})
		rows, err := run(t, p, 1, types.T(types.Text), 1)
		if err != nil {
			t.Fatal(err)
		}
		got := rows[0].text
		if rows[0].err != nil {
			got = string(sqlerr.CodeOf(rows[0].err))
		}
		if got != c[1] {
			t.Errorf("utils.%s = %s (%v), want %s", c[0], got, rows[0].err, c[1])
		}
	}
}
