package task

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// null stands for NULL in rows of tests.
const null = "NULL"

func value(t types.Type, s string) types.Value {
	if s == null {
		return types.Null(t)
	}
	v, err := types.ParseText(t, s, nil)
	if err != nil {
		panic(err)
	}
	return v
}

func schemaOf(kinds ...types.Kind) types.Schema {
	var s types.Schema
	for i, k := range kinds {
		s.Cols = append(s.Cols, types.Column{Name: fmt.Sprintf("c%d", i), Type: types.T(k)})
	}
	return s
}

// rows makes a VALUES node: each row is "a|b|c".
func rows(s types.Schema, list ...string) *spec.Node {
	v := &spec.Values{}
	for _, line := range list {
		var row []expr.Expr
		for i, f := range strings.Split(line, "|") {
			row = append(row, &expr.Const{Val: value(s.Cols[i].Type, f)})
		}
		v.Rows = append(v.Rows, row)
	}
	return &spec.Node{Op: v, Schema: s}
}

func planNode(o spec.Op, s types.Schema, in ...*spec.Node) *spec.Node {
	return &spec.Node{Op: o, Schema: s, In: in}
}

func col(i int, k types.Kind) expr.Expr {
	return &expr.Column{Index: i, Name: fmt.Sprintf("c%d", i), Typ: types.T(k)}
}

func num(i int64) expr.Expr { return &expr.Const{Val: types.NewInt(types.Int8, i)} }

func concat(a, b types.Schema) types.Schema {
	return types.Schema{Cols: slices.Concat(a.Cols, b.Cols)}
}

