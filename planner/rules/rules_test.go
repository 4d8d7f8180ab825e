package rules_test

import (
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/bind"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/lower"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/planner/rules"
)

func world() *bind.Env {
	cat := catalog.New()
	col := func(name string, k types.Kind) types.Column { return types.Column{Name: name, Type: types.T(k)} }
	put := func(id uint64, name string, cols ...types.Column) {
		s := spec.Stream{ID: id, Name: name, Schema: types.Schema{Cols: cols}, TimeCol: 0}
		if err := cat.Put(&catalog.Stream{Stream: s}); err != nil {
			panic(err)
		}
	}
	put(1, "a", col("ts", types.TimestampTZ), col("id", types.Int4), col("host", types.Text), col("n", types.Int8))
	put(2, "b", col("ts", types.TimestampTZ), col("id", types.Int4), col("host", types.Text), col("m", types.Int8))
	_ = cat.Put(&catalog.IOCList{IOCList: spec.IOCList{ID: 3, Name: "bad", Type: "text"}})
	cat.PutFunction(&catalog.Function{Function: spec.Function{ID: 4, Name: "js", Params: []types.Column{col("s", types.Text)}, Ret: types.T(types.Bool)}})
	return &bind.Env{Catalog: cat}
}

func show(t *testing.T, d *datadriven.TestData, n *logical.Node) string {
	p, err := lower.Program(&logical.Query{Root: n})
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return strings.Join(spec.Explain(p), "\n") + "\n"
}

// TestDid: what each rule did, as EXPLAIN tells it, of one query that gives all of them something to do; and nothing of one that
// gives them nothing.
func TestDid(t *testing.T) {
	optimize := func(sql string) *logical.Trace {
		parsed, err := parse.Parse(sql)
		if err != nil {
			t.Fatal(err)
		}
		q, err := bind.Select(world(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
		if err != nil {
			t.Fatal(err)
		}
		trace := &logical.Trace{}
		if got := rules.Optimize(q.Root, rules.Env{Trace: trace}); got != trace.Optimized || trace.Written != q.Root {
			t.Error("the trace has other trees")
		}
		return trace
	}
	var got []string
	for _, s := range optimize(`SELECT a.host FROM a JOIN b ON a.id = b.id AND js(a.host) AND a.host IN IOC bad WHERE a.n > 1 + 1 AND b.m + a.n > 3`).Steps {
		for _, d := range s.Did {
			got = append(got, s.Rule+": "+d)
		}
	}
	want := []string{
		"fold_constants: (a.n > (1 + 1)::bigint) is (a.n > 2)",
		"push_filters: ((b.m + a.n) > 3) is checked in Join inner",
		"push_filters: (a.host IN IOC (bad)) is checked right above Scan a",
		"push_filters: (a.n > 2) is checked right above Scan a",
		"join_keys: (a.id = b.id) is a key of Join inner",
		"order_conjuncts: tried in this order: (a.n > 2), (a.host IN IOC (bad))",
		"prune_columns: Scan a reads id, host, n of 4 columns",
		"prune_columns: Scan b reads id, m of 4 columns",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if steps := optimize("SELECT ts, id, host, n FROM a").Steps; len(steps) != 0 {
		t.Error("nothing was to be done", steps)
	}
}

// TestRules applies one rule to a bound query: "rule name=push_filters after=(fold_constants)" prints the plan before
// and after. Rules named in after= run first.
func TestRules(t *testing.T) {
	byName := map[string]rules.Rule{}
	for _, r := range rules.Builtins() {
		byName[r.Name] = r
	}
	tested := map[string]bool{}
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			parsed, err := parse.Parse(d.Input)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			q, err := bind.Select(world(), parsed[0].Stmt.(*parse.SelectStmt).Query, nil)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			n := q.Root
			if d.HasArg("after") {
				var first string
				d.ScanArgs(t, "after", &first)
				n = byName[first].Apply(n, rules.Env{})
			}
			rule, ok := byName[d.Cmd]
			if !ok {
				d.Fatalf(t, "no rule %s", d.Cmd)
			}
			tested[d.Cmd] = true
			after := rule.Apply(n, rules.Env{})
			if got, want := len(after.Schema.Cols), len(q.Root.Schema.Cols); got != want {
				t.Errorf("rule %s changed the schema", d.Cmd)
			}
			return "before:\n" + show(t, d, n) + "after:\n" + show(t, d, after)
		})
	})
	for name := range byName {
		if !tested[name] {
			t.Errorf("rule %s has no script in testdata", name)
		}
	}
}
