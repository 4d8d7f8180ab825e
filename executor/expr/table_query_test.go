package expr

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// pieces is a table that gives a few rows at a time.
type pieces struct {
	rows    [][]types.Value
	most    int
	version uint64
	known   bool
	lookups int
}

// TableVersion implements TableVersions.
func (t *pieces) TableVersion(uint64) (uint64, bool) { return t.version, t.known }

// Lookup implements Tables.
func (t *pieces) Lookup(p *TableProbe) error {
	t.lookups++
	at, _ := p.State.(int)
	if !p.More {
		at = 0
	}
	p.Rows, p.More = p.Rows[:0], false
	for ; at < p.N*len(t.rows); at++ {
		i, r := at/len(t.rows), t.rows[at%len(t.rows)]
		if len(p.Rows) == t.most {
			p.More, p.State = true, at
			return nil
		}
		if !matches(p, i, r) {
			continue
		}
		p.Rows = append(p.Rows, uint32(i))
		for c := range p.Into {
			if !p.Into[c].Absent {
				p.Into[c].AppendValue(r[c])
			}
		}
	}
	return nil
}

// matches tells whether a probing row finds a row; with NullAware NULL equals everything.
func matches(p *TableProbe, i int, r []types.Value) bool {
	if len(p.Cols) == 0 {
		return true
	}
	unknown := p.Null[i]
	var key []byte
	for _, c := range p.Cols {
		unknown = unknown || r[c].Null
		key = batch.AppendKeyValue(key, r[c])
	}
	if unknown {
		return p.NullAware
	}
	return string(key) == string(p.Keys.Key(i))
}

var (
	textCol = types.T(types.Text)
	int8Col = types.T(types.Int8)
	askedOf = types.Schema{Cols: []types.Column{{Name: "name", Type: textCol}, {Name: "level", Type: int8Col}}}
	asksOf  = types.Schema{Cols: []types.Column{{Name: "usr", Type: textCol}, {Name: "num", Type: int8Col}}}
)

func col(s *types.Schema, i int) Expr {
	return &Column{Index: i, Name: s.Cols[i].Name, Typ: s.Cols[i].Type}
}

// arg is the only argument, which stands behind the table's columns.
func arg(typ types.Type) Expr { return &Column{Index: 2, Name: "arg", Typ: typ} }

func randomRows(rng *rand.Rand, n int) [][]types.Value {
	rows := make([][]types.Value, n)
	for i := range rows {
		name, num := types.NewText(string(rune('a'+rng.IntN(4)))), types.NewInt(types.Int8, int64(rng.IntN(5)))
		if rng.IntN(6) == 0 {
			name = types.Null(textCol)
		}
		if rng.IntN(6) == 0 {
			num = types.Null(int8Col)
		}
		rows[i] = []types.Value{name, num}
	}
	return rows
}

func aggDef(name string) *agg.Def {
	defs := agg.Builtins()
	for i := range defs {
		if defs[i].Name == name {
			return &defs[i]
		}
	}
	panic(name)
}

