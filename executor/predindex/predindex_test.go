package predindex

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
)

// The schema of the tests: text of few values and of many, numbers, addresses, time.
var schema = &types.Schema{Cols: []types.Column{
	{Name: "image", Type: types.T(types.Text)}, {Name: "line", Type: types.T(types.Text)}, {Name: "n", Type: types.T(types.Int8)},
	{Name: "f", Type: types.T(types.Float8)}, {Name: "ip", Type: types.T(types.Inet)}, {Name: "ok", Type: types.T(types.Bool)},
	{Name: "at", Type: types.T(types.TimestampTZ)}, {Name: "tags", Type: types.ArrayOf(types.Text)}, {Name: "nums", Type: types.ArrayOf(types.Int8)},
}}

const (
	colImage = iota
	colLine
	colN
	colF
	colIP
	colOK
	colAt
	colTags
	colNums
)

// gen makes random conditions and rows, and counts what it made.
type gen struct {
	*rand.Rand
	t    testing.TB
	made map[string]int
}

func newGen(t testing.TB, seed uint64) *gen {
	return &gen{Rand: rand.New(rand.NewPCG(seed, 7)), t: t, made: map[string]int{}}
}

// words are what texts are made of: with letters that fold in odd ways, and texts that are parts of others.
var words = []string{"cmd", ".exe", "CMD", "power", "shell", "Shell", `\`, "K", "ſ", "S", "ks", "İ", "É", "é", "%", "_", " -enc ", "a", "aa", "aaa", "ab", "", "日本", "ẞ", "ß", "ſhell"}

func (g *gen) word() string { return words[g.IntN(len(words))] }

func (g *gen) text(n int) string {
	var b strings.Builder
	for range 1 + g.IntN(n) {
		b.WriteString(g.word())
	}
	return b.String()
}

func (g *gen) addr() string {
	out, ok := types.ParseInet(nil, fmt.Appendf(nil, "10.%d.%d.%d/%d", g.IntN(3), g.IntN(3), g.IntN(3), []int{32, 32, 32, 24, 16, 9}[g.IntN(6)]))
	if g.IntN(4) == 0 {
		out, ok = types.ParseInet(nil, fmt.Appendf(nil, "2001:db8::%x/%d", g.IntN(9), []int{128, 64, 127}[g.IntN(3)]))
	}
	if !ok {
		g.t.Fatal("no address")
	}
	return string(out)
}

// rows makes a batch; hot images come again and again, lines hardly ever.
func (g *gen) rows(n int) *batch.Batch {
	b := batch.New(schema, nil)
	for range n {
		row := []types.Value{types.NewText(g.text(3)), types.NewText(g.text(9)), types.NewInt(types.Int8, int64(g.IntN(40)-20)),
			types.NewFloat(float64(g.IntN(9)) / 2), types.NewBytes(types.Inet, g.addr()), types.NewBool(g.IntN(2) == 0),
			types.NewTime(types.EventTime(g.IntN(100))), g.array(colTags, 5), g.array(colNums, 5)}
		for c := range row {
			if g.IntN(8) == 0 {
				row[c] = types.Null(schema.Cols[c].Type)
			}
		}
		b.AppendRow(row)
	}
	return b
}

func column(i int) *expr.Column {
	return &expr.Column{Index: i, Name: schema.Cols[i].Name, Typ: schema.Cols[i].Type}
}

func (g *gen) call(name string, ret types.Kind, args ...expr.Expr) expr.Expr {
	for _, d := range fn.ByName(fn.Builtins(), name) {
		if len(d.Args) == len(args) && d.Args[0].Kind == args[0].Type().Kind {
			return &expr.Call{Def: &d, Args: args, Typ: types.T(ret)}
		}
	}
	g.t.Fatalf("no function %s", name)
	return nil
}

// subject is a text to be tested.
func (g *gen) subject() expr.Expr {
	c := expr.Expr(column(g.IntN(2)))
	switch g.IntN(6) {
	case 0, 1:
		return g.call("lower", types.Text, c)
	case 2:
		return g.call("reverse", types.Text, c)
	}
	return c
}

// array makes a value for a column of arrays: elements come twice, and NULL.
func (g *gen) array(col, most int) types.Value {
	var list []types.Value
	elem := types.T(schema.Cols[col].Type.Elem)
	for range g.IntN(most + 1) {
		switch {
		case g.IntN(10) == 0:
			list = append(list, types.Null(elem))
		case elem.Kind == types.Text:
			list = append(list, types.NewText(g.word()))
		default:
			list = append(list, types.NewInt(elem.Kind, int64(g.IntN(9))))
		}
	}
	return types.NewArray(elem.Kind, list)
}

// members is a condition on the elements of an array.
func (g *gen) members(any bool) expr.Expr {
	col := []int{colTags, colNums}[g.IntN(2)]
	elem := schema.Cols[col].Type.Elem
	if any {
		x := types.Null(types.T(elem))
		if list, err := types.DecodeArray(elem, g.array(col, 3).S); err == nil && len(list) > 0 {
			x = list[0]
		}
		return &expr.AnyArray{Op: []expr.CmpOp{expr.EQ, expr.EQ, expr.EQ, expr.NE, expr.LT}[g.IntN(5)], L: &expr.Const{Val: x}, Array: column(col), All: g.IntN(5) == 0}
	}
	args := []expr.Expr{column(col), &expr.Const{Val: g.array(col, 3)}}
	if g.IntN(3) == 0 {
		slices.Reverse(args)
	}
	return g.call([]string{"&&", "@>", "<@"}[g.IntN(3)], types.Bool, args...)
}

func text(s string) *expr.Const { return &expr.Const{Val: types.NewText(s)} }

// cond makes a condition; depth bounds AND, OR and NOT.
func (g *gen) cond(depth int) expr.Expr {
	if depth > 0 {
		list := make([]expr.Expr, 2+g.IntN(3))
		for i := range list {
			list[i] = g.cond(depth - 1 - g.IntN(depth))
		}
		switch g.IntN(5) {
		case 0, 1:
			return &expr.And{Args: list}
		case 2, 3:
			return &expr.Or{Args: list}
		}
		return &expr.Not{X: list[0]}
	}
	kind := g.IntN(17)
	g.made[fmt.Sprint("leaf", kind)]++
	num := func(c int, v types.Value) expr.Expr {
		if g.IntN(20) == 0 {
			v = types.Null(v.Type)
		}
		return &expr.Compare{Op: expr.CmpOp(g.IntN(6)), L: column(c), R: &expr.Const{Val: v}}
	}
	switch kind {
	case 0:
		return &expr.Compare{Op: expr.EQ, L: g.subject(), R: text(g.text(2))}
	case 1:
		return &expr.Compare{Op: expr.NE, L: text(g.text(2)), R: g.subject()}
	case 2:
		return num(colN, types.NewInt(types.Int8, int64(g.IntN(40)-20)))
	case 3:
		return num(colF, types.NewFloat(float64(g.IntN(9))/2))
	case 4:
		return num(colAt, types.NewTime(types.EventTime(g.IntN(100))))
	case 5:
		return &expr.In{X: g.subject(), List: []expr.Expr{text(g.text(1)), text(g.text(2)), text(g.text(2))}, Not: g.IntN(4) == 0}
	case 6:
		return &expr.In{X: column(colN), List: []expr.Expr{&expr.Const{Val: types.NewInt(types.Int8, 3)}, &expr.Const{Val: types.NewInt(types.Int8, int64(g.IntN(9)))}}, Not: g.IntN(4) == 0}
	case 7:
		return &expr.IsNull{X: column(g.IntN(len(schema.Cols))), Not: g.IntN(2) == 0}
	case 8:
		return g.call([]string{"<<", "<<="}[g.IntN(2)], types.Bool, column(colIP), &expr.Const{Val: types.NewBytes(types.Inet, g.addr())})
	case 9:
		return column(colOK)
	case 10:
		pattern := []string{"cmd", "c[mM]d", "power(shell)?", "(cmd|a{2,3})\\.exe", "^a+b", "K", "s", "sh.*l$", "(a|b|ks).", "é", "[s-u]k", "shell", "[ks]+shell"}[g.IntN(13)]
		return g.call([]string{"~", "~*", "!~", "!~*"}[g.IntN(4)], types.Bool, g.subject(), text(pattern))
	case 13:
		return g.asks()
	case 15, 16:
		return g.members(kind == 15)
	case 11: // may fail
		one := &expr.Const{Val: types.NewInt(types.Int8, 1)}
		return &expr.Compare{Op: expr.GT, L: g.call("/", types.Int8, one, column(colN)), R: &expr.Const{Val: types.NewInt(types.Int8, -1)}}
	}
	pattern := g.text(3)
	for range g.IntN(3) {
		at := g.IntN(len(pattern) + 1)
		for at < len(pattern) && pattern[at]&0xC0 == 0x80 {
			at++
		}
		pattern = pattern[:at] + []string{"%", "%", "_"}[g.IntN(3)] + pattern[at:]
	}
	return &expr.Like{X: g.subject(), Pattern: text(strings.ReplaceAll(pattern, `\`, `\\`)), Escape: '\\', Insensitive: g.IntN(2) == 0, Not: g.IntN(4) == 0}
}

// dropColumns makes the columns absent that only rules read which are left out, and returns how many they are.
func dropColumns(b *batch.Batch, conds []expr.Expr, skip []uint64) int {
	read := make([]bool, len(b.Cols))
	for i, c := range conds {
		if skip[i/64]&(1<<(i%64)) == 0 {
			expr.Walk(c, func(e expr.Expr) bool {
				if c, ok := e.(*expr.Column); ok {
					read[c.Index] = true
				}
				return true
			})
		}
	}
	n := 0
	for i := range b.Cols {
		if !read[i] {
			b.Cols[i].Reset(b.Cols[i].Type)
			b.Cols[i].Absent = true
			n++
		}
	}
	return n
}

// found collects what Match finds.
type found struct {
	rows map[int][]uint32
	bad  map[int][]uint32
	fail map[int]error
}

func newFound() *found {
	return &found{map[int][]uint32{}, map[int][]uint32{}, map[int]error{}}
}

func (f *found) Rows(items []Item) {
	for _, it := range items {
		if len(it.Rows) > 0 {
			f.rows[int(it.Rule)] = slices.Clone(it.Rows)
		}
	}
}
func (f *found) RowError(rule int, row uint32, err error) {
	f.bad[rule] = append(f.bad[rule], row)
}
func (f *found) Alone(int)                  {}
func (f *found) Done(int)                   {}
func (f *found) Failed(rule int, err error) { f.fail[rule] = err }

// oneByOne evaluates a condition by itself, those of its conjuncts that cannot fail first.
func oneByOne(t testing.TB, cond expr.Expr, b *batch.Batch, sel []uint32) (rows, bad []uint32) {
	var first, last []expr.Expr
	for _, c := range conjuncts(cond, false, nil) {
		if safe(c) {
			first = append(first, c)
		} else {
			last = append(last, c)
		}
	}
	ev, err := expr.Compile(&expr.And{Args: append(first, last...)})
	if err != nil {
		t.Fatal(err)
	}
	rows, err = ev.Filter(&expr.Ctx{Tables: tables, RowError: func(row uint32, _ error) { bad = append(bad, row) }}, b, sel, nil)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(bad)
	return rows, bad
}

// TestEqualsOneByOne: the index finds for each of many random rules exactly the rows, and the row errors, that the rule finds alone.
func TestEqualsOneByOne(t *testing.T) {
	defer func(n, after int) { dictEntries, decideAfter = n, after }(dictEntries, decideAfter)
	made, matches, failures, scans, absent := map[string]int{}, 0, 0, 0, 0
	for seed := range uint64(40) {
		g := newGen(t, seed)
		conds := make([]expr.Expr, 1+g.IntN(120))
		list := make([]*Predicate, len(conds))
		for i := range conds {
			conds[i] = g.cond(g.IntN(3))
			list[i] = New(conds[i], nil)
		}
		est := NewEstimates(nil)
		if seed%2 == 1 {
			est = NewEstimates(g.rows(100))
		}
		x := Build(schema, list, est)
		scans += x.Scans()
		m := x.NewMatcher()
		// Small bounds let the memory of values be emptied in the middle of batches, and given up.
		dictEntries, decideAfter = []int{4096, 64, 8}[seed%3], []int{4096, 100}[seed%2]
		for range 4 {
			b := g.rows(200 + g.IntN(300))
			sel := batch.All(b.N)
			if g.IntN(2) == 0 {
				sel = slices.DeleteFunc(slices.Clone(sel), func(uint32) bool { return g.IntN(3) == 0 })
			}
			skip := make([]uint64, (len(conds)+63)/64)
			often := 1 + g.IntN(9)
			for i := range conds {
				if g.IntN(10) < often {
					skip[i/64] |= 1 << (i % 64)
				}
			}
			absent += dropColumns(b, conds, skip)
			got := newFound()
			m.Match(&expr.Ctx{Tables: tables}, b, sel, skip, got)
			if len(got.fail) > 0 {
				t.Fatal(got.fail)
			}
			for i, c := range conds {
				var rows, bad []uint32
				if skip[i/64]&(1<<(i%64)) == 0 {
					rows, bad = oneByOne(t, c, b, sel)
				}
				slices.Sort(got.bad[i])
				if !slices.Equal(got.rows[i], rows) || !slices.Equal(got.bad[i], bad) {
					t.Fatalf("seed %d, %s:\n got %v, bad %v\nwant %v, bad %v", seed, c, got.rows[i], got.bad[i], rows, bad)
				}
				matches, failures = matches+len(rows), failures+len(bad)
			}
		}
		for k, n := range g.made {
			made[k] += n
		}
	}
	if len(made) < 17 || matches < 10_000 || failures < 100 || scans < 100 || absent < 20 {
		t.Fatalf("the rules were too plain: %v, %d matches, %d row errors, %d scans, %d columns absent", slices.Sorted(maps.Keys(made)), matches, failures, scans, absent)
	}
}

// term is a condition from outside that counts how often it is asked.
type term struct {
	asked int
	fail  error
	odd   bool
}

func (f *term) Filter(ctx *expr.Ctx, _ *batch.Batch, sel, dst []uint32) ([]uint32, error) {
	f.asked += len(sel)
	for _, row := range sel {
		switch {
		case f.odd && row%7 == 0:
			ctx.RowError(row, errors.New("seven"))
		case row%2 == 0:
			dst = append(dst, row)
		}
	}
	return dst, f.fail
}

// TestSharedTerms: a term that many rules have is asked once for each row that at least one of them wants to know of.
func TestSharedTerms(t *testing.T) {
	g := newGen(t, 5)
	b := g.rows(500)
	f := &term{odd: true}
	made := 0
	terms := []Term{{Key: "even", New: func() (Filterer, error) { made++; return f, nil }}}
	var list []*Predicate
	wanted := map[uint32]bool{}
	for i := range 200 {
		c := &expr.Compare{Op: expr.EQ, L: column(colN), R: &expr.Const{Val: types.NewInt(types.Int8, int64(i%5))}}
		list = append(list, New(c, terms))
	}
	for row := range b.N {
		if v := &b.Cols[colN]; !v.IsNull(row) && v.I64[row] >= 0 && v.I64[row] < 5 {
			wanted[uint32(row)] = true
		}
	}
	got := newFound()
	Build(schema, list, NewEstimates(nil)).NewMatcher().Match(&expr.Ctx{}, b, batch.All(b.N), nil, got)
	if made != 1 || f.asked != len(wanted) || f.asked == 0 {
		t.Errorf("made %d times, asked about %d rows of %d", made, f.asked, len(wanted))
	}
	for i := range list {
		n, bad := 0, 0
		for row := range wanted {
			switch {
			case b.Cols[colN].I64[row] != int64(i%5):
			case row%7 == 0:
				bad++
			case row%2 == 0:
				n++
			}
		}
		if len(got.rows[i]) != n || len(got.bad[i]) != bad {
			t.Fatalf("rule %d: %d rows, %d bad; want %d, %d", i, len(got.rows[i]), len(got.bad[i]), n, bad)
		}
	}
}

// oddList is an IOC list of the texts of odd length.
type oddList struct{ asked *int }

func (l *oddList) Match(_ []string, v *batch.Vec, sel, dst []uint32) ([]uint32, error) {
	for _, row := range sel {
		*l.asked++
		if !v.IsNull(int(row)) && len(v.Bytes(int(row)))%2 == 1 {
			dst = append(dst, row)
		}
	}
	return dst, nil
}

// evenList is another version of it.
type evenList struct{}

func (evenList) Match(_ []string, v *batch.Vec, sel, dst []uint32) ([]uint32, error) {
	for _, row := range sel {
		if !v.IsNull(int(row)) && len(v.Bytes(int(row)))%2 == 0 {
			dst = append(dst, row)
		}
	}
	return dst, nil
}

// TestListsOfTheEpoch: values that were asked about are not asked about again, until the lists change.
func TestListsOfTheEpoch(t *testing.T) {
	defer func(n int) { dictEntries = n }(dictEntries)
	for _, dictEntries = range []int{4096, 16} {
		g := newGen(t, 11)
		asked := 0
		var list []*Predicate
		conds := []expr.Expr{&expr.InIOC{X: column(colImage), Lists: []string{"l"}}, &expr.InIOC{X: column(colImage), Lists: []string{"l"}, Not: true}}
		for _, c := range conds {
			list = append(list, New(c, nil), New(and(c, compareN(3)), nil))
		}
		m := Build(schema, list, NewEstimates(nil)).NewMatcher()
		odd, even, rows := &oddList{&asked}, &evenList{}, 0
		for i := range 30 {
			lists := expr.Matcher(odd)
			if i%10 > 6 {
				lists = even
			}
			b := g.rows(300)
			rows += b.N
			got := newFound()
			m.Match(&expr.Ctx{IOC: lists}, b, batch.All(b.N), nil, got)
			for r := range list {
				var want []uint32
				for row := range uint32(b.N) {
					v, n := &b.Cols[colImage], &b.Cols[colN]
					in := (len(v.Bytes(int(row)))%2 == 1) == (i%10 <= 6)
					if !v.IsNull(int(row)) && in == (r < 2) && (r%2 == 0 || n.I64[row] == 3 && !n.IsNull(int(row))) {
						want = append(want, row)
					}
				}
				if !slices.Equal(got.rows[r], want) {
					t.Fatalf("rule %d, batch %d: %v, not %v", r, i, got.rows[r], want)
				}
			}
		}
		if dictEntries > 1000 && asked > rows*9/10 { // 1.2 times, if nothing were remembered
			t.Errorf("asked %d times about %d rows", asked, rows)
		}
	}
}

// TestFailures: a term that fails fails the rules that have it, and no other.
func TestFailures(t *testing.T) {
	b := newGen(t, 6).rows(50)
	bad := errors.New("bad")
	list := []*Predicate{
		New(nil, nil),
		New(nil, []Term{{Key: "a", New: func() (Filterer, error) { return &term{fail: bad}, nil }}}),
		New(nil, []Term{{Key: "b", New: func() (Filterer, error) { return nil, bad }}}),
		New(nil, []Term{{Key: "a"}, {Key: "c"}}),
	}
	got := newFound()
	Build(schema, list, NewEstimates(nil)).NewMatcher().Match(&expr.Ctx{}, b, batch.All(b.N), nil, got)
	if len(got.rows[0]) != b.N || len(got.rows) != 1 || len(got.fail) != 3 {
		t.Errorf("%d rules with rows, failed %v", len(got.rows), got.fail)
	}
}

func compareN(n int64) expr.Expr {
	return &expr.Compare{Op: expr.EQ, L: column(colN), R: &expr.Const{Val: types.NewInt(types.Int8, n)}}
}

func like(col int, pattern string, insensitive bool) expr.Expr {
	return &expr.Like{X: column(col), Pattern: text(pattern), Insensitive: insensitive}
}

func and(list ...expr.Expr) expr.Expr { return &expr.And{Args: list} }
