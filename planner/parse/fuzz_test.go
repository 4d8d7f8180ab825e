package parse

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// FuzzParse proves that no text makes the parser panic, that each error can be shown to a person at a place inside the
// text, and that what is accepted has a canonical form that means the same.
func FuzzParse(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		if len(sql) > 1<<12 {
			return
		}
		stmts, err := Parse(sql)
		if err != nil {
			e := new(sqlerr.Error)
			switch {
			case !errors.As(err, &e):
				t.Fatalf("not an *sqlerr.Error: %v", err)
			case e.Code == sqlerr.InternalError:
				t.Fatalf("internal error: %v", err)
			case e.Position < 0 || e.Position > utf8.RuneCountInString(sql)+1:
				t.Fatalf("position %d outside of the text", e.Position)
			case e.Position == 0 && e.Code != sqlerr.CharacterNotInRepertoire:
				t.Fatalf("no position: %v", err)
			}
			return
		}
		for _, p := range stmts {
			checkRoundTrip(t, p.Stmt)
		}
	})
}

var fuzzSeeds = []string{
	`SELECT a BETWEEN b = c IS DISTINCT FROM d AND e IS NULL::int::text, a BETWEEN (x AT TIME ZONE y) AND z COLLATE "C", position(a || (b COLLATE "C") IN c < d), "position"(a), substring(a SIMILAR b ESCAPE c), j['a'][1]`,
	`SELECT a || b + 1, -x ^ 2, NOT a = b AND c FROM t AS x(y) WHERE a LIKE 'b' ESCAPE '!' OR a IS NOT DISTINCT FROM b`,
	`SELECT x::int[], (a).b.c, a[1:2], ARRAY[[1],[2]], ROW(1, 2), f(VARIADIC a), count(DISTINCT x ORDER BY y) FILTER (WHERE z) OVER w FROM t WINDOW w AS (PARTITION BY a ROWS 1 PRECEDING)`,
	`WITH RECURSIVE a(x) AS (SELECT 1 UNION ALL SELECT 2) (SELECT DISTINCT ON (x) x FROM a LIMIT 1) EXCEPT SELECT 3 ORDER BY 1 DESC NULLS LAST LIMIT ALL OFFSET 2`,
	`CREATE CONTINUOUS QUERY q WITH (a = 'b') AS SELECT count(*) FROM t WHERE x NOT IN IOC (a, b) GROUP BY k, SESSION(ts, INTERVAL '1' MINUTE, max INTERVAL '2 h') EMIT EVERY INTERVAL '1 s' SUPPRESS FOR INTERVAL '1 h' BY (k)`,
	`CREATE STREAM s (a TIMESTAMPTZ NOT NULL, b INT DEFAULT 1 + 2 NOT NULL, PRIMARY KEY (a), WATERMARK FOR a AS a - INTERVAL '1 s' IDLE AFTER INTERVAL '1 s') WITH ('x y' = -1) FORMAT CSV (header)`,
	`CREATE FUNCTION f(a DOUBLE PRECISION, text) RETURNS TABLE (x INT) AS $x$ $$ $x$ LANGUAGE 'JavaScript' STRICT WITH (timeout = '1s')`,
	`INSERT INTO t (a, b) VALUES (1, DEFAULT), ((SELECT 1), E'\x41\n') RETURNING *, a AS "B c"`,
	`COPY t (a) FROM STDIN WITH CSV HEADER FORCE QUOTE a, b; COPY (SUBSCRIBE q WITH (SNAPSHOT) SINCE INTERVAL '1 h') TO STDOUT`,
	`SELECT * FROM a JOIN (b CROSS JOIN c) USING (x), LATERAL f(1) WITH ORDINALITY AS g(a, b), TUMBLE(t, ts, INTERVAL '1 m') AS w FULL JOIN d FOR SYSTEM_TIME AS OF now() ON TRUE`,
	`SET LOCAL a.b TO 'x', -1; SET TIME ZONE 'UTC'; RESET ALL; SHOW "all"; FETCH BACKWARD ALL IN c WITH (timeout = '1s'); DECLARE c CURSOR WITH HOLD FOR SELECT 1`,
	`SELECT EXTRACT(epoch FROM x), SUBSTRING(a FOR 2), TRIM(LEADING FROM x), POSITION('a' IN b), OVERLAY(a PLACING b FROM 1), CURRENT_TIMESTAMP(3), x AT TIME ZONE 'z' COLLATE "C"`,
	`SELECT a = ANY(b), a NOT LIKE ALL (SELECT 1), a OPERATOR(pg_catalog.~~) b, @ - a, a <-> ~ b, $1[2].x, 1e5, .5, 1.` + "`" + `2`,
	`SELECT sum(x) OVER (w ORDER BY a GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM t GROUP BY DISTINCT GROUPING SETS (ROLLUP (a), CUBE (b), GROUPING SETS (()))`,
	`SELECT 1 GROUP BY ROLLUP (a, (b, c)), CUBE (d), GROUPING SETS ((), (a)), () HAVING TRUE`,
	`EXPLAIN (ANALYZE, FORMAT json) SELECT 1; PREPARE p (int, "char") AS INSERT INTO t DEFAULT VALUES; EXECUTE p(1 + 1, NULL)`,
	`ALTER IOC LIST x ADD ('a', 'b') DROP ('c'); REFRESH IOC LIST a.x FORCE; REFRESH IOC LIST x; ALTER CONTINUOUS QUERY q SET (memory = '1MB'); NOTIFY c, 'x'; UNLISTEN *`,
	`SELECT * FROM a AS b MATCH_RECOGNIZE (PARTITION BY u ORDER BY ts MEASURES FINAL LAST(s.ts, 2) AS x, count(f.*) AS n ALL ROWS PER MATCH AFTER MATCH SKIP TO LAST s PATTERN ((f|s)*? x{2,} (y?? z{,3}?){2}) WITHIN INTERVAL '1' HOUR DEFINE f AS f.a > PREV(f.a)) m`,
	`SEQUENCE BY a, b WITHIN INTERVAL '1 m' [s WHERE x = 1] BY c {2,} AS t ![u] BY d UNTIL [v] BY e MEASURES t.x AS y`,
	`SELECT timestamp(3) with time zone '2024-01-01', "char" 'x', pg_catalog.int4 '1', interval '1-2' year to month, char(3) 'abc'`,
}
