package op

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
)

// The input is (ts, x, y), the table (k, name, v); x, y, k and v may be NULL.
var (
	lookupInput = &types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "x", Type: types.T(types.Int8)},
		{Name: "y", Type: types.T(types.Int8)}}}
	lookupTable = types.Schema{Cols: []types.Column{{Name: "k", Type: types.T(types.Int8)}, {Name: "name", Type: types.T(types.Text)},
		{Name: "v", Type: types.T(types.Int8)}}}
)

// null is how these tests write NULL.
const null = int64(-99)

func intOrNull(i int64) types.Value {
	if i == null {
		return types.Null(types.T(types.Int8))
	}
	return types.NewInt(types.Int8, i)
}

func lookupCol(i int) expr.Expr {
	if i < 3 {
		return &expr.Column{Index: i, Name: lookupInput.Cols[i].Name, Typ: lookupInput.Cols[i].Type}
	}
	return &expr.Column{Index: i, Name: lookupTable.Cols[i-3].Name, Typ: lookupTable.Cols[i-3].Type}
}

// tableRow is a row of the table with the clock of its coming and going (0: it stays); the first of a key holds always.
type tableRow struct{ k, v, from, to int64 }

func makeTable(t *testing.T, rows []tableRow) expr.Tables {
	t.Helper()
	set := table.NewSet()
	tab := set.Create(7, &lookupTable, nil)
	var clocks []int64
	for _, r := range rows {
		clocks = append(clocks, r.from, r.to)
	}
	slices.Sort(clocks)
	number := map[tableRow][]uint64{}
	for epoch, c := range slices.Compact(clocks) {
		var ch table.Change
		var coming []tableRow
		for _, r := range rows {
			if r.to == c && c != 0 {
				ch.Drop = append(ch.Drop, number[r][0])
				number[r] = number[r][1:]
			}
			if r.from == c {
				coming = append(coming, r)
				ch.Add = append(ch.Add, table.Row{Values: []types.Value{intOrNull(r.k), types.NewText(fmt.Sprint("n", r.k)), intOrNull(r.v)}, Later: c != 0})
			}
		}
		_, added, err := tab.Apply(ch, uint64(epoch+1), types.EventTime(c))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range added {
			number[coming[i]] = append(number[coming[i]], v.Number)
		}
	}
	return set.At(1000, types.EventTime(table.Horizon-1000)) // times down to -1000 can be asked for
}

// lookupCase is one shape of the operator.
type lookupCase struct {
	kind                  spec.JoinKind
	keyed, cond, asOf     bool
	nullAware, condInputs bool
}

func (c lookupCase) spec() *spec.LookupJoin {
	s := &spec.LookupJoin{TableID: 7, Name: "t", Kind: c.kind, TableSchema: lookupTable, NullAware: c.nullAware}
	if c.keyed {
		s.Keys, s.Cols = []expr.Expr{lookupCol(1)}, []int{0}
	}
	if c.asOf {
		s.AsOf = lookupCol(0)
	}
	if c.cond {
		other := expr.Expr(&expr.Const{Val: types.NewInt(types.Int8, 1)})
		if c.condInputs {
			other = lookupCol(2)
		}
		s.Cond = &expr.Compare{Op: expr.GT, L: lookupCol(5), R: other}
	}
	return s
}

// naive is what the operator must give for one row of the input, as a set.
func (c lookupCase) naive(ts, x, y int64, rows []tableRow) []string {
	in := fmt.Sprintf("%s,%s,%s", show(ts), show(x), show(y))
	var out []string
	found := false
	for _, r := range rows {
		if c.asOf && (ts == null || r.from > ts && r.from != 0 || r.to != 0 && ts >= r.to) || !c.asOf && r.to != 0 {
			continue
		}
		equal := r.k == x && x != null
		if c.nullAware {
			equal = equal || r.k == null || x == null
		}
		than := int64(1)
		if c.condInputs {
			than = y
		}
		if c.keyed && !equal || c.cond && (r.v == null || than == null || r.v <= than) {
			continue
		}
		found = true
		out = append(out, in+fmt.Sprintf(",%s,n%d,%s", show(r.k), r.k, show(r.v)))
	}
	switch {
	case c.kind == spec.Left && !found:
		return []string{in + ",NULL,NULL,NULL"}
	case c.kind == spec.Semi && found, c.kind == spec.Anti && !found:
		return []string{in}
	case c.kind == spec.Semi, c.kind == spec.Anti:
		return nil
	}
	slices.Sort(out)
	return out
}

func show(i int64) string {
	if i == null {
		return "NULL"
	}
	return fmt.Sprint(i)
}

