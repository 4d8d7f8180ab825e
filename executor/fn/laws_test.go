package fn

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestTable checks what every entry must have.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range Builtins() {
		key := fmt.Sprint(d.Name, d.Args)
		if seen[key] {
			t.Errorf("%s is there twice", key)
		}
		seen[key] = true
		if d.Name == "" || d.Eval == nil || d.Doc == "" {
			t.Errorf("%s lacks name, Eval or Doc", key)
		}
		if d.Variadic && len(d.Args) == 0 {
			t.Errorf("%s is variadic without arguments", key)
		}
		if d.Ret.Kind == types.Unknown && d.RetOf == nil || d.Ret == tAnyArray && d.RetOf == nil {
			t.Errorf("%s has no result type", key)
		}
	}
	for _, want := range []string{"lower", "extract", "date_trunc", "->>", "<<=", "now", "array_length", "to_char", "random"} {
		if len(ByName(Builtins(), want)) == 0 {
			t.Errorf("no %s", want)
		}
	}
}

// TestVectorsAgree runs every kernel on the calls of testdata and compares with Eval, row by row.
func TestVectorsAgree(t *testing.T) {
	defs := Builtins()
	byDef := map[*Def][]values{}
	for _, c := range readCalls(t) {
		if d := resolve(defs, c.name, c.args); d != nil && d.Vector != nil {
			byDef[d] = append(byDef[d], c.args)
		}
	}
	if len(byDef) < 10 {
		t.Fatalf("only %d kernels met", len(byDef))
	}
	for d, rows := range byDef {
		checkVector(t, d, rows)
		checkVector(t, d, rows[:1])
	}
}

func checkVector(t *testing.T, d *Def, rows []values) {
	t.Helper()
	ctx := &Ctx{}
	in := make([]*batch.Vec, len(d.Args))
	var want values
	for i := range in {
		in[i] = &batch.Vec{}
		in[i].Reset(d.Args[i])
	}
	for n, args := range rows {
		v, err := d.Eval(ctx, args)
		if err != nil {
			continue
		}
		for i := range in {
			if n%5 == 4 && i == n/5%len(in) {
				in[i].AppendNull()
				v = types.Null(d.Ret)
			} else {
				in[i].AppendValue(args[i])
			}
		}
		want = append(want, v)
	}
	var out batch.Vec
	out.Reset(d.Ret)
	if err := d.Vector(ctx, in, len(want), &out); err != nil {
		t.Errorf("%s %v: %v", d.Name, d.Args, err)
		return
	}
	for i, w := range want {
		got := out.Value(i)
		if got.Null != w.Null || !w.Null && !types.Equal(got, w) {
			t.Errorf("%s %v row %d: %s, want %s", d.Name, d.Args, i, got.Text(), w.Text())
		}
	}
}

// TestCalledWithNull: functions that see NULLs take all of them without failing badly.
func TestCalledWithNull(t *testing.T) {
	ctx := &Ctx{Session: &Session{User: "u", Database: "d", Settings: func(string) (string, bool) { return "", false }}}
	for _, d := range Builtins() {
		if !d.CalledOnNull {
			continue
		}
		var in values
		for _, a := range d.Args {
			if a == tAnyArray {
				a = tTextArray
			} else if a == tAny {
				a = tText
			}
			in = append(in, types.Null(a))
		}
		_, _ = d.Eval(ctx, in) // must not panic
	}
}

func TestSessionFunctions(t *testing.T) {
	s := &Session{User: "ann", Database: "vigil", BackendPID: 7, Settings: func(n string) (string, bool) { return "UTC", n == "timezone" }}
	for name, want := range map[string]string{"current_user": "ann", "current_database": "vigil", "current_schema": "public", "pg_backend_pid": "7"} {
		v, err := ByName(Builtins(), name)[0].Eval(&Ctx{Session: s}, nil)
		if err != nil || v.Text() != want {
			t.Errorf("%s = %s, %v", name, v.Text(), err)
		}
		if _, err := ByName(Builtins(), name)[0].Eval(&Ctx{}, nil); err == nil {
			t.Errorf("%s in a continuous query", name)
		}
	}
	v, err := currentSetting(&Ctx{Session: s}, values{types.NewText("timezone")})
	if err != nil || v.S != "UTC" {
		t.Error(v, err)
	}
	if _, err := currentSetting(&Ctx{Session: s}, values{types.NewText("nope")}); err == nil || !strings.Contains(err.Error(), `unrecognized configuration parameter "nope"`) {
		t.Error(err)
	}
}

func TestPatternsAreBounded(t *testing.T) {
	var p patterns
	for i := range 3 * patternsMax {
		if _, err := p.get(fmt.Sprint("a", i), ""); err != nil {
			t.Fatal(err)
		}
	}
	if len(p.m) > patternsMax {
		t.Errorf("%d patterns are kept", len(p.m))
	}
	if _, err := p.get(strings.Repeat("a", patternBytes+1), ""); err == nil {
		t.Error("a pattern of any length is compiled")
	}
}

func FuzzRegex(f *testing.F) {
	f.Add(`a{1,2}[[:alpha:]\]x]`, "ix")
	f.Fuzz(func(t *testing.T, pattern, flags string) {
		re, err := compileRegex(pattern, flags)
		if err == nil && re == nil {
			t.Fatal("neither pattern nor error")
		}
	})
}
