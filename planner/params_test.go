package planner_test

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

func plan(t *testing.T, w *world, sql string, params ...types.Type) *spec.Program {
	t.Helper()
	parsed, err := parse.Parse(sql)
	if err != nil {
		t.Fatal(err)
	}
	p, err := planner.Select(w.env(), parsed[0].Stmt.(*parse.SelectStmt).Query, params)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestBindParams(t *testing.T) {
	w := newWorld()
	p := plan(t, w, `SELECT relname, $2::int + 1 FROM pg_class WHERE relname = $1 AND EXISTS (SELECT 1 FROM pg_namespace n WHERE n.nspname = $1)
		AND oid = ANY ($3) GROUP BY 1 ORDER BY 1 LIMIT $4`)
	before := strings.Join(spec.Explain(p), "\n")
	vals := []types.Value{types.NewBytes(types.Name, "x"), types.NewInt(types.Int4, 7), types.NewArray(types.OID, []types.Value{types.NewInt(types.OID, 5)}),
		types.NewInt(types.Int8, 3)}
	bound := planner.BindParams(p, vals)
	after := strings.Join(spec.Explain(bound), "\n")
	if strings.Contains(after, "$") {
		t.Errorf("a parameter is left:\n%s", after)
	}
	if strings.Join(spec.Explain(p), "\n") != before {
		t.Error("the program itself changed")
	}
	for _, want := range []string{"'x'", "7", "Limit 3"} {
		if !strings.Contains(after, want) {
			t.Errorf("%s is missing:\n%s", want, after)
		}
	}
	plain := plan(t, w, "SELECT relname FROM pg_class")
	if planner.BindParams(plain, vals) != plain {
		t.Error("a program without parameters was copied")
	}
}

func TestDeclaredParams(t *testing.T) {
	w := newWorld()
	p := plan(t, w, "SELECT $1, $2 + 1", types.T(types.Int8), types.Type{})
	if got := p.Params; len(got) != 2 || got[0].Kind != types.Int8 || got[1].Kind != types.Int4 {
		t.Errorf("params %v", got)
	}
	if k := p.Root.Schema.Cols[0].Type.Kind; k != types.Int8 {
		t.Errorf("$1 came out as %v", k)
	}
}

func TestTooManyRelations(t *testing.T) {
	sql := "WITH a0 AS (SELECT 1 AS x)"
	for i := 1; i < 30; i++ {
		prev := "a" + string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
		if i == 1 {
			prev = "a0"
		}
		name := "a" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		sql += ", " + name + " AS (SELECT l.x FROM " + prev + " l, " + prev + " r)"
	}
	out := newWorld().run(sql + " SELECT * FROM a29")
	if !strings.HasPrefix(out, "ERROR:  54000") {
		t.Errorf("nested WITH queries multiply without end: %.200s", out)
	}
}

func BenchmarkContinuous(b *testing.B) {
	w := newWorld()
	w.run("CREATE STREAM auth (ts TIMESTAMPTZ NOT NULL, username TEXT, dst TEXT, action TEXT, WATERMARK FOR ts AS ts)")
	parsed, err := parse.Parse(`CREATE CONTINUOUS QUERY q AS SELECT username, dst, count(*) AS n FROM auth WHERE action = 'denied'
		GROUP BY username, dst, TUMBLE(ts, INTERVAL '5 seconds') HAVING count(*) > 10`)
	if err != nil {
		b.Fatal(err)
	}
	env := w.env()
	for b.Loop() {
		if _, err := planner.Continuous(env, parsed[0].Stmt.(*parse.CreateQuery), 7); err != nil {
			b.Fatal(err)
		}
	}
}

func TestBindParamsOfWindows(t *testing.T) {
	w := newWorld()
	p := plan(t, w, `SELECT x, sum(x) FILTER (WHERE x > $1) OVER (PARTITION BY x % $2 ORDER BY x + $3 ROWS BETWEEN $4 PRECEDING AND $5 FOLLOWING), lag(x, $6, $7) OVER (ORDER BY x),
		count(*) OVER (ORDER BY x RANGE BETWEEN $8 PRECEDING AND CURRENT ROW), count(*) OVER (ORDER BY now() RANGE $9 PRECEDING)
		FROM generate_series(1, 3) x GROUP BY ROLLUP (x + $10), x HAVING count(*) > $11 ORDER BY x`)
	var vals []types.Value
	for i, typ := range p.Params {
		v := types.NewInt(types.Int8, int64(i))
		if typ.Kind == types.Interval {
			v = types.NewInterval(types.IntervalValue{Days: 1})
		}
		vals = append(vals, v)
	}
	if k := p.Params[3].Kind; k != types.Int8 {
		t.Errorf("an offset of ROWS is %v", k)
	}
	for _, line := range spec.Explain(planner.BindParams(p, vals)) {
		// The projection only names the columns after what was written.
		if strings.Contains(line, "$") && !strings.Contains(line, "Project") {
			t.Errorf("a parameter is left: %s", line)
		}
	}
}
