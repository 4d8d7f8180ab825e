package parse

import (
	"strings"
	"testing"
)

// trapCases are texts that another grammar, or a careless lowering, would read as something else. The right side is the
// canonical form with every operator in parentheses where it could be misread.
var trapCases = []struct{ in, want string }{
	// Backslashes are plain, and escapes are decoded only in E'..'.
	{`SELECT 'C:\Windows\x'`, `SELECT 'C:\Windows\x'`},
	{`SELECT E'a\nb\t\\\'\x41\101\u00e9'`, "SELECT 'a\nb\t\\''AAé'"},
	{`SELECT 'it''s' 'x'`, ``},
	{"SELECT 'it''s'\n 'x'", `SELECT 'it''sx'`},
	{`SELECT $$it's$$, $tag$a $$ b$tag$`, `SELECT 'it''s', 'a $$ b'`},
	// Comments.
	{"SELECT a --x\n, b", `SELECT a, b`},
	{"SELECT a--1", `SELECT a`},
	{`SELECT a /* b /* c */ d */, e /*+ hint */`, `SELECT a, e`},
	{`SELECT a #>> '{x}', a # b FROM t WHERE c`, `SELECT a #>> '{x}', a # b FROM t WHERE c`},
	// Operators by longest match.
	{`SELECT a<-b, a @-b, a->b, a->>-1`, `SELECT a < -b, a @- b, a -> b, a ->> -1`},
	{`SELECT a && b, a & b, a | b, a || b, a << 1`, `SELECT a && b, a & b, a | b, a || b, a << 1`},
	{`SELECT a ? 'k', a ?| b, a ?& b, a @> b, a <@ b`, `SELECT a ? 'k', a ?| b, a ?& b, a @> b, a <@ b`},
	{`SELECT a != b, a !~* b`, `SELECT a <> b, a !~* b`},
	// Precedence where the grammars differ.
	{`SELECT a || b + 1`, `SELECT (a || (b + 1))`},
	{`SELECT a & b + 1 | c`, `SELECT ((a & (b + 1)) | c)`},
	{`SELECT a = b | c`, `SELECT (a = (b | c))`},
	{`SELECT NOT a = b`, `SELECT (NOT (a = b))`},
	{`SELECT NOT a IS NULL AND b`, `SELECT ((NOT (a IS NULL)) AND b)`},
	{`SELECT a = b IS NULL`, `SELECT ((a = b) IS NULL)`},
	{`SELECT a < b IS NOT DISTINCT FROM c`, `SELECT ((a < b) IS NOT DISTINCT FROM c)`},
	{`SELECT -a ^ b`, `SELECT ((-a) ^ b)`},
	{`SELECT -1::int`, `SELECT (-(1::integer))`},
	{`SELECT a ^ b ^ c`, `SELECT ((a ^ b) ^ c)`},
	{`SELECT a - b - c * d % e`, `SELECT ((a - b) - ((c * d) % e))`},
	{`SELECT a OR b AND c = d LIKE e`, `SELECT (a OR (b AND (c = (d LIKE e))))`},
	{`SELECT a LIKE b || c`, `SELECT (a LIKE (b || c))`},
	{`SELECT a BETWEEN b AND c AND d`, `SELECT ((a BETWEEN b AND c) AND d)`},
	{`SELECT a NOT BETWEEN b + 1 AND c IS NULL`, `SELECT ((a NOT BETWEEN (b + 1) AND c) IS NULL)`},
	{`SELECT a IN (1) = b`, `SELECT ((a IN (1)) = b)`},
	{`SELECT a AT TIME ZONE 'x'::text || b`, `SELECT ((a AT TIME ZONE ('x'::text)) || b)`},
	{`SELECT a || b COLLATE "C" = c`, `SELECT ((a || (b COLLATE "C")) = c)`},
	{`SELECT a OPERATOR(pg_catalog.+) b * c`, `SELECT (a + (b * c))`},
	{`SELECT a + b OPERATOR(pg_catalog.=) c`, `SELECT ((a + b) = c)`},
	{`SELECT a = ANY (b) OR c <> ALL (SELECT 1)`, `SELECT ((a = ANY (b)) OR (c <> ALL (SELECT 1)))`},
	{`SELECT ~ a + b, @ a * b`, `SELECT (~ (a + b)), (@ (a * b))`},
	{`SELECT 7/2*2`, `SELECT ((7 / 2) * 2)`},
	// Casts, subscripts and fields bind to the operand alone.
	{`SELECT a + b::int[]::text`, `SELECT (a + ((b::integer[])::text))`},
	{`SELECT f(a)::text, CASE a WHEN 1 THEN 2 END::int`, `SELECT f(a)::text, CASE a WHEN 1 THEN 2 END::integer`},
	{`SELECT -a[1], (a).b, (f(x)).*, a[1:], a[:2], a[:]`, `SELECT (-a[1]), (a).b, (f(x)).*, a[1:], a[:2], a[:]`},
	{`SELECT 'x'::pg_catalog.regclass, timestamptz '2024-01-01', "char" 'c'`, `SELECT 'x'::pg_catalog.regclass, '2024-01-01'::timestamptz, 'c'::"char"`},
	// Words that look like aliases and are not.
	{`SELECT count(*) n, sum(x) total FROM t`, `SELECT count(*) AS n, sum(x) AS total FROM t`},
	{`SELECT * FROM a FULL JOIN b ON a.x = b.x`, `SELECT * FROM a FULL JOIN b ON (a.x = b.x)`},
	{`SELECT * FROM a JOIN b JOIN c ON b.x = c.x ON a.x = b.x`, `SELECT * FROM a JOIN (b JOIN c ON (b.x = c.x)) ON (a.x = b.x)`},
	{`SELECT * FROM a, b LEFT JOIN c ON TRUE, d`, `SELECT * FROM a, b LEFT JOIN c ON TRUE, d`},
	{`SELECT * FROM a CROSS JOIN b NATURAL LEFT JOIN c`, `SELECT * FROM a CROSS JOIN b NATURAL LEFT JOIN c`},
	{`SELECT emit FROM s emit WHERE suppress = 1`, `SELECT emit FROM s AS emit WHERE (suppress = 1)`},
	{`SELECT 1 FROM a JOIN t emit ON a.x = emit.x`, `SELECT 1 FROM a JOIN t AS emit ON (a.x = emit.x)`},
	{`SELECT a::int[b]`, ``},
	{`SELECT * FROM f() AS (a)`, ``},
	{`SELECT OPERATOR(pg_catalog.=) c + 1`, `SELECT (OPERATOR(pg_catalog.=) (c + 1))`},
	{`SELECT x.a FROM t AS x(a, "id.orig_h")`, `SELECT x.a FROM t AS x(a, "id.orig_h")`},
	{`SELECT "id.orig_h", "Mixed""Case" FROM Conn`, "SELECT \"id.orig_h\", \"Mixed\"\"Case\" FROM conn"},
	{"SELECT \"a`b\", \"~\"(1), \"#0\".x FROM \"#0\"", "SELECT \"a`b\", \"~\"(1), \"#0\".x FROM \"#0\""},
	// Streaming constructs.
	{`SELECT a IN IOC bad OR NOT a NOT IN IOC (b, c)`, `SELECT ((a IN IOC bad) OR (NOT (a NOT IN IOC (b, c))))`},
	{`SELECT * FROM t GROUP BY TUMBLE(INTERVAL '1 minute')`, `SELECT * FROM t GROUP BY TUMBLE(INTERVAL '1 minute')`},
	{`SELECT * FROM t GROUP BY hop(ts, INTERVAL '10' SECOND, INTERVAL '1 minute'), k`, `SELECT * FROM t GROUP BY HOP(ts, INTERVAL '10' SECOND, INTERVAL '1 minute'), k`},
	{`SELECT * FROM t GROUP BY (hop(ts)), "tumble"(ts)`, `SELECT * FROM t GROUP BY "hop"(ts), "tumble"(ts)`},
	{`SELECT * FROM t GROUP BY (rollup(a)), ROLLUP (b)`, `SELECT * FROM t GROUP BY "rollup"(a), ROLLUP ((b))`},
	{`SELECT * FROM t GROUP BY SESSION(ts, a, max INTERVAL)`, ``},
	{`SELECT * FROM t GROUP BY SESSION(ts, max INTERVAL '8 h', b)`, ``},
	{`SELECT * FROM TUMBLE(t, ts, max INTERVAL '8 h')`, ``},
	{`SELECT * FROM t GROUP BY SESSION(INTERVAL '1 h', max INTERVAL '8 h')`, `SELECT * FROM t GROUP BY SESSION(INTERVAL '1 h', max INTERVAL '8 h')`},
	{`SELECT * FROM t GROUP BY COUNT_WINDOW(100, 10)`, `SELECT * FROM t GROUP BY COUNT_WINDOW(100, 10)`},
	{`SELECT * FROM TABLE(TUMBLE(TABLE auth, DESCRIPTOR(ts), INTERVAL '1' MINUTE))`, `SELECT * FROM TUMBLE(auth, ts, INTERVAL '1' MINUTE)`},
	{`SELECT * FROM HOP((SELECT * FROM a WHERE b), ts, INTERVAL '1 s', INTERVAL '2 s') w`, `SELECT * FROM HOP((SELECT * FROM a WHERE b), ts, INTERVAL '1 s', INTERVAL '2 s') AS w`},
	{`SELECT * FROM f LEFT JOIN assets FOR SYSTEM_TIME AS OF f.ts AS a ON a.ip = f.ip`, `SELECT * FROM f LEFT JOIN assets FOR SYSTEM_TIME AS OF f.ts AS a ON (a.ip = f.ip)`},
	// Clauses that the grammar underneath lacks.
	{`SELECT DISTINCT ON (a, b) c FROM t ORDER BY a, b NULLS FIRST LIMIT ALL`, `SELECT DISTINCT ON (a, b) c FROM t ORDER BY a, b NULLS FIRST LIMIT NULL`},
	{`SELECT 1 LIMIT 1 + 1 OFFSET $1::int`, `SELECT 1 LIMIT (1 + 1) OFFSET ($1::integer)`},
	{`SELECT FROM t`, `SELECT FROM t`},
	{`SELECT 1 WHERE false`, `SELECT 1 WHERE FALSE`},
	{`SELECT x IS UNKNOWN, x ISNULL, x NOTNULL, x IS NOT TRUE`, `SELECT (x IS UNKNOWN), (x IS NULL), (x IS NOT NULL), (x IS NOT TRUE)`},
	{`SELECT count(*) FILTER (WHERE a), sum(x) OVER w, rank() OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY c)`, `SELECT count(*) FILTER (WHERE a), sum(x) OVER w, rank() OVER (w ORDER BY b) FROM t WINDOW w AS (PARTITION BY c)`},
	{`SELECT sum(x) OVER (w GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 + 1 FOLLOWING EXCLUDE TIES), max(x) OVER (RANGE CURRENT ROW EXCLUDE NO OTHERS)`,
		`SELECT sum(x) OVER (w GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 + 1 FOLLOWING EXCLUDE TIES), max(x) OVER (RANGE BETWEEN CURRENT ROW AND CURRENT ROW)`},
	{`SELECT lag(x) OVER (rows) FROM t`, ``},
	{`SELECT lag(x) OVER ("rows") FROM t WINDOW "rows" AS (ROWS 1 PRECEDING EXCLUDE CURRENT ROW), "partition" AS ("rows" ORDER BY a DESC NULLS LAST RANGE '1 day' PRECEDING EXCLUDE GROUP)`,
		`SELECT lag(x) OVER ("rows") FROM t WINDOW rows AS (ROWS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE CURRENT ROW), partition AS ("rows" ORDER BY a DESC NULLS LAST RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW EXCLUDE GROUP)`},
	{`SELECT grouping(a, b) FROM t GROUP BY DISTINCT ROLLUP (a, (b, c)), GROUPING SETS (CUBE (d), GROUPING SETS ((), e), ROLLUP (f), (g, h), i)`,
		`SELECT grouping(a, b) FROM t GROUP BY DISTINCT ROLLUP ((a), (b, c)), GROUPING SETS (CUBE ((d)), GROUPING SETS ((), (e)), ROLLUP ((f)), (g, h), (i))`},
	{`SELECT avg(x) OVER (ORDER BY y ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING)`, `SELECT avg(x) OVER (ORDER BY y ROWS BETWEEN 60 PRECEDING AND 1 PRECEDING)`},
	{`SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC)`, `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC)`},
	{`SELECT EXTRACT(EPOCH FROM a), extract('year' from b)`, `SELECT EXTRACT(epoch FROM a), EXTRACT(year FROM b)`},
	{`SELECT trim(x), trim(LEADING '0' FROM x), trim(TRAILING FROM x), substring(a FOR 3)`, `SELECT btrim(x), ltrim(x, '0'), rtrim(x), substring(a, 1, 3)`},
	// Set operations.
	{`SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 EXCEPT ALL SELECT 4`, `SELECT 1 UNION SELECT 2 INTERSECT SELECT 3 EXCEPT ALL SELECT 4`},
	{`SELECT 1 UNION (SELECT 2 UNION ALL SELECT 3)`, `SELECT 1 UNION (SELECT 2 UNION ALL SELECT 3)`},
	{`(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3`, `(SELECT 1 UNION SELECT 2) INTERSECT SELECT 3`},
	{`(SELECT 1 LIMIT 1) UNION ALL (SELECT 2 ORDER BY 1) ORDER BY 1 LIMIT 5`, `(SELECT 1 LIMIT 1) UNION ALL (SELECT 2 ORDER BY 1) ORDER BY 1 LIMIT 5`},
	{`(WITH a AS (SELECT 1) SELECT 2) UNION SELECT 3`, `(WITH a AS (SELECT 1) SELECT 2) UNION SELECT 3`},
	{`WITH a AS (SELECT 1) SELECT 2 UNION SELECT 3`, `WITH a AS (SELECT 1) SELECT 2 UNION SELECT 3`},
	{`((SELECT 1))`, `SELECT 1`},
	{`SELECT ((SELECT 1) + 1), ((SELECT 2))`, `SELECT ((SELECT 1) + 1), (SELECT 2)`},
	{`TABLE auth`, `SELECT * FROM auth`},
}

