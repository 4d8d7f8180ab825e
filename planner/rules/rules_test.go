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
