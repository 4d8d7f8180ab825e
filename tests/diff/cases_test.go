package diff

import "testing"

// cases are statements of which each has once been answered differently.
var cases = []string{
	"SELECT 1::int2 << n, -1::int2 >> n, 1 << n, 1::int8 << n FROM (VALUES (15), (16), (17), (31), (32), (33), (63), (64), (-1)) v(n)",
	"SELECT position('om' IN 'Thomas'), position('Thomas' IN 'om'), position('a' || 'b' IN 'cab'), position('a' = 'b' IN 'cab')", "SELECT position('a', 'b')", `SELECT pg_catalog.position('Thomas', 'om')`,
	"SELECT position('a' IN 'Thomas'), position('a' || 'b' IN 'ca' || 'b')", "SELECT true BETWEEN 1 < 2 AND 2 > 1, 1 BETWEEN 0 AND 1 IS NULL", "SELECT timestamp '2024-01-01' + + interval '1 day'",
	"SELECT to_char(1, 'S9S')", "SELECT to_char(1, 'SSSS')", "SELECT to_char(1, 'S9MI')", "SELECT to_char(1, 'MI9S')", "SELECT to_char(1, 'S9PR')", "SELECT to_char(1, '9PRS')", "SELECT to_char(1, 'MI9PR')", "SELECT to_char(-1, 'S9'), to_char(-1, '9MI')",
	`SELECT jsonb_path_exists('[1]', '$ ? (@.a == $v)')`, `SELECT jsonb_path_query('{}', '$.a == $v')`, `SELECT similar_to_escape('\', '\'), similar_to_escape('a#', '#'), 'a' SIMILAR TO 'a\'`, "SELECT 1 IS NULL::int::text || 'x', NOT 1 IS NULL::int::boolean, 2 * 3 IN (6)::int",
	"SELECT to_char(d, 'RM'), to_char(d, 'rm') || '|', to_char(d, 'FMRM'), to_char(d, 'Rm'), to_char(d, 'rM') FROM generate_series(timestamp '2024-01-01', '2024-12-01', '1 month') d",
	"SELECT date '2024-01-01' - interval '200000 years'", "SELECT timestamp '2024-01-01' - interval '6736 years'", "SELECT timestamp '2024-01-01' - interval '6738 years'",
	"SELECT timestamptz '2024-01-01' - interval '200000 years'", "SELECT timestamp '4714-11-24 BC' - interval '1 microsecond'", "SELECT timestamp '4714-11-24 BC' - interval '1 day'",
	"SELECT timestamp '4714-11-24 BC' + interval '1 day'", "SELECT date '4714-11-24 BC' - 1", "SELECT date '4714-11-24 BC' + 1, date '5874897-12-31' - 1", "SELECT date '5874897-12-31' + 1",
	"SELECT make_date(-4714, 11, 24)", "SELECT make_date(-4714, 11, 23)", "SELECT make_date(5874897, 12, 31)", "SELECT make_date(5874898, 1, 1)", "SELECT make_date(-4715, 1, 1)", "SELECT date '4714-11-23 BC'", "SELECT timestamp '4714-11-23 BC'",
	"SELECT date '4714-11-24 BC', timestamp '4714-11-24 BC'", "SELECT date '5874898-01-01'",
	`SELECT substring('abcdefg', 'a#"(b_d)#"%', '#')`, `SELECT substring('abcdefg' SIMILAR 'a#"%#"g' ESCAPE '#')`, `SELECT substring('abcdefg' FROM 'a#"(b_d)#"%' FOR '#')`,
	`SELECT substring('aaaa', '%#"a%#"a%', '#'), substring('xaaay', '_*#"a*#"%', '#'), substring('abc', 'a%', '#'), substring('abc', 'b', '#'), substring('', '#"#"', '#')`,
	`SELECT substring('abc', '#"a#"b#"c', '#')`, `SELECT substring('abc', 'a#"b%', '#'), substring('a|b', '(a|a_)#"%#"', '#'), substring('abc', NULL, '#')`, `SELECT substring('a"c', 'a\"%\"', '\'), substring('héé', 'h#"_#"%', '#')`,
	`SELECT 'a"b' SIMILAR TO 'a#"b#"' ESCAPE '#', similar_to_escape('a#"b#"%', '#')`, `SELECT substring('abc', 'a', '##')`, `SELECT substring('abc' SIMILAR 'a' ESCAPE NULL)`,
	`SELECT j['a'], j['a'][0], j['a'][-1], j['a'][1]['b'], j['zz'], j['a']['0'], j['a'][7], j[NULL] FROM (SELECT '{"a": [1, {"b": "x"}]}'::jsonb AS j) t`, `SELECT ('[1, [2, 3]]'::jsonb)[1][i] FROM generate_series(0, 2) i`,
	`SELECT ('[1]'::jsonb)[1.5]`, `SELECT ('[1]'::jsonb)[1::bigint]`, `SELECT ('[1]'::jsonb)[0:1]`, `SELECT ('[1]'::jsonb)[:]`, `SELECT ('[1]'::jsonb)[:1]`, `SELECT ('[1]'::json)[0]`, `SELECT ('"a"'::jsonb)['a'], ('{"1": 2}'::jsonb)[1], ('{"1": 2}'::jsonb)[1::int2]`,
	`SELECT (jsonb_build_object('k', ARRAY[1, 2]))['k'][1]`, `SELECT ('{"t": 1}'::jsonb)['t'::varchar], ('{"true": 1}'::jsonb)[true]`,
}

func TestCases(t *testing.T) {
	p := newPair(t)
	for _, sql := range cases {
		if pg, vigil := p.both(sql); !alike(pg, vigil) {
			t.Errorf("%s\n  PostgreSQL: %s\n  vigil: %s", sql, pg, vigil)
		}
	}
}