// TestLookupJoin compares every shape with nested loops, over inputs in pieces of several sizes, with rows that the selection
// leaves out; the order is the input's.
func TestLookupJoin(t *testing.T) {
	rnd := rand.New(rand.NewSource(3))
	value := func(n int64) int64 {
		if rnd.Intn(6) == 0 {
			return null
		}
		return rnd.Int63n(n)
	}
	var shapes []lookupCase
	for _, kind := range []spec.JoinKind{spec.Inner, spec.Left, spec.Semi, spec.Anti} {
		for bits := range 16 {
			c := lookupCase{kind: kind, keyed: bits&1 == 0, cond: bits&2 != 0, asOf: bits&4 != 0, condInputs: bits&8 != 0}
			if c.condInputs && !c.cond {
				continue
			}
			shapes = append(shapes, c)
			if kind == spec.Anti && c.keyed {
				c.nullAware = true
				shapes = append(shapes, c)
			}
		}
	}
	for _, c := range shapes {
		nonEmpty, many, nulls := 0, 0, 0
		for range 25 {
			var rows []tableRow
			for range rnd.Intn(30) {
				r := tableRow{k: value(6), v: value(4), from: rnd.Int63n(3) * 10}
				if rnd.Intn(3) == 0 {
					r.to = r.from + 10 + rnd.Int63n(2)*10
				}
				rows = append(rows, r)
			}
			n := rnd.Intn(200)
			b := batch.New(lookupInput, nil)
			var sel []uint32
			var want []string
			for i := range n {
				ts, x, y := rnd.Int63n(60)-20, value(7), value(4)
				at := types.NewTime(types.EventTime(ts))
				if rnd.Intn(20) == 0 {
					ts, at = null, types.Null(at.Type)
				}
				b.AppendRow([]types.Value{at, intOrNull(x), intOrNull(y)})
				if rnd.Intn(4) == 0 {
					continue
				}
				sel = append(sel, uint32(i))
				w := c.naive(ts, x, y, rows)
				want = append(want, w...)
				if len(w) > 1 {
					many++
				}
				if x == null {
					nulls++
				}
			}
			if len(want) > 0 {
				nonEmpty++
			}
			got := runLookup(t, c, makeTable(t, rows), b, sel)
			if !slices.Equal(got, want) {
				t.Fatalf("%+v over %v:\ngot\n%s\nwant\n%s", c, rows, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
		if nonEmpty < 2 && c.keyed || nulls == 0 || many == 0 && (c.kind == spec.Inner || c.kind == spec.Left) {
			t.Errorf("%+v: %d of 25 runs gave rows, %d rows found many, %d had NULL keys", c, nonEmpty, many, nulls)
		}
	}
}

// runLookup runs one batch and prints the rows; those of one input row are sorted, and the input's order must be kept.
func runLookup(t *testing.T, c lookupCase, tables expr.Tables, b *batch.Batch, sel []uint32) []string {
	t.Helper()
	made, err := NewLookupJoin(c.spec(), lookupInput)
	j := open(t, made, err, &expr.Ctx{Tables: tables})
	if len(sel) == 0 {
		return nil
	}
	var out []string
	var src []uint32
	take := emitFunc(func(in Input) error {
		for _, r := range in.Sel {
			var cells []string
			for _, v := range in.B.Row(nil, int(r)) {
				switch {
				case v.Null:
					cells = append(cells, "NULL")
				case v.Type.Kind == types.Text:
					cells = append(cells, v.S)
				default:
					cells = append(cells, fmt.Sprint(v.I))
				}
			}
			out = append(out, strings.Join(cells, ","))
			from := r
			if c.kind == spec.Inner || c.kind == spec.Left {
				from = in.B.Src[r]
			}
			src = append(src, from)
		}
		return nil
	})
	// First all at once, then in pieces, so that the operator's memory is used again with other rows in it.
	pieces := append([][]uint32{sel}, slices.Collect(slices.Chunk(sel, 7))...)
	for i, piece := range pieces {
		if i == 1 {
			whole := len(out)
			defer func() {
				if len(out) != whole {
					t.Errorf("%+v: %d rows in pieces, %d at once", c, len(out), whole)
				}
			}()
			out, src = nil, nil
		}
		if err := j.Process(0, Input{B: b, Sel: piece}, take); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.IsSorted(src) {
		t.Fatalf("the order of the input is lost: %v", src)
	}
	for i := 0; i < len(src); {
		k := i
		for k < len(src) && src[k] == src[i] {
			k++
		}
		slices.Sort(out[i:k])
		i = k
	}
	return out
}

// TestLookupJoinManyRows: what a row finds comes in pieces; LEFT knows at the end of all of them whether Cond let one pass.
func TestLookupJoinManyRows(t *testing.T) {
	var rows []tableRow
	for range 3000 {
		rows = append(rows, tableRow{k: 1, v: 0})
	}
	rows = append(rows, tableRow{k: 1, v: 3})
	tables := makeTable(t, rows)
	b := batch.New(lookupInput, nil)
	for i := range int64(5) {
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(i)), intOrNull(1 + i%2), intOrNull(0)})
	}
	for kind, want := range map[spec.JoinKind]int{spec.Inner: 3, spec.Left: 5, spec.Semi: 3, spec.Anti: 2} {
		got := runLookup(t, lookupCase{kind: kind, keyed: true, cond: true, condInputs: true}, tables, b, batch.All(5))
		if len(got) != want {
			t.Errorf("kind %d gives %d rows, want %d", kind, len(got), want)
		}
	}
	if got := runLookup(t, lookupCase{kind: spec.Left, keyed: true}, tables, b, batch.All(5)); len(got) != 3*3001+2 {
		t.Errorf("%d rows", len(got))
	}
}

// TestLookupJoinMarks: the marks of rows behind the watermark, the operations and the rows' origins follow the rows that are
// made of them; absent columns stay absent; a condition that fails is reported for the input's row.
func TestLookupJoinMarks(t *testing.T) {
	tables := makeTable(t, []tableRow{{k: 1, v: 2}, {k: 1, v: 3}, {k: 2, v: 0}})
	b := batch.New(lookupInput, nil)
	for i := range int64(4) {
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(i)), intOrNull([]int64{1, 5, 1, 2}[i]), intOrNull(i)})
	}
	b.Behind = []batch.Behind{{Row: 0, Watermark: 7}, {Row: 2, Watermark: 9}}
	b.Ops = []batch.Op{batch.Insert, batch.Insert, batch.Delete, batch.Insert}
	b.Src = []uint32{10, 11, 12, 13}
	b.Cols[2].Absent = true
	s := lookupCase{kind: spec.Left, keyed: true}.spec()
	made, err := NewLookupJoin(s, lookupInput)
	j := open(t, made, err, &expr.Ctx{Tables: tables})
	calls := 0
	err = j.Process(0, Input{B: b, Sel: []uint32{1, 2, 3}, Others: 5, Several: true}, emitFunc(func(in Input) error {
		calls++
		if in.B.N != 4 || !in.B.Cols[2].Absent || in.Others != 5 || !in.Several {
			t.Errorf("%d rows, absent %v, others %d", in.B.N, in.B.Cols[2].Absent, in.Others)
		}
		if !slices.Equal(in.B.Src, []uint32{11, 12, 12, 13}) || !slices.Equal(in.B.Ops, []batch.Op{1, 4, 4, 1}) ||
			!slices.Equal(in.B.Behind, []batch.Behind{{Row: 1, Watermark: 9}, {Row: 2, Watermark: 9}}) {
			t.Errorf("%v %v %v", in.B.Src, in.B.Ops, in.B.Behind)
		}
		return nil
	}))
	if err != nil || calls != 1 {
		t.Fatal(calls, err)
	}

	b.Cols[2].Absent = false
	s.Cond = &expr.Compare{Op: expr.GT, L: div(lookupCol(5), lookupCol(2)), R: &expr.Const{Val: types.NewInt(types.Int8, 0)}}
	var bad []uint32
	ctx := &expr.Ctx{Tables: tables, RowError: func(row uint32, err error) {
		if sqlerr.CodeOf(err) != sqlerr.DivisionByZero {
			t.Error(err)
		}
		bad = append(bad, row)
	}}
	made, err = NewLookupJoin(s, lookupInput)
	j = open(t, made, err, ctx)
	var got []string
	if err := j.Process(0, Input{B: b, Sel: batch.All(4)}, rowsTo(&got)); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || len(bad) == 0 || slices.ContainsFunc(bad, func(r uint32) bool { return r != 0 }) {
		t.Errorf("%v, failed %v", got, bad)
	}
}

func div(l, r expr.Expr) expr.Expr {
	def := &fn.Def{Name: "div", Args: []types.Type{types.T(types.Int8), types.T(types.Int8)}, Ret: types.T(types.Int8),
		Eval: func(_ *fn.Ctx, args []types.Value) (types.Value, error) {
			if args[1].I == 0 {
				return types.Value{}, sqlerr.New(sqlerr.DivisionByZero, "division by zero")
			}
			return types.NewInt(types.Int8, args[0].I/args[1].I), nil
		}}
	return &expr.Call{Def: def, Args: []expr.Expr{l, r}, Typ: types.T(types.Int8)}
}

func TestLookupJoinWithoutTables(t *testing.T) {
	made, err := NewLookupJoin(lookupCase{kind: spec.Left, keyed: true}.spec(), lookupInput)
	j := open(t, made, err, &expr.Ctx{})
	b := batch.New(lookupInput, nil)
	b.AppendRow([]types.Value{types.NewTime(1), intOrNull(1), intOrNull(1)})
	if err := j.Process(0, wholeInput(b), emitFunc(discard)); err == nil {
		t.Fatal("a lookup without tables worked")
	}
}
