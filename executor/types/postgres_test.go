package types

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// typeOf reads a type with an optional modifier and [].
func typeOf(t *testing.T, name string) Type {
	t.Helper()
	mods := map[string]int32{"varchar(5)": VarcharMod(5), "char(5)": VarcharMod(5), "numeric(6,2)": NumericMod(6, 2), "timestamp(3)": TimestampMod(3)}
	base, _, _ := strings.Cut(name, "(")
	elem, isArray := strings.CutSuffix(base, "[]")
	k, ok := KindByName(elem)
	if !ok {
		t.Fatalf("no type %q", name)
	}
	if isArray {
		return ArrayOf(k)
	}
	return Type{Kind: k, Mod: mods[name]}
}

// known lists the differences from Postgres that are meant: type, input -> why.
var known = map[[2]string]string{
	{"varchar(5)", "abcdef"}:               "input refuses what a cast cuts; the answers are of casts",
	{"varchar(5)", "éééééé"}:               "input refuses what a cast cuts; the answers are of casts",
	{"char(5)", "abcdef"}:                  "input refuses what a cast cuts; the answers are of casts",
	{"timestamp", "2024-01-02 03:04:05,5"}: "a comma before the fraction is ISO 8601, and common in logs",
	{"timestamp", "294276-12-31 23:59:59"}: "microseconds since 1970 reach a little less far than since 2000",
}

// TestPostgresForms compares with what Postgres 15 answered: [type, input, "=", text, binary] or [type, input, "!", SQLSTATE, message].
func TestPostgresForms(t *testing.T) {
	f, err := os.Open("testdata/postgres15.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for sc := bufio.NewScanner(f); sc.Scan(); n++ {
		var c [5]string
		if err := json.Unmarshal([]byte(sc.Text()), &c); err != nil {
			t.Fatal(err)
		}
		if known[[2]string{c[0], c[1]}] != "" {
			continue
		}
		checkForm(t, c)
	}
	if n < 450 {
		t.Fatalf("only %d cases", n)
	}
}

func TestLimits(t *testing.T) {
	long := strings.Repeat("9", 90000)
	for name, f := range map[string]func() (string, error){
		"exp":   func() (string, error) { return NumericExp("100000") },
		"power": func() (string, error) { return NumericPower("10", "90000") },
		"sqrt":  func() (string, error) { return NumericSqrt(long) },
		"jsonb": func() (string, error) { return CanonicalJSON("[" + strings.Repeat("1e99999,", 1000) + "1]") },
	} {
		if _, err := f(); sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
			t.Errorf("%s: %v", name, err)
		}
	}
	deep := strings.Repeat("[", jsonDepthMax+1) + strings.Repeat("]", jsonDepthMax+1)
	if err := CheckJSON(deep); sqlerr.CodeOf(err) != "54001" {
		t.Error(err)
	}
	if err := CheckJSON(deep[1 : len(deep)-1]); err != nil {
		t.Error(err)
	}
	if _, err := NumericLn(long); err != nil {
		t.Error(err)
	}
}

func checkForm(t *testing.T, c [5]string) {
	t.Helper()
	typ := typeOf(t, c[0])
	v, err := ParseText(typ, c[1], nil)
	if c[2] == "!" {
		if err == nil {
			t.Errorf("%s %q = %q, Postgres: %s %s", c[0], c[1], v.Text(), c[3], c[4])
		} else if e := sqlerr.As(err); string(e.Code) != c[3] || e.Message != c[4] {
			t.Errorf("%s %q: %s %s, Postgres: %s %s", c[0], c[1], e.Code, e.Message, c[3], c[4])
		}
		return
	}
	if err != nil {
		t.Errorf("%s %q: %v, Postgres: %q", c[0], c[1], err, c[3])
		return
	}
	if got := v.Text(); got != c[3] {
		t.Errorf("%s %q = %q, Postgres: %q", c[0], c[1], got, c[3])
	}
	bin := AppendBinary(nil, v)
	if got := hex.EncodeToString(bin); got != c[4] {
		t.Errorf("%s %q in binary = %s, Postgres: %s", c[0], c[1], got, c[4])
	}
	back, err := ParseBinary(typ, bin)
	if err != nil || back.Text() != c[3] {
		t.Errorf("%s %q through binary = %q, %v", c[0], c[1], back.Text(), err)
	}
}
