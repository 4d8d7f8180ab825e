package agg

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// exampleShape is the only form of SQL that examples of aggregates use: one call over one column x of literals.
var exampleShape = regexp.MustCompile(`^SELECT (\w+)\((DISTINCT )?(\*|x)(?:, '([^']*)')?\) FROM \(VALUES (.*)\) v\(x\)$`)

// literalShape is a literal with an optional cast.
var literalShape = regexp.MustCompile(`^('[^']*'|NULL|true|false|-?[0-9.]+)(?:::(.+))?$`)

// TestExamples runs the examples of the aggregates whose arguments the planner leaves as they are; package planner runs all.
// Each aggregate has some.
func TestExamples(t *testing.T) {
	for _, d := range Builtins() {
		if d.Doc == "" || len(d.Examples) == 0 {
			t.Errorf("%s has no doc or no examples", d.Name)
		}
		for _, e := range d.Examples {
			if d.Within != nil || d.Params != nil || d.Through != "" || strings.Contains(e.SQL, " v(x, ") {
				continue
			}
			if got := runExample(t, d, e.SQL); got != e.Want {
				t.Errorf("%s\n gives %s, want %s", e.SQL, got, e.Want)
			}
		}
	}
}

func runExample(t *testing.T, d Def, sql string) string {
	t.Helper()
	m := exampleShape.FindStringSubmatch(sql)
	if m == nil || m[1] != d.Name {
		t.Fatalf("example of %s is not of the known shape: %s", d.Name, sql)
	}
	rows := strings.Split(strings.TrimSuffix(strings.TrimPrefix(m[5], "("), ")"), "), (")
	col := exampleColumn(t, rows)
	cols := []*batch.Vec{col}
	if m[4] != "" || strings.Contains(sql, ", '')") {
		delimiter := new(batch.Vec)
		delimiter.Reset(types.T(types.Text))
		for range rows {
			delimiter.AppendString(m[4])
		}
		cols = append(cols, delimiter)
	}
	if m[3] == "*" {
		cols = nil
	}
	args := make([]types.Type, len(cols))
	for i, c := range cols {
		args[i] = c.Type
	}
	k, ok := d.Bind(args, m[2] != "")
	if !ok {
		t.Fatalf("%s does not take %v: %s", d.Name, args, sql)
	}
	s := &Slab{Stride: k.Words()}
	s.Grow(1)
	if err := k.Update(s, 0, make([]uint32, len(rows)), cols); err != nil {
		t.Fatal(err)
	}
	v, err := k.Result(s, 0, 0)
	if err != nil {
		return err.Error()
	}
	return v.Text()
}

// exampleColumn reads literals, of the type that the first of them with the most general type has.
func exampleColumn(t *testing.T, literals []string) *batch.Vec {
	t.Helper()
	kind := types.Unknown
	rank := map[types.Kind]int{types.Unknown: 0, types.Int4: 1, types.Int8: 2, types.Numeric: 3}
	for _, lit := range literals {
		if k := literalKind(t, lit); kind == types.Unknown || rank[k] > rank[kind] {
			kind = k
		}
	}
	v := new(batch.Vec)
	v.Reset(types.T(kind))
	for _, lit := range literals {
		text := literalShape.FindStringSubmatch(lit)[1]
		if text == "NULL" {
			v.AppendNull()
			continue
		}
		x, err := types.ParseText(v.Type, strings.Trim(text, "'"), nil)
		if err != nil {
			t.Fatal(err)
		}
		v.AppendValue(x)
	}
	return v
}

func literalKind(t *testing.T, lit string) types.Kind {
	t.Helper()
	m := literalShape.FindStringSubmatch(lit)
	if m == nil {
		t.Fatalf("not a literal: %s", lit)
	}
	if m[2] != "" {
		k, ok := types.KindByName(m[2])
		if !ok {
			t.Fatalf("no type %s", m[2])
		}
		return k
	}
	switch {
	case m[1] == "NULL":
		return types.Unknown
	case m[1] == "true" || m[1] == "false":
		return types.Bool
	case m[1][0] == '\'':
		return types.Text
	case strings.Contains(m[1], "."):
		return types.Numeric
	}
	if n, err := strconv.ParseInt(m[1], 10, 64); err == nil && n == int64(int32(n)) {
		return types.Int4
	}
	return types.Int8
}
