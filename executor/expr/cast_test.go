package expr

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func lines(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// TestCanCastIsPgCast compares with the rows of Postgres 15's pg_cast between types that vigil has.
func TestCanCastIsPgCast(t *testing.T) {
	levels := map[string]CastLevel{"i": Implicit, "a": Assignment, "e": Explicit}
	n := 0
	for _, l := range lines(t, "pg_cast15.txt") {
		var from, to uint32
		var ctx string
		if _, err := fmt.Sscan(l, &from, &to, &ctx); err != nil {
			t.Fatal(err)
		}
		f, ok1 := types.FromOID(from)
		g, ok2 := types.FromOID(to)
		if !ok1 || !ok2 {
			continue
		}
		n++
		level := levels[ctx]
		if !CanCast(f, g, level) {
			t.Errorf("%s to %s must cast at level %d", f, g, level)
		}
		if level > Implicit && CanCast(f, g, level-1) {
			t.Errorf("%s to %s must not cast below level %d", f, g, level)
		}
	}
	if n < 100 {
		t.Fatalf("only %d casts", n)
	}
	for _, c := range []struct {
		from, to types.Kind
		level    CastLevel
		want     bool
	}{
		{types.Int4, types.Text, Implicit, false}, {types.Int4, types.Text, Assignment, true}, {types.Text, types.Int4, Assignment, false},
		{types.Text, types.Inet, Explicit, true}, {types.Inet, types.Int4, Explicit, false}, {types.Unknown, types.Inet, Implicit, true},
	} {
		if CanCast(types.T(c.from), types.T(c.to), c.level) != c.want {
			t.Errorf("cast %v: not %v", c, c.want)
		}
	}
}

func castType(t *testing.T, name string) types.Type {
	t.Helper()
	mods := map[string]int32{"varchar(3)": types.VarcharMod(3), "char(4)": types.VarcharMod(4), "char(5)": types.VarcharMod(5), "numeric(5,2)": types.NumericMod(5, 2)}
	base, _, _ := strings.Cut(name, "(")
	elem, isArray := strings.CutSuffix(base, "[]")
	k, ok := types.KindByName(elem)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	if isArray {
		return types.ArrayOf(k)
	}
	return types.Type{Kind: k, Mod: mods[name]}
}

// TestPostgresCasts compares values: [from, text, to, "=", text] or [from, text, to, "!", SQLSTATE, message].
func TestPostgresCasts(t *testing.T) {
	n := 0
	for _, l := range lines(t, "casts15.jsonl") {
		var c [6]*string
		if err := json.NewDecoder(bufio.NewReader(strings.NewReader(l))).Decode(&c); err != nil {
			t.Fatal(err)
		}
		from, to := castType(t, *c[0]), castType(t, *c[2])
		v, err := types.ParseText(from, *c[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		n++
		var got types.Value
		if can := CanCast(from, to, Explicit); !can {
			err = cannotCast(from, to)
		} else {
			got, err = EvalConst(nil, &Cast{X: &Const{Val: v}, Typ: to, Explicit: true})
		}
		if err != nil {
			e := sqlerr.As(err)
			if *c[3] != "!" || string(e.Code) != *c[4] || e.Message != *c[5] {
				t.Errorf("%s\n   got %s %s", l, e.Code, e.Message)
			}
		} else if *c[3] != "=" || got.Text() != *c[4] {
			t.Errorf("%s\n   got %q", l, got.Text())
		}
	}
	if n < 1000 {
		t.Fatalf("only %d casts", n)
	}
}

type fakeCatalog struct{}

func (fakeCatalog) RegLookup(kind types.Kind, name string) (int64, error) {
	if kind == types.RegClass && name == "auth" {
		return 16400, nil
	}
	return 0, sqlerr.New(sqlerr.UndefinedTable, "relation \"%s\" does not exist", name)
}
func (fakeCatalog) RegName(types.Kind, int64) string { return "auth" }

func TestRegCasts(t *testing.T) {
	ctx := &Ctx{Ctx: fn.Ctx{Session: &fn.Session{Catalog: fakeCatalog{}}}}
	to := func(v types.Value, k types.Kind) (types.Value, error) {
		return EvalConst(ctx, &Cast{X: &Const{Val: v}, Typ: types.T(k), Explicit: true})
	}
	v, err := to(types.NewText("auth"), types.RegClass)
	if err != nil || v.I != 16400 {
		t.Fatal(v, err)
	}
	if s, err := to(v, types.Text); err != nil || s.S != "auth" {
		t.Error(s, err)
	}
	if o, err := to(v, types.OID); err != nil || o.I != 16400 {
		t.Error(o, err)
	}
	if _, err := to(types.NewText("nope"), types.RegClass); sqlerr.CodeOf(err) != sqlerr.UndefinedTable {
		t.Error(err)
	}
}