// queries are questions of all kinds, with and without keys.
func queries() []*TableQuery {
	usr, num, name, level := col(&asksOf, 0), col(&asksOf, 1), col(&askedOf, 0), col(&askedOf, 1)
	above := &Compare{Op: GT, L: level, R: arg(int8Col)}
	sum, _ := aggDef("sum").Kernel([]types.Type{int8Col}, false, false)
	count, _ := aggDef("count").Kernel(nil, false, false)
	base := TableQuery{Table: 1, Name: "t", Schema: askedOf, Typ: boolType}
	var list []*TableQuery
	add := func(fn func(q *TableQuery)) {
		q := base
		fn(&q)
		list = append(list, &q)
		if q.Kind == TableAny {
			n := q
			n.Not = true
			list = append(list, &n)
		}
	}
	pair := &And{Args: []Expr{&Compare{Op: EQ, L: &Column{Index: 2, Name: "arg", Typ: textCol}, R: name}, &Compare{Op: EQ, L: &Column{Index: 3, Name: "arg", Typ: int8Col}, R: level}}}
	add(func(q *TableQuery) {
		q.Keys, q.Cols, q.Args, q.Where = []Expr{usr}, []int{0}, []Expr{num}, above
	})
	add(func(q *TableQuery) { q.Args, q.Where = []Expr{num}, above })
	add(func(q *TableQuery) {
		q.Args, q.Test, q.TestKeys, q.TestCols = []Expr{usr, num}, pair, []Expr{usr, num}, []int{0, 1}
	})
	add(func(q *TableQuery) {
		q.Keys, q.Cols, q.Args, q.Test, q.TestKeys, q.TestCols = []Expr{usr}, []int{0}, []Expr{num}, &Compare{Op: EQ, L: arg(int8Col), R: level}, []Expr{num}, []int{1}
	})
	add(func(q *TableQuery) { q.Args, q.Test = []Expr{num}, &Compare{Op: LE, L: arg(int8Col), R: level} })
	add(func(q *TableQuery) { q.Test = &Compare{Op: LE, L: &Const{Val: types.NewInt(types.Int8, 3)}, R: level} })
	add(func(q *TableQuery) {
		q.Kind, q.Typ, q.Item, q.Keys, q.Cols = TableOne, int8Col, level, []Expr{usr}, []int{0}
	})
	add(func(q *TableQuery) {
		q.Kind, q.Typ, q.Item, q.Where = TableOne, int8Col, level, &Compare{Op: EQ, L: level, R: &Const{Val: types.NewInt(types.Int8, 4)}}
	})
	add(func(q *TableQuery) {
		q.Kind, q.Typ, q.Item = TableGroup, types.T(types.Numeric), &Column{Index: 0, Name: "sum", Typ: sum.Type()}
		q.Aggs = []TableAgg{{Name: "sum(", Kernel: sum, Args: []Expr{level}, Filter: &Compare{Op: GE, L: level, R: arg(int8Col)}}}
		q.Keys, q.Cols, q.Args = []Expr{usr}, []int{0}, []Expr{num}
	})
	add(func(q *TableQuery) {
		q.Kind, q.Typ, q.Item = TableGroup, int8Col, &Column{Index: 0, Name: "count", Typ: count.Type()}
		q.Aggs = []TableAgg{{Name: "count(", Kernel: count}}
	})
	return list
}

// model answers a question by nested loops.
func (t *pieces) model(tt *testing.T, q *TableQuery, row []types.Value) (string, error) {
	eval := func(e Expr, pair []types.Value) types.Value {
		v, err := EvalRow(&Ctx{}, e, pair)
		if err != nil {
			tt.Fatal(err)
		}
		return v
	}
	var args []types.Value
	for _, a := range q.Args {
		args = append(args, eval(a, row))
	}
	var hits [][]types.Value
	answer := types.NewBool(q.Not)
	for _, r := range t.rows {
		pair, ok := append(append([]types.Value(nil), r...), args...), true
		for i, k := range q.Keys {
			v := eval(k, row)
			ok = ok && !v.Null && !r[q.Cols[i]].Null && types.Equal(v, r[q.Cols[i]])
		}
		if q.Where != nil {
			w := eval(q.Where, pair)
			ok = ok && !w.Null && w.Bool()
		}
		if !ok {
			continue
		}
		hits = append(hits, pair)
		switch v := types.NewBool(true); {
		case q.Kind != TableAny:
		case q.Test != nil:
			if v = eval(q.Test, pair); v.Null {
				if answer.Null || answer.Bool() == q.Not {
					answer = types.Null(boolType)
				}
				continue
			}
			if v.Bool() {
				answer = types.NewBool(!q.Not)
			}
		default:
			answer = types.NewBool(!q.Not)
		}
	}
	switch q.Kind {
	case TableOne:
		if len(hits) > 1 {
			return "", sqlerr.New(sqlerr.CardinalityViolation, "")
		}
		if answer = types.Null(int8Col); len(hits) == 1 {
			answer = hits[0][1]
		}
	case TableGroup:
		if len(q.Aggs[0].Args) == 0 {
			return fmt.Sprint(len(hits)), nil
		}
		sum, any := int64(0), false
		for _, h := range hits {
			if !h[1].Null && !h[2].Null && h[1].I >= h[2].I {
				sum, any = sum+h[1].I, true
			}
		}
		if !any {
			return "NULL", nil
		}
		return fmt.Sprint(sum), nil
	}
	if answer.Null {
		return "NULL", nil
	}
	return answer.Text(), nil
}

