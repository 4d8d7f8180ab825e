package arch

import (
	"fmt"
	"go/ast"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/source"
)

// TestTree checks the repository.
func TestTree(t *testing.T) {
	for _, v := range check(t, source.Root(t)) {
		t.Error(v)
	}
}

// TestEveryCheckFires runs the checks on trees that break one rule each.
func TestEveryCheckFires(t *testing.T) {
	for _, f := range source.Fixtures(t, "testdata/bad/*.txt") {
		t.Run(f.Name, func(t *testing.T) {
			got := check(t, f.Tree)
			if len(f.Want) == 0 || !slices.Equal(got, f.Want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(f.Want, "\n  "))
			}
		})
	}
}

// TestTableFlowsOneWay: a row names only rows above it, each package once.
func TestTableFlowsOneWay(t *testing.T) {
	for _, v := range checkTable(table) {
		t.Error(v)
	}
	bad := []row{{"a", []string{"b"}}, {"b", []string{"a", "c"}}, {"b", nil}}
	want := []string{
		"table: a may import b, which is no row above it",
		"table: b may import c, which is no row above it",
		"table: b has two rows",
	}
	if got := checkTable(bad); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestExceptionsAreNeeded: a file that may draw random numbers does.
func TestExceptionsAreNeeded(t *testing.T) {
	files, err := source.Load(source.Root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range volatile {
		if !slices.ContainsFunc(files, func(f *source.File) bool {
			return f.Path == p && slices.ContainsFunc(f.Imports(), isRandom)
		}) {
			t.Errorf("%s draws no random numbers any more: take it off the list", p)
		}
	}
}

func isRandom(imp string) bool {
	return imp == "math/rand" || imp == "math/rand/v2" || imp == "crypto/rand"
}

func checkTable(table []row) []string {
	var violations []string
	above := map[string]bool{anything: true}
	for _, r := range table {
		for _, i := range r.imports {
			if !above[i] {
				violations = append(violations, fmt.Sprintf("table: %s may import %s, which is no row above it", r.pkg, i))
			}
		}
		if above[r.pkg] {
			violations = append(violations, fmt.Sprintf("table: %s has two rows", r.pkg))
		}
		above[r.pkg] = true
	}
	return violations
}

// check returns the violations of a tree, sorted.
func check(t *testing.T, root fs.FS) []string {
	t.Helper()
	files, err := source.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	gomod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	c := checker{modules: modules(string(gomod)), users: map[string]map[string]bool{}, found: map[string]bool{}}
	for _, f := range files {
		c.file(f)
	}
	c.sharedModules()
	return slices.Sorted(maps.Keys(c.found))
}

// modules returns the required modules of a go.mod.
func modules(gomod string) []string {
	var list []string
	for line := range strings.Lines(gomod) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			list = append(list, fields[0])
		}
	}
	return list
}

type checker struct {
	modules []string
	users   map[string]map[string]bool // module -> packages that import it outside tests
	found   map[string]bool
}

func (c *checker) report(format string, args ...any) { c.found[fmt.Sprintf(format, args...)] = true }

// file checks one file. Tests may reach across.
func (c *checker) file(f *source.File) {
	if f.InTests() {
		return
	}
	i := slices.IndexFunc(table, func(r row) bool { return r.pkg == f.Dir })
	if i < 0 {
		c.report("%s: the package has no row in the table", f.Dir)
	}
	for _, imp := range f.Imports() {
		if ours, ok := strings.CutPrefix(imp, source.Module+"/"); ok {
			if i >= 0 && !slices.Contains(table[i].imports, ours) && !(slices.Contains(table[i].imports, anything) && isRow(ours)) {
				c.report("%s: must not import %s", f.Dir, ours)
			}
			continue
		}
		c.foreign(f, imp)
	}
	if slices.Contains(deterministic, f.Dir) {
		c.determinism(f)
	}
}

func isRow(pkg string) bool {
	return slices.ContainsFunc(table, func(r row) bool { return r.pkg == pkg })
}

// foreign checks an import that is not ours.
func (c *checker) foreign(f *source.File, imp string) {
	if imp == "C" {
		c.report("%s: must not use cgo", f.Dir)
	}
	module := ""
	for _, m := range c.modules { // the longest that is a prefix
		if (imp == m || strings.HasPrefix(imp, m+"/")) && len(m) > len(module) {
			module = m
		}
	}
	if module == "" {
		return // the standard library; a module that go.mod lacks does not compile
	}
	if c.users[module] == nil {
		c.users[module] = map[string]bool{}
	}
	c.users[module][f.Dir] = true
	switch owner := owners[module]; owner {
	case "", f.Dir:
	case testsOnly:
		c.report("%s: must not import %s, which is for tests", f.Dir, module)
	default:
		c.report("%s: must not import %s, which belongs to %s", f.Dir, module, owner)
	}
}

// sharedModules reports modules without a named owner that several packages import.
func (c *checker) sharedModules() {
	for module, users := range c.users {
		if owners[module] == "" && len(users) > 1 && !slices.Contains(shared, module) {
			c.report("%s: is imported by more than one package: %s", module, strings.Join(slices.Sorted(maps.Keys(users)), ", "))
		}
	}
}

// clock are the functions of package time that read the clock or wait for it.
var clock = []string{"Now", "Since", "Until", "After", "AfterFunc", "NewTimer", "NewTicker", "Tick", "Sleep"}

// determinism checks that a file reads no clock, draws no random numbers and starts no goroutine.
func (c *checker) determinism(f *source.File) {
	for _, imp := range f.Imports() {
		if slices.Contains(volatile, f.Path) {
			break
		}
		if isRandom(imp) {
			c.report("%s: must be deterministic and imports %s", f.Path, imp)
		}
	}
	ast.Inspect(f.AST, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.report("%s:%d: must be single-threaded and starts a goroutine", f.Path, f.Line(n.Pos()))
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Name == "time" && x.Obj == nil && slices.Contains(clock, n.Sel.Name) {
				c.report("%s:%d: must be deterministic and uses time.%s", f.Path, f.Line(n.Pos()), n.Sel.Name)
			}
		}
		return true
	})
}