// securityNames are reserved in the grammar underneath, and columns in the logs that people load.
const securityNames = `key keys values rank groups row_number window_start rows range index describe interval lag lead match
	regexp read write lock release trigger option by database schema of system stored virtual generated exit usage
	action bytes date day domain enum event file hash host hour ip kill level minute month name names offset_ path percent
	policy port precision process protocol purge query queue role rule second sequence session signed source split sql state
	status statistics subject table_ tables text time timestamp type url user_ value version view year`

func traps() []string {
	var out []string
	for _, c := range trapCases {
		out = append(out, c.in)
	}
	return out
}

// TestTraps compares with the expected text through the parser: both sides must be the same tree, and the canonical form
// must equal the expected text up to the parentheses that it does without.
func TestTraps(t *testing.T) {
	for _, c := range trapCases {
		got, err := Parse(c.in)
		if c.want == "" {
			if err == nil {
				t.Errorf("%s: accepted as %s", c.in, Print(got[0].Stmt))
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if full := printFull(got[0].Stmt); full != c.want && Print(got[0].Stmt) != c.want {
			t.Errorf("%s\n got  %s\n want %s", c.in, full, c.want)
		}
		checkRoundTrip(t, got[0].Stmt)
	}
}

// printFull prints with parentheses around every operator.
func printFull(stmt Statement) string {
	p := &printer{full: true}
	p.statement(stmt)
	return p.String()
}

func TestSecurityNamesWorkBare(t *testing.T) {
	for name := range strings.FieldsSeq(securityNames) {
		for _, form := range []string{"SELECT @ FROM t WHERE @ = 1 GROUP BY @", "SELECT t.@ AS @ FROM @ AS t", "SELECT count(*) FROM @ x", "SELECT x AS @ FROM t ORDER BY @ DESC",
			"CREATE STREAM s (@ text)", "INSERT INTO t (@) VALUES (1)", "COPY t (@) FROM STDIN"} {
			sql := strings.ReplaceAll(form, "@", name)
			if class := keywordClasses[name]; class > kwColName {
				continue
			}
			p, err := Parse(sql)
			if err != nil {
				t.Errorf("%s: %v", sql, err)
				continue
			}
			checkRoundTrip(t, p[0].Stmt)
		}
	}
}
