package fn

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

func TestPathsAreBounded(t *testing.T) {
	if _, err := parsePath(strings.Repeat("-", pathDepthMax+1) + "1"); sqlerr.CodeOf(err) != "54001" {
		t.Errorf("a path of any depth is read: %v", err)
	}
	if _, err := parsePath(strings.Repeat("(", 4*pathDepthMax) + "1"); err == nil {
		t.Error("parentheses of any depth are read")
	}
	doc := "[" + strings.Repeat("[0,0,0,0,0,0,0,0],", 20000) + "0]"
	if _, err := runPath(&Ctx{}, doc, "$.**.**.**.**", nil); err != nil && sqlerr.CodeOf(err) != sqlerr.ProgramLimitExceeded {
		t.Error(err)
	}
}

func FuzzPath(f *testing.F) {
	f.Add(`$.a[*] ? (@.b > 1 && @ like_regex "x" flag "i").size()`, `{"a":[{"b":2}]}`)
	f.Add(`strict $.**{1 to last}[0 to last - 1].keyvalue()`, `[[1],{"a":null}]`)
	f.Fuzz(func(t *testing.T, path, doc string) {
		p, err := parsePath(path)
		if (p == nil) == (err == nil) {
			t.Fatal("neither path nor error")
		}
		_, _ = runPath(&Ctx{}, doc, path, nil) // must not panic
	})
}
