package predindex

import (
	"errors"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
)

// The tables of the tests: texts that rows hold, the same with a NULL, none.
const (
	tableTexts = 1 + iota
	tableNull
	tableEmpty
)

var tableSchema = types.Schema{Cols: []types.Column{{Name: "name", Type: types.T(types.Text)}, {Name: "level", Type: types.T(types.Int8)}}}

var tables = makeTables()

func makeTables() *table.View {
	set := table.NewSet()
	for id := uint64(tableTexts); id <= tableEmpty; id++ {
		t := set.Create(id, &tableSchema, nil)
		var c table.Change
		for i, w := range words {
			if id != tableEmpty {
				c.Add = append(c.Add, table.Row{Values: []types.Value{types.NewText(w), types.NewInt(types.Int8, int64(i%4))}})
			}
		}
		if id == tableNull {
			c.Add = append(c.Add, table.Row{Values: []types.Value{types.Null(types.T(types.Text)), types.NewInt(types.Int8, 2)}})
		}
		if _, _, err := t.Apply(c, 1, 1); err != nil {
			panic(err)
		}
	}
	return set.At(1, 1)
}

// asks is a question to a table.
func (g *gen) asks() *expr.InTable {
	e := &expr.InTable{Table: uint64(tableTexts + g.IntN(3)), Name: "t", Schema: tableSchema, Keys: []expr.Expr{g.subject()}, Cols: []int{0},
		Exists: g.IntN(3) == 0, Not: g.IntN(2) == 0}
	if g.IntN(2) == 0 {
		e.Where = &expr.Compare{Op: expr.EQ, L: &expr.Column{Index: 1, Name: "level", Typ: types.T(types.Int8)},
			R: &expr.Const{Val: types.NewInt(types.Int8, int64(g.IntN(5)))}}
	}
	if e.Exists && g.IntN(4) == 0 {
		e.Keys, e.Cols = nil, nil
	}
	return e
}

// countingTables counts the lookups, and the rows that were looked up.
type countingTables struct {
	expr.Tables
	lookups, rows int
	fail          error
}

func (c *countingTables) Lookup(p *expr.TableProbe) error {
	c.lookups, c.rows = c.lookups+1, c.rows+p.N
	if c.fail != nil {
		return c.fail
	}
	return c.Tables.Lookup(p)
}

// TestTablesAreAskedOnce: rules that ask the same table about the same value share one lookup of a batch, whatever stands beside the
// question; the ones whose own values find few rows have those looked up alone.
func TestTablesAreAskedOnce(t *testing.T) {
	b := newGen(t, 12).rows(500)
	often := newGen(t, 12).rows(500) // two fifths have n = 5
	often.Cols[colN].Nulls = nil
	for row := range often.N {
		if often.Cols[colN].I64[row] = int64(100 + row); row%5 < 2 {
			often.Cols[colN].I64[row] = 5
		}
	}
	in := &expr.InTable{Table: tableTexts, Name: "t", Schema: tableSchema, Keys: []expr.Expr{column(colImage)}, Cols: []int{0}}
	for _, c := range []struct {
		name  string
		rule  func(i int) expr.Expr
		every bool
		// sample are the rows, if the estimates know of them.
		sample *batch.Batch
	}{
		{name: "alone", rule: func(i int) expr.Expr { return and(in, &expr.Not{X: compareN(int64(i))}) }, every: true},
		{name: "or", rule: func(i int) expr.Expr { return &expr.Or{Args: []expr.Expr{in, compareN(int64(i - 10))}} }, every: true},
		{name: "or not", rule: func(i int) expr.Expr {
			return &expr.Or{Args: []expr.Expr{&expr.Not{X: in}, &expr.Not{X: compareN(int64(i - 10))}}}
		}, every: true},
		{name: "and", rule: func(i int) expr.Expr { return and(in, compareN(int64(i%3))) }},
		{name: "and often", rule: func(i int) expr.Expr { return and(in, compareN(5), &expr.Not{X: compareN(int64(1000 + i))}) }, every: true, sample: often},
	} {
		var list []*Predicate
		for i := range 200 {
			list = append(list, New(c.rule(i), nil))
		}
		asked, got := &countingTables{Tables: tables}, newFound()
		rows := b
		if c.sample != nil {
			rows = c.sample
		}
		Build(schema, list, NewEstimates(c.sample)).NewMatcher().Match(&expr.Ctx{Tables: asked}, rows, batch.All(rows.N), nil, got)
		// Two more lookups of one row each tell whether what was not found is unknown.
		if asked.lookups > 3 || asked.rows > b.N+2 || (asked.rows >= b.N) != c.every || asked.rows == 0 {
			t.Errorf("%s: %d lookups of %d rows", c.name, asked.lookups, asked.rows)
		}
		if len(got.rows) == 0 {
			t.Errorf("%s: nothing is found", c.name)
		}
	}
}

// TestTableGone: a table that cannot be asked fails the rules that ask it, not those that are left out and not others.
func TestTableGone(t *testing.T) {
	b := newGen(t, 13).rows(500)
	in := &expr.InTable{Table: 99, Name: "t", Schema: tableSchema, Keys: []expr.Expr{column(colImage)}, Cols: []int{0}}
	list := []*Predicate{New(compareN(3), nil), New(in, nil), New(&expr.Or{Args: []expr.Expr{in, compareN(3)}}, nil),
		New(&expr.Or{Args: []expr.Expr{in, compareN(4)}}, nil), New(and(in, &expr.IsNull{X: column(colN), Not: true}), nil)}
	m := Build(schema, list, NewEstimates(nil)).NewMatcher()
	for range 2 {
		got := newFound()
		m.Match(&expr.Ctx{Tables: tables}, b, batch.All(b.N), []uint64{1 << 3}, got)
		var failed []int
		for i := range list {
			if got.fail[i] != nil {
				failed = append(failed, i)
			}
		}
		if !slices.Equal(failed, []int{1, 2, 4}) || len(got.rows[0]) == 0 {
			t.Fatalf("rules %v fail, %d rows of the first", failed, len(got.rows[0]))
		}
	}
	asked := &countingTables{Tables: tables, fail: errors.New("broken")}
	got := newFound()
	m.Match(&expr.Ctx{Tables: asked}, b, batch.All(b.N), nil, got)
	if len(got.fail) != 4 {
		t.Fatalf("failed: %v", got.fail)
	}
}
