package diff

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// pool is a type that expressions are made of, with literals that reach its edges.
type pool struct {
	typ    types.Type
	column string
	texts  []string
}

func pools() []pool {
	arr := types.ArrayOf
	return []pool{
		{types.T(types.Bool), "b", []string{"true", "false"}},
		{types.T(types.Int2), "i2", []string{"0", "1", "-1", "7", "32767", "-32768", "100"}},
		{types.T(types.Int4), "i4", []string{"0", "1", "-1", "2", "3", "5", "12", "2147483647", "-2147483648", "1000"}},
		{types.T(types.Int8), "i8", []string{"0", "1", "-1", "4", "10", "9223372036854775807", "-9223372036854775808", "123456789012"}},
		{types.T(types.Float4), "f4", []string{"0", "1.5", "-2.25", "1e10", "NaN", "Infinity", "3.1415927", "-0", "1e-30"}},
		{types.T(types.Float8), "f8", []string{"0", "0.5", "-0.5", "1", "2.5", "1e300", "NaN", "-Infinity", "Infinity", "-0", "1e-10", "123456.789", "1e15", "-45"}},
		{types.T(types.Numeric), "n", []string{"0", "1", "-1", "0.00", "1.50", "-2.5", "123456789.123456789", "1e20", "NaN", "Infinity", "-Infinity", "0.0001", "99.995", "3", "10"}},
		{types.T(types.Text), "s", []string{"", "a", "abc", "ABC", "  trim  ", "héllo wörld", "12", "-3.5", "foo,bar,,baz", "a.b.c", "2024-02-29", "10.1.2.3", "%", "a_b", `back\slash`,
			"日本語", "xyzzyxyz", "Hello World 123", "aaa", "t", "\n\ttab"}},
		{types.T(types.Varchar), "v", []string{"", "abc", "x", "42", "éa"}},
		{types.T(types.BPChar), "c", []string{"", "abc", "ab   ", "x"}},
		{types.T(types.Bytea), "y", []string{`\x`, `\x00`, `\xdeadbeef`, `\x616263`, `\xff00ff`, `\xc3a9`}},
		{types.T(types.Date), "d", []string{"2024-02-29", "1970-01-01", "1999-12-31", "infinity", "-infinity", "0044-03-15 BC", "2023-01-01", "2020-12-28"}},
		{types.T(types.Timestamp), "ts", []string{"2024-02-29 12:34:56.789", "1970-01-01", "infinity", "1999-12-31 23:59:59.999999", "2001-01-01 00:00:00", "0001-01-01 00:00:00", "2024-03-31 02:30:00"}},
		{types.T(types.TimestampTZ), "tz", []string{"2024-02-29 12:34:56.789+00", "1970-01-01 00:00:00+00", "-infinity", "1999-12-31 23:59:59.999999+02", "2024-03-31 01:00:00+00", "2024-10-27 01:30:00+00"}},
		{types.T(types.Interval), "iv", []string{"0", "1 day", "-1 month", "1 year 2 months 3 days 04:05:06.789", "36 hours", "-00:00:00.000001", "1 mon -1 day", "100 years", "25:00:00"}},
		{types.T(types.Inet), "ip", []string{"10.1.2.3", "192.168.0.0/16", "10.0.0.0/8", "::1", "2001:db8::/32", "255.255.255.255", "2001:db8::ff00:42:8329/64", "10.1.2.3/24", "0.0.0.0/0"}},
		{types.T(types.CIDR), "ci", []string{"10.0.0.0/8", "192.168.1.0/24", "::/0", "2001:db8::/32", "10.1.2.3/32"}},
		{types.T(types.UUID), "u", []string{"00000000-0000-0000-0000-000000000000", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
		{types.T(types.JSON), "js", []string{"{}", "[]", "1", `"a"`, "null", `{"a":1,"b":[1,2,{"c":null}],"a":2}`, `[1, 2.50, "x", null, true]`, `{"x":{"y":{"z":"deep"}}}`}},
		{types.T(types.JSONB), "jb", []string{"{}", "[]", "1", `"a"`, "null", `{"a":1,"b":[1,2,{"c":null}]}`, `[1,2.50,"x",null,true,[3]]`, `{"x":{"y":{"z":"deep"}},"a":"s"}`, "true", `["a","b"]`, `-1.5`}},
		{arr(types.Int4), "ai", []string{"{}", "{1}", "{1,2,3}", "{3,NULL,1,3}", "{2147483647}"}},
		{arr(types.Int8), "al", []string{"{}", "{1,2}", "{9223372036854775807,NULL}"}},
		{arr(types.Text), "at", []string{"{}", "{a}", "{a,b,c}", "{NULL,\"\",\"x y\",\"q\\\"q\"}", "{b,a}"}},
		{arr(types.Numeric), "an", []string{"{}", "{1.50,2}", "{NaN,NULL,0}"}},
		{arr(types.Float8), "af", []string{"{}", "{1.5,-0}", "{NaN,Infinity,NULL}"}},
		{arr(types.TimestampTZ), "az", []string{"{}", "{\"2024-02-29 12:00:00+00\"}"}},
		{arr(types.Inet), "ap", []string{"{}", "{10.1.2.3,10.0.0.0/8}"}},
		{arr(types.Bool), "ab", []string{"{}", "{t,f,NULL}"}},
		{arr(types.JSONB), "aj", []string{"{}", `{"{\"a\": 1}",NULL}`}},
		{arr(types.Date), "ad", []string{"{2024-02-29,NULL}"}},
	}
}

// nameOf is a type's name without a modifier; character without one would be character(1).
func nameOf(t types.Type) string {
	return strings.NewReplacer("character varying", "varchar", "character", "bpchar").Replace(t.String())
}

func quote(s string) string {
	if strings.ContainsAny(s, "\n\t") {
		return "E'" + strings.NewReplacer(`\`, `\\`, "'", "''", "\n", `\n`, "\t", `\t`).Replace(s) + "'"
	}
	return "'" + strings.ReplaceAll(s, "'", "''") + "'"
}

// valuesRows is how many rows the table of values has.
const valuesRows = 10

// valuesTable makes the table v, which has a column of each type; row i has every type's i-th literal, or NULL.
func valuesTable() []string {
	cols := []string{"id int primary key"}
	list := pools()
	for _, p := range list {
		cols = append(cols, p.column+" "+nameOf(p.typ))
	}
	out := []string{"CREATE TABLE v (" + strings.Join(cols, ", ") + ")"}
	for i := range valuesRows {
		row := []string{fmt.Sprint(i)}
		for j, p := range list {
			if (i*7+j*3)%9 == 0 {
				row = append(row, "NULL")
				continue
			}
			row = append(row, quote(p.texts[(i+j)%len(p.texts)]))
		}
		out = append(out, "INSERT INTO v VALUES ("+strings.Join(row, ", ")+")")
	}
	return out
}
