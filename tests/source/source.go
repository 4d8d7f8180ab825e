// Package source reads the Go files of a tree for tests that check how the code is written, and the small trees that
// prove that such a check fires.
package source

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// Module is the path of vigil's module.
const Module = "github.com/vigil-sql/vigil"

// File is one Go file. It is not type-checked, so a tree that does not compile can be read.
type File struct {
	Path string // slash-separated, from the root
	Dir  string // its directory, "." for the root
	Test bool   // _test.go
	Text []byte
	Fset *token.FileSet
	AST  *ast.File
}

// Imports returns the paths that the file imports.
func (f *File) Imports() []string {
	var list []string
	for _, spec := range f.AST.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// Line returns the line of a place in the file.
func (f *File) Line(p token.Pos) int { return f.Fset.Position(p).Line }

// InTests reports whether the file is a test, or belongs to the tree of tests.
func (f *File) InTests() bool { return f.Test || strings.HasPrefix(f.Path, "tests/") }

// Walk calls fn for every file below the root but those in testdata and in directories that start with a dot or "_", or
// that hold what is built.
func Walk(root fs.FS, fn func(path string, text []byte) error) error {
	return fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if p != "." && (name == "testdata" || name == "bin" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := fs.ReadFile(root, p)
		if err != nil {
			return err
		}
		return fn(p, text)
	})
}

// Load parses every Go file of a tree.
func Load(root fs.FS) ([]*File, error) {
	var files []*File
	fset := token.NewFileSet()
	err := Walk(root, func(p string, text []byte) error {
		if path.Ext(p) != ".go" {
			return nil
		}
		tree, err := parser.ParseFile(fset, p, text, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parse %s: %w", p, err)
		}
		files = append(files, &File{
			Path: p, Dir: path.Dir(p), Test: strings.HasSuffix(p, "_test.go"), Text: text, Fset: fset, AST: tree,
		})
		return nil
	})
	return files, err
}

// Root returns the repository, for a test two directories below it.
func Root(t *testing.T) fs.FS {
	t.Helper()
	if _, err := os.Stat("../../go.mod"); err != nil {
		t.Fatalf("the test must run in its directory: %v", err)
	}
	return os.DirFS("../..")
}

// Fixture is a small tree in one file: "-- path --" starts a file of the tree, "-- want --" the violations that it must
// give, one a line. Text before the first marker says what the fixture is about.
type Fixture struct {
	Name string
	Tree fstest.MapFS
	Want []string
}

// Fixtures reads the fixtures of a directory.
func Fixtures(t *testing.T, pattern string) []Fixture {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures match %s (%v)", pattern, err)
	}
	var list []Fixture
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, parseFixture(filepath.Base(p), string(text)))
	}
	return list
}

func parseFixture(name, text string) Fixture {
	f := Fixture{Name: name, Tree: fstest.MapFS{}}
	var current string
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "-- ") && strings.HasSuffix(trimmed, " --") {
			current = trimmed[3 : len(trimmed)-3]
			if current != "want" {
				f.Tree[current] = &fstest.MapFile{}
			}
			continue
		}
		switch {
		case current == "want" && trimmed != "":
			f.Want = append(f.Want, trimmed)
		case current != "" && current != "want":
			f.Tree[current].Data = append(f.Tree[current].Data, line...)
		}
	}
	return f
}