// TestTableQuery: questions of all kinds are answered as by nested loops, in whatever pieces a lookup comes, for batches and for rows alone,
// as values and as filters; errors are those of the rows that ask.
func TestTableQuery(t *testing.T) {
	rng, seen := rand.New(rand.NewPCG(3, 1)), map[string]int{}
	list := queries()
	for range 300 {
		tab := &pieces{rows: randomRows(rng, rng.IntN(7)), most: 1 + rng.IntN(5)}
		b := batch.New(&asksOf, nil)
		for _, r := range randomRows(rng, 1+rng.IntN(6)) {
			b.AppendRow(r)
		}
		for k, q := range list {
			var got map[uint32]string
			ev, err := Compile(q)
			if err != nil {
				t.Fatal(err)
			}
			failed := map[uint32]bool{}
			ctx := &Ctx{Tables: tab, RowError: func(row uint32, err error) {
				if sqlerr.As(err).Code != sqlerr.CardinalityViolation {
					t.Fatal(err)
				}
				failed[row] = true
			}}
			sel := batch.All(b.N)[rng.IntN(b.N):]
			v, err := ev.Eval(ctx, b, sel)
			if err != nil || v.N != len(sel) {
				t.Fatal(err, v.N, len(sel))
			}
			got = map[uint32]string{}
			for i, row := range sel {
				got[row] = "NULL"
				if !v.IsNull(i) {
					got[row] = v.Value(i).Text()
				}
			}
			var pass []uint32
			if q.Typ == boolType {
				if pass, err = ev.Filter(ctx, b, sel, nil); err != nil {
					t.Fatal(err)
				}
			}
			want := 0
			for _, row := range sel {
				w, err := tab.model(t, q, b.Row(nil, int(row)))
				if (err != nil) != failed[row] {
					t.Fatalf("%s: row %v fails %v, want %v", q, b.Row(nil, int(row)), failed[row], err)
				}
				if err != nil {
					seen["error"]++
					continue
				}
				if seen[fmt.Sprint(k, w)]++; got[row] != w {
					t.Fatalf("%s is %s for %v in %v, want %s", q, got[row], b.Row(nil, int(row)), tab.rows, w)
				}
				one, err := EvalRow(&Ctx{Tables: tab}, q, b.Row(nil, int(row)))
				if err != nil || !one.Null && one.Text() != w || one.Null && w != "NULL" {
					t.Fatalf("%s is %v alone, want %s: %v", q, one, w, err)
				}
				if w == "t" {
					want++
				}
			}
			if q.Typ == boolType && len(pass) != want {
				t.Fatalf("%s passes %v of %v", q, pass, got)
			}
		}
	}
	for k, q := range list {
		if n := seen[fmt.Sprint(k, "NULL")]; n == 0 && (q.Test != nil || q.Kind == TableOne) {
			t.Errorf("%s was never NULL", q)
		}
	}
	if seen["error"] < 50 {
		t.Error(seen)
	}
}

// TestTableQueryOnce: what depends on the table alone is asked once while the table is the same, and again after it failed.
func TestTableQueryOnce(t *testing.T) {
	q := &TableQuery{Kind: TableOne, Table: 1, Name: "t", Schema: askedOf, Item: col(&askedOf, 1), Typ: int8Col}
	ev, err := Compile(q)
	if err != nil {
		t.Fatal(err)
	}
	row := func(n int64) []types.Value { return []types.Value{types.NewText("a"), types.NewInt(types.Int8, n)} }
	tab := &pieces{rows: [][]types.Value{row(1)}, most: 9, version: 1, known: true}
	b := batch.New(&asksOf, nil)
	b.AppendRow(row(0))
	ask := func(want string, lookups int) {
		t.Helper()
		before := tab.lookups
		v, err := ev.Eval(&Ctx{Ctx: fn.Ctx{}, Tables: tab}, b, batch.All(1))
		got := "error"
		if err == nil {
			got = v.Value(0).Text()
		}
		if got != want || tab.lookups-before != lookups {
			t.Errorf("got %s in %d lookups, want %s in %d: %v", got, tab.lookups-before, want, lookups, err)
		}
	}
	ask("1", 1)
	ask("1", 0)
	tab.rows = [][]types.Value{row(2)}
	ask("1", 0)
	tab.version = 2
	ask("2", 1)
	tab.rows, tab.version = [][]types.Value{row(2), row(3)}, 3
	ask("error", 1)
	ask("error", 1)
	tab.rows, tab.known = [][]types.Value{row(4)}, false
	ask("4", 1)
	ask("4", 1)
	q.Item = &UDF{Name: "f", Typ: int8Col}
	if steadyInner(q) || !strings.Contains(q.String(), "FROM t") {
		t.Error("a user's function gives the same every time")
	}
}