// runRows executes a plan and returns its rows as "a|b".
func runRows(t *testing.T, root *spec.Node) []string {
	t.Helper()
	out, err := tryRows(context.Background(), root, &Env{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryRows(ctx context.Context, root *spec.Node, env *Env) ([]string, error) {
	var out []string
	err := Run(ctx, &spec.Program{Root: root}, env, func(in op.Input) error {
		for _, r := range in.Sel {
			var parts []string
			for _, v := range in.B.Row(nil, int(r)) {
				parts = append(parts, v.Text())
			}
			out = append(out, strings.Join(parts, "|"))
		}
		return nil
	})
	return out, err
}

func want(t *testing.T, got []string, lines ...string) {
	t.Helper()
	if !slices.Equal(got, lines) {
		t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

func wantSet(t *testing.T, got []string, lines ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(lines)
	want(t, got, lines...)
}

func wantCode(t *testing.T, err error, code sqlerr.Code) {
	t.Helper()
	if sqlerr.CodeOf(err) != code {
		t.Fatalf("error %v (%s), want %s", err, sqlerr.CodeOf(err), code)
	}
}

func kernel(t *testing.T, name string, in ...types.Type) agg.Kernel {
	t.Helper()
	for _, d := range agg.Builtins() {
		if d.Name == name {
			if k, ok := d.Bind(in, false); ok {
				return k
			}
		}
	}
	t.Fatalf("no aggregate %s%v", name, in)
	return nil
}

var two = schemaOf(types.Int8, types.Text)

func TestFilterProjectLimit(t *testing.T) {
	in := rows(two, "1|a", "2|b", "NULL|c", "4|d", "5|e")
	f := planNode(&spec.Filter{Cond: &expr.Compare{Op: expr.GT, L: col(0, types.Int8), R: num(1)}}, two, in)
	p := planNode(&spec.Project{Exprs: []expr.Expr{col(1, types.Text)}}, schemaOf(types.Text), f)
	want(t, runRows(t, p), "b", "d", "e")
	want(t, runRows(t, planNode(&spec.Limit{Count: num(1), Offset: num(1)}, p.Schema, p)), "d")
	want(t, runRows(t, planNode(&spec.Limit{Count: num(0)}, p.Schema, p)))
	want(t, runRows(t, planNode(&spec.Limit{Offset: num(9)}, p.Schema, p)))
	want(t, runRows(t, planNode(&spec.Limit{Count: &expr.Const{Val: types.Null(types.T(types.Int8))}}, p.Schema, p)), "b", "d", "e")
	_, err := tryRows(context.Background(), planNode(&spec.Limit{Count: num(-1)}, p.Schema, p), &Env{})
	wantCode(t, err, sqlerr.InvalidLimit)
	_, err = tryRows(context.Background(), planNode(&spec.Limit{Offset: num(-1)}, p.Schema, p), &Env{})
	wantCode(t, err, sqlerr.InvalidOffset)
}

// A LIMIT inside one arm of a UNION ends that arm only; one above it ends everything, and no source runs after it.
func TestLimitEndsItsOwnInputOnly(t *testing.T) {
	s := schemaOf(types.Int8)
	scanned := map[string]int{}
	env := &Env{Scan: func(_ context.Context, n *spec.Node, emit func(*batch.Batch) error) error {
		name := n.Op.(*spec.VirtualScan).Name
		for i := range 5 {
			b := batch.New(&n.Schema, nil)
			b.AppendRow([]types.Value{types.NewInt(types.Int8, int64(i))})
			scanned[name]++
			if err := emit(b); err != nil {
				return fmt.Errorf("scan %s: %w", name, err)
			}
		}
		return nil
	}}
	scanOf := func(name string) *spec.Node { return planNode(&spec.VirtualScan{Name: name}, s) }
	limited := planNode(&spec.Limit{Count: num(2)}, s, scanOf("a"))
	union := planNode(&spec.Union{}, s, limited, scanOf("b"))
	got, err := tryRows(context.Background(), union, env)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "0", "1", "0", "1", "2", "3", "4")
	if scanned["a"] != 2 || scanned["b"] != 5 {
		t.Fatalf("batches scanned: %v", scanned)
	}
	clear(scanned)
	sorted := planNode(&spec.Sort{Keys: []spec.SortKey{{X: col(0, types.Int8), Desc: true}}}, s, limited)
	if got, err = tryRows(context.Background(), sorted, env); err != nil {
		t.Fatal(err)
	}
	want(t, got, "1", "0")
	clear(scanned)
	if got, err = tryRows(context.Background(), planNode(&spec.Limit{Count: num(1)}, s, union), env); err != nil {
		t.Fatal(err)
	}
	want(t, got, "0")
	if scanned["b"] != 0 {
		t.Fatalf("batches scanned: %v", scanned)
	}
	clear(scanned)
	if _, err = tryRows(context.Background(), planNode(&spec.Limit{Count: num(0)}, s, union), env); err != nil || len(scanned) != 0 {
		t.Fatalf("LIMIT 0 scanned %v, %v", scanned, err)
	}
}

func TestSortIsStableAndPlacesNulls(t *testing.T) {
	in := rows(two, "2|a", "NULL|b", "1|c", "2|d", "NULL|e", "1|f")
	by := func(desc, first bool) []string {
		k := []spec.SortKey{{X: col(0, types.Int8), Desc: desc, NullsFirst: first}}
		return runRows(t, planNode(&spec.Sort{Keys: k}, two, in))
	}
	want(t, by(false, false), "1|c", "1|f", "2|a", "2|d", "NULL|b", "NULL|e")
	want(t, by(false, true), "NULL|b", "NULL|e", "1|c", "1|f", "2|a", "2|d")
	want(t, by(true, true), "NULL|b", "NULL|e", "2|a", "2|d", "1|c", "1|f")
	want(t, by(true, false), "2|a", "2|d", "1|c", "1|f", "NULL|b", "NULL|e")
	want(t, runRows(t, planNode(&spec.Sort{Keys: []spec.SortKey{{X: col(0, types.Int8)}}}, two, rows(two))))
	// Many equal keys over several chunks keep the order they came in.
	var list []string
	for i := range 3000 {
		list = append(list, fmt.Sprintf("%d|%05d", i%3, i))
	}
	got := runRows(t, planNode(&spec.Sort{Keys: []spec.SortKey{{X: col(0, types.Int8)}}}, two, rows(two, list...)))
	if len(got) != 3000 || !slices.IsSorted(got) {
		t.Fatalf("%d rows, in order: %v", len(got), slices.IsSorted(got))
	}
}

func TestDistinctAndSetOps(t *testing.T) {
	a := rows(two, "1|x", "1|x", "NULL|NULL", "2|y", "NULL|NULL", "1|z")
	want(t, runRows(t, planNode(&spec.Distinct{}, two, a)), "1|x", "NULL|NULL", "2|y", "1|z")
	want(t, runRows(t, planNode(&spec.Distinct{On: []expr.Expr{col(0, types.Int8)}}, two, a)), "1|x", "NULL|NULL", "2|y")
	b := rows(two, "1|x", "NULL|NULL", "3|q")
	set := func(except, all bool) []string {
		return runRows(t, planNode(&spec.SetOp{Except: except, All: all}, two, a, b))
	}
	want(t, set(false, false), "1|x", "NULL|NULL")
	want(t, set(false, true), "1|x", "NULL|NULL")
	want(t, set(true, false), "2|y", "1|z")
	want(t, set(true, true), "1|x", "2|y", "NULL|NULL", "1|z")
	want(t, runRows(t, planNode(&spec.SetOp{}, two, rows(two), b)))
}

func TestHashAgg(t *testing.T) {
	in := rows(two, "1|a", "2|b", "1|NULL", "NULL|c", "2|b", "NULL|d")
	count := spec.AggCall{Name: "count", Kernel: kernel(t, "count", types.T(types.Text)), Args: []expr.Expr{col(1, types.Text)}}
	big := spec.AggCall{Name: "max", Kernel: kernel(t, "max", types.T(types.Text)), Args: []expr.Expr{col(1, types.Text)}}
	out := schemaOf(types.Int8, types.Int8, types.Text)
	keys := []expr.Expr{col(0, types.Int8)}
	want(t, runRows(t, planNode(&spec.HashAgg{Keys: keys, Aggs: []spec.AggCall{count, big}}, out, in)), "1|1|a", "2|2|b", "NULL|2|d")
	want(t, runRows(t, planNode(&spec.HashAgg{Keys: keys, Aggs: []spec.AggCall{count, big}}, out, rows(two))))
	scalar := schemaOf(types.Int8, types.Text)
	want(t, runRows(t, planNode(&spec.HashAgg{Aggs: []spec.AggCall{count, big}, Scalar: true}, scalar, rows(two))), "0|NULL")
	filtered := count
	filtered.Filter = &expr.Compare{Op: expr.EQ, L: col(0, types.Int8), R: num(2)}
	want(t, runRows(t, planNode(&spec.HashAgg{Keys: keys, Aggs: []spec.AggCall{filtered}}, schemaOf(types.Int8, types.Int8), in)),
		"1|0", "2|2", "NULL|0")
	// The arguments are those of the rows that pass, not of as many rows from the start.
	last := big
	last.Filter = &expr.IsNull{X: col(0, types.Int8)}
	want(t, runRows(t, planNode(&spec.HashAgg{Keys: keys, Aggs: []spec.AggCall{last}}, two, in)), "1|NULL", "2|NULL", "NULL|d")
}

func TestGroupingSets(t *testing.T) {
	count := spec.AggCall{Name: "count", Kernel: kernel(t, "count")}
	g := &spec.GroupingSets{Keys: []expr.Expr{col(0, types.Int8), col(1, types.Text)}, Aggs: []spec.AggCall{count},
		Sets: [][]int{{0, 1}, {1}, {}, {1}}, Groupings: [][]int{{0}, {1, 0}}}
	out := schemaOf(types.Int8, types.Text, types.Int8, types.Int4, types.Int4)
	want(t, runRows(t, planNode(g, out, rows(two, "1|a", "1|b", "NULL|a"))),
		"1|a|1|0|0", "1|b|1|0|0", "NULL|a|1|0|0", "NULL|a|2|1|1", "NULL|b|1|1|1", "NULL|NULL|3|1|3", "NULL|a|2|1|1", "NULL|b|1|1|1")
	want(t, runRows(t, planNode(g, out, rows(two))), "NULL|NULL|0|1|3")
}

func TestOrderedAggregate(t *testing.T) {
	in := rows(two, "1|b", "1|c", "2|z", "1|a", "2|y")
	text := types.T(types.Text)
	call := spec.AggCall{Name: "string_agg", Kernel: kernel(t, "string_agg", text, text),
		Args:    []expr.Expr{col(1, types.Text), &expr.Const{Val: types.NewText(",")}},
		OrderBy: []spec.SortKey{{X: col(1, types.Text), Desc: true}}}
	got := runRows(t, planNode(&spec.HashAgg{Keys: []expr.Expr{col(0, types.Int8)}, Aggs: []spec.AggCall{call}}, two, in))
	want(t, got, "1|c,b,a", "2|z,y")
}

// Joins against nested loops over the same rows, with NULL keys, duplicates, empty sides, and batches of several sizes.
func TestJoinsEqualNestedLoops(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	sawNull, sawEmpty, sawMany := false, false, false
	for round := range 60 {
		left, right := randomRows(rng), randomRows(rng)
		if round == 7 { // more than one chunk
			for len(left) < 1500 {
				left = append(left, left...)
				left = append(left, "1|a")
			}
		}
		sawNull = sawNull || strings.Contains(strings.Join(left, " "), "NULL|")
		sawEmpty = sawEmpty || len(left) == 0 || len(right) == 0
		sawMany = sawMany || len(left) > batch.RowsMax
		for _, kind := range []spec.JoinKind{spec.Inner, spec.Left, spec.Right, spec.Full} {
			for _, hash := range []bool{true, false} {
				for _, residual := range []bool{true, false} {
					got := runRows(t, joinNode(kind, hash, residual, left, right))
					wantSet(t, got, slowJoin(kind, residual, left, right)...)
				}
			}
		}
	}
	if !sawNull || !sawEmpty || !sawMany {
		t.Fatalf("cases not met: null %v empty %v many %v", sawNull, sawEmpty, sawMany)
	}
}

func randomRows(rng *rand.Rand) []string {
	var out []string
	for range rng.Intn(8) {
		k := fmt.Sprint(rng.Intn(4))
		if rng.Intn(4) == 0 {
			k = null
		}
		out = append(out, k+"|"+string(rune('a'+rng.Intn(3))))
	}
	return out
}

func joinNode(kind spec.JoinKind, hash, residual bool, left, right []string) *spec.Node {
	j := &spec.Join{Kind: kind}
	eq := expr.Expr(&expr.Compare{Op: expr.EQ, L: col(0, types.Int8), R: col(2, types.Int8)})
	less := expr.Expr(&expr.Compare{Op: expr.LT, L: col(1, types.Text), R: col(3, types.Text)})
	var terms []expr.Expr
	if hash {
		j.LeftKeys, j.RightKeys = []expr.Expr{col(0, types.Int8)}, []expr.Expr{col(0, types.Int8)}
	} else {
		terms = append(terms, eq)
	}
	if residual {
		terms = append(terms, less)
	}
	switch len(terms) {
	case 1:
		j.Cond = terms[0]
	case 2:
		j.Cond = &expr.And{Args: terms}
	}
	return planNode(j, concat(two, two), rows(two, left...), rows(two, right...))
}

// slowJoin is the definition of a join, over rows as text.
func slowJoin(kind spec.JoinKind, residual bool, left, right []string) []string {
	var out []string
	used := make([]bool, len(right))
	for _, l := range left {
		hit := false
		lk, lv, _ := strings.Cut(l, "|")
		for i, r := range right {
			rk, rv, _ := strings.Cut(r, "|")
			if lk != null && lk == rk && (!residual || lv < rv) {
				hit, used[i] = true, true
				out = append(out, l+"|"+r)
			}
		}
		if !hit && (kind == spec.Left || kind == spec.Full) {
			out = append(out, l+"|NULL|NULL")
		}
	}
	for i, r := range right {
		if !used[i] && (kind == spec.Right || kind == spec.Full) {
			out = append(out, "NULL|NULL|"+r)
		}
	}
	sort.Strings(out)
	return out
}

func TestCrossJoin(t *testing.T) {
	got := runRows(t, planNode(&spec.Join{Kind: spec.Cross}, concat(two, two), rows(two, "1|a", "2|b"), rows(two, "3|c", "4|d")))
	want(t, got, "1|a|3|c", "1|a|4|d", "2|b|3|c", "2|b|4|d")
}

// outer is column i of the directly enclosing row.
func outer(i int, k types.Kind) expr.Expr {
	return &expr.Outer{Depth: 1, Index: i, Name: "o", Typ: types.T(k)}
}

func TestLateral(t *testing.T) {
	series := planNode(&spec.FuncScan{Name: "generate_series", Args: []expr.Expr{num(1), outer(0, types.Int8)}}, schemaOf(types.Int8))
	out := concat(two, schemaOf(types.Int8))
	in := rows(two, "2|a", "0|b", "NULL|c", "1|d")
	want(t, runRows(t, planNode(&spec.Join{Kind: spec.Inner, Lateral: true}, out, in, series)), "2|a|1", "2|a|2", "1|d|1")
	want(t, runRows(t, planNode(&spec.Join{Kind: spec.Left, Lateral: true}, out, in, series)),
		"2|a|1", "2|a|2", "0|b|NULL", "NULL|c|NULL", "1|d|1")
	cond := &expr.Compare{Op: expr.GT, L: col(2, types.Int8), R: num(1)}
	want(t, runRows(t, planNode(&spec.Join{Kind: spec.Left, Lateral: true, Cond: cond}, out, in, series)),
		"2|a|2", "0|b|NULL", "NULL|c|NULL", "1|d|NULL")
	_, err := tryRows(context.Background(), planNode(&spec.Join{Kind: spec.Full, Lateral: true}, out, in, series), &Env{})
	wantCode(t, err, sqlerr.InvalidColumnReference)
}

func sub(kind expr.SubKind, plan *spec.Node, x expr.Expr, not bool, k types.Kind) expr.Expr {
	return &expr.Subquery{Kind: kind, Plan: &spec.Program{Root: plan}, Correlated: true, X: x, Not: not, Typ: types.T(k)}
}

func TestSubqueries(t *testing.T) {
	one := schemaOf(types.Int8)
	in := rows(one, "1", "2", "NULL")
	filter := func(e expr.Expr) []string { return runRows(t, planNode(&spec.Filter{Cond: e}, one, in)) }
	inList := func(not bool, list ...string) expr.Expr {
		return sub(expr.InSub, rows(one, list...), col(0, types.Int8), not, types.Bool)
	}
	want(t, filter(inList(false, "2", "3")), "2")
	want(t, filter(inList(true, "2", "3")), "1")
	want(t, filter(inList(true, "2", "NULL")))
	want(t, filter(inList(false, "2", "NULL")), "2")
	correlated := planNode(&spec.Filter{Cond: &expr.Compare{Op: expr.EQ, L: col(0, types.Int8), R: outer(0, types.Int8)}}, one, rows(one, "2", "7"))
	want(t, filter(sub(expr.Exists, correlated, nil, false, types.Bool)), "2")
	want(t, filter(sub(expr.Exists, correlated, nil, true, types.Bool)), "1", "NULL")
	project := func(e expr.Expr) []string {
		return runRows(t, planNode(&spec.Project{Exprs: []expr.Expr{e}}, types.Schema{Cols: []types.Column{{Name: "s", Type: e.Type()}}}, in))
	}
	want(t, project(sub(expr.Scalar, correlated, nil, false, types.Int8)), "NULL", "2", "NULL")
	_, err := tryRows(context.Background(), planNode(&spec.Project{Exprs: []expr.Expr{sub(expr.Scalar, rows(one, "1", "2"), nil, false, types.Int8)}}, one, in), &Env{})
	wantCode(t, err, sqlerr.CardinalityViolation)
}

// A subquery two levels down reads the row of the outermost query, and results are remembered by what they depend on.
func TestNestedSubqueriesAndMemo(t *testing.T) {
	one := schemaOf(types.Int8)
	scans := 0
	env := &Env{Scan: func(_ context.Context, n *spec.Node, emit func(*batch.Batch) error) error {
		scans++
		b := batch.New(&n.Schema, nil)
		for i := range 3 {
			b.AppendRow([]types.Value{types.NewInt(types.Int8, int64(i))})
		}
		return emit(b)
	}}
	stream := func() *spec.Node { return planNode(&spec.ResultScan{Name: "q"}, one) }
	deep := &expr.Outer{Depth: 2, Index: 0, Name: "o", Typ: types.T(types.Int8)}
	inner := planNode(&spec.Filter{Cond: &expr.Compare{Op: expr.EQ, L: col(0, types.Int8), R: deep}}, one, stream())
	middle := planNode(&spec.Filter{Cond: sub(expr.Exists, inner, nil, false, types.Bool)}, one, rows(one, "10", "11"))
	top := planNode(&spec.Project{Exprs: []expr.Expr{sub(expr.Exists, middle, nil, false, types.Bool)}}, schemaOf(types.Bool),
		rows(one, "1", "5", "1", "5"))
	got, err := tryRows(context.Background(), top, env)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "t", "f", "t", "f")
	if scans != 2 {
		t.Fatalf("%d scans for two different outer values", scans)
	}
	scans = 0
	free := planNode(&spec.Filter{Cond: sub(expr.InSub, stream(), col(0, types.Int8), false, types.Bool)}, one, rows(one, "1", "2", "9"))
	if got, err = tryRows(context.Background(), free, env); err != nil || scans != 1 {
		t.Fatalf("%d scans, %v", scans, err)
	}
	want(t, got, "1", "2")
}

// What a plan depends on is counted from its root: a subplan's references to the plan's own rows are none, and its deeper
// ones are one less deep.
func TestAnalyseCountsFromTheRoot(t *testing.T) {
	one := schemaOf(types.Int8)
	at := func(depth, index int) expr.Expr {
		return &expr.Outer{Depth: depth, Index: index, Name: "o", Typ: types.T(types.Int8)}
	}
	inner := planNode(&spec.Values{Rows: [][]expr.Expr{{at(1, 7)}, {at(2, 3)}, {at(3, 4)}}}, one)
	lateral := planNode(&spec.Join{Kind: spec.Cross, Lateral: true}, schemaOf(types.Int8, types.Int8), rows(one, "1"), inner)
	for name, plan := range map[string]*spec.Node{
		"subquery": planNode(&spec.Filter{Cond: sub(expr.Exists, inner, nil, false, types.Bool)}, one, rows(one, "1")),
		"lateral":  lateral,
	} {
		got := analyse(&spec.Program{Root: plan}).refs
		if want := []outerRef{{1, 3}, {2, 4}}; !slices.Equal(got, want) {
			t.Errorf("%s depends on %v, want %v", name, got, want)
		}
	}
}

func TestVolatileSubplansAreNotRemembered(t *testing.T) {
	n := int64(0)
	next := &fn.Def{Name: "next", Ret: types.T(types.Int8), Volatility: fn.Volatile,
		Eval: func(*fn.Ctx, []types.Value) (types.Value, error) { n++; return types.NewInt(types.Int8, n), nil }}
	one := schemaOf(types.Int8)
	call := &expr.Call{Def: next, Typ: types.T(types.Int8)}
	plan := planNode(&spec.Values{Rows: [][]expr.Expr{{call}}}, one)
	got := runRows(t, planNode(&spec.Project{Exprs: []expr.Expr{sub(expr.Scalar, plan, nil, false, types.Int8)}}, one, rows(one, "1", "1", "1")))
	want(t, got, "1", "2", "3")
}

func TestProjectSet(t *testing.T) {
	series := func(lo expr.Expr, hi expr.Expr) *spec.FuncScan {
		return &spec.FuncScan{Name: "generate_series", Args: []expr.Expr{lo, hi}}
	}
	out := schemaOf(types.Text, types.Int8, types.Int8)
	p := &spec.ProjectSet{Exprs: []expr.Expr{col(1, types.Text), nil, nil},
		Funcs: []*spec.FuncScan{nil, series(num(1), col(0, types.Int8)), series(num(5), num(6))}}
	got := runRows(t, planNode(p, out, rows(two, "3|a", "NULL|b")))
	want(t, got, "a|1|5", "a|2|6", "a|3|NULL", "b|NULL|5", "b|NULL|6")
	only := &spec.ProjectSet{Exprs: []expr.Expr{nil}, Funcs: []*spec.FuncScan{series(num(1), col(0, types.Int8))}}
	want(t, runRows(t, planNode(only, schemaOf(types.Int8), rows(two, "0|a", "1|b"))), "1")
}

func TestFuncScanOrdinality(t *testing.T) {
	arr := value(types.ArrayOf(types.Text), "{x,NULL,z}")
	f := &spec.FuncScan{Name: "unnest", Args: []expr.Expr{&expr.Const{Val: arr}}, Ordinality: true}
	want(t, runRows(t, planNode(f, schemaOf(types.Text, types.Int8))), "x|1", "NULL|2", "z|3")
	_, err := tryRows(context.Background(), planNode(&spec.FuncScan{Name: "nope"}, schemaOf(types.Text)), &Env{})
	wantCode(t, err, sqlerr.UndefinedFunction)
}

func TestMemoryIsBounded(t *testing.T) {
	series := planNode(&spec.FuncScan{Name: "generate_series", Args: []expr.Expr{num(1), num(1 << 40)}}, schemaOf(types.Int8))
	one := series.Schema
	for name, root := range map[string]*spec.Node{
		"sort":     planNode(&spec.Sort{Keys: []spec.SortKey{{X: col(0, types.Int8)}}}, one, series),
		"distinct": planNode(&spec.Distinct{}, one, series),
		"group":    planNode(&spec.HashAgg{Keys: []expr.Expr{col(0, types.Int8)}}, one, series),
		"sets":     planNode(&spec.GroupingSets{Keys: []expr.Expr{col(0, types.Int8)}, Sets: [][]int{{0}, {}}}, one, series),
		"over":     planNode(&spec.SortedOver{Funcs: []spec.SortedFunc{{Name: "row_number"}}}, schemaOf(types.Int8, types.Int8), series),
		"join":     planNode(&spec.Join{Kind: spec.Cross}, schemaOf(types.Int8, types.Int8), rows(one, "1"), series),
		"except":   planNode(&spec.SetOp{Except: true}, one, rows(one, "1"), series),
		"subplan":  planNode(&spec.Filter{Cond: sub(expr.InSub, series, col(0, types.Int8), false, types.Bool)}, one, rows(one, "1")),
	} {
		_, err := tryRows(context.Background(), root, &Env{MemoryMax: 1 << 20})
		if sqlerr.CodeOf(err) != sqlerr.OutOfMemory || sqlerr.As(err).Hint == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancellation(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	series := planNode(&spec.FuncScan{Name: "generate_series", Args: []expr.Expr{num(1), num(1 << 40)}}, schemaOf(types.Int8))
	n := 0
	err := Run(ctx, &spec.Program{Root: series}, &Env{}, func(op.Input) error {
		if n++; n == 3 {
			cancel()
		}
		return nil
	})
	wantCode(t, err, sqlerr.QueryCanceled)
	if n != 3 {
		t.Fatalf("%d batches", n)
	}
	// A nested loop that finds nothing has no output at which it could be stopped.
	ctx, cancel = context.WithCancel(context.Background())
	checks := 0
	stop := &fn.Def{Name: "stop", Ret: types.T(types.Bool), Volatility: fn.Volatile,
		Eval: func(*fn.Ctx, []types.Value) (types.Value, error) {
			if checks++; checks == 1000 {
				cancel()
			}
			return types.NewBool(false), nil
		}}
	small := planNode(&spec.FuncScan{Name: "generate_series", Args: []expr.Expr{num(1), num(1000)}}, schemaOf(types.Int8))
	j := &spec.Join{Kind: spec.Inner, Cond: &expr.Call{Def: stop, Typ: types.T(types.Bool)}}
	err = Run(ctx, &spec.Program{Root: planNode(j, schemaOf(types.Int8, types.Int8), small, small)}, &Env{}, func(op.Input) error { return nil })
	wantCode(t, err, sqlerr.QueryCanceled)
	if checks > 10_000 {
		t.Fatalf("went on for %d pairs", checks)
	}
}

func TestErrorsEndTheRun(t *testing.T) {
	boom := errors.New("boom")
	env := &Env{Scan: func(_ context.Context, _ *spec.Node, _ func(*batch.Batch) error) error { return boom }}
	if _, err := tryRows(context.Background(), planNode(&spec.VirtualScan{Name: "x"}, two), env); !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	err := Run(context.Background(), &spec.Program{Root: rows(two, "1|a")}, &Env{}, func(op.Input) error { return boom })
	if !errors.Is(err, boom) {
		t.Fatalf("got %v", err)
	}
	if err := Run(context.Background(), &spec.Program{Root: rows(two, "1|a")}, &Env{}, func(op.Input) error { return op.ErrDone }); err != nil {
		t.Fatalf("a consumer that has enough is no error: %v", err)
	}
	_, err = tryRows(context.Background(), planNode(&spec.WindowAgg{}, two, rows(two)), &Env{})
	wantCode(t, err, sqlerr.FeatureNotSupported)
}

func TestDeepPlansAreRefused(t *testing.T) {
	n := rows(two, "1|a")
	for range planDepthMax + 2 {
		n = planNode(&spec.Distinct{}, two, n)
	}
	_, err := tryRows(context.Background(), n, &Env{})
	wantCode(t, err, sqlerr.ProgramLimitExceeded)
}
