package tidy

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/tests/source"
)

const (
	functionLinesMax = 70
	fileLinesMax     = 600
	paramsMax        = 5
)

// checkNames are the checks; each has a fixture.
var checkNames = []string{
	"lines-of-function", "lines-of-file", "params", "doc", "package-doc", "package-name", "word", "init", "sleep", "gofmt", "stub",
}

// violation is one rule broken in one place; key is how allow.txt names it.
type violation struct {
	check, path, name, text string
}

func (v violation) key() string    { return v.check + " " + v.path + " " + v.name }
func (v violation) String() string { return v.key() + ": " + v.text }

type checker struct {
	found      []violation
	documented map[string]bool // directories with a package comment
	// methods are those of the interfaces that a directory declares: their comment stands there.
	methods map[string]map[string]bool
}

func (c *checker) report(check, path, name, format string, args ...any) {
	c.found = append(c.found, violation{check, path, name, fmt.Sprintf(format, args...)})
}

// file runs the checks of one Go file. Tests may be long where a table is, and need no doc comments.
func (c *checker) file(f *source.File) {
	if n := bytes.Count(f.Text, []byte("\n")); n > fileLinesMax {
		c.report("lines-of-file", f.Path, "-", "%d lines, at most %d", n, fileLinesMax)
	}
	if formatted, err := format.Source(f.Text); err != nil || !bytes.Equal(formatted, f.Text) {
		c.report("gofmt", f.Path, "-", "run gofmt -w")
	}
	c.packageName(f)
	for _, d := range f.AST.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			c.function(f, fn)
		}
	}
	if f.Test {
		c.sleeps(f)
		return
	}
	if f.AST.Doc != nil {
		c.documented[f.Dir] = true
	}
	if f.AST.Name.Name != "main" {
		c.docs(f)
	}
	c.stubs(f)
}

// emptyNames say nothing about what a package provides.
var emptyNames = regexp.MustCompile(`^(utils?|common|commons|helpers?|managers?|core|base|misc|lib|shared|stuff)$`)

func (c *checker) packageName(f *source.File) {
	for _, name := range []string{strings.TrimSuffix(f.AST.Name.Name, "_test"), path.Base(f.Dir)} {
		if emptyNames.MatchString(name) {
			c.report("package-name", f.Dir, name, "a package is named after what it provides")
		}
	}
}

// function counts lines and parameters, and refuses init.
func (c *checker) function(f *source.File, fn *ast.FuncDecl) {
	name := functionName(fn)
	if fn.Recv == nil && fn.Name.Name == "init" {
		c.report("init", f.Path, name, "no init functions: a registry is a function that returns a table")
	}
	params := 0
	for _, p := range fn.Type.Params.List {
		params += max(1, len(p.Names))
	}
	if params > paramsMax {
		c.report("params", f.Path, name, "%d parameters, at most %d, then a struct", params, paramsMax)
	}
	lines := f.Line(fn.End()) - f.Line(fn.Pos()) + 1
	if lines > functionLinesMax && !f.Test && !isTable(fn) {
		c.report("lines-of-function", f.Path, name, "%d lines, at most %d", lines, functionLinesMax)
	}
}

// isTable reports whether a function only returns one composite literal, such as a registry.
func isTable(fn *ast.FuncDecl) bool {
	if fn.Body == nil || len(fn.Body.List) != 1 {
		return false
	}
	r, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(r.Results) != 1 {
		return false
	}
	_, ok = r.Results[0].(*ast.CompositeLit)
	return ok
}

// functionName is "F" or "T.M".
func functionName(fn *ast.FuncDecl) string {
	if r := receiver(fn); r != "" {
		return r + "." + fn.Name.Name
	}
	return fn.Name.Name
}

// receiver returns the name of a method's type.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return ""
	}
	t := fn.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// docs wants a comment on each exported identifier. Methods count when their type is exported and no interface of the
// package or of the standard library says what they do.
func (c *checker) docs(f *source.File) {
	for _, d := range f.AST.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			r := receiver(d)
			if r != "" && (!ast.IsExported(r) || c.methods[f.Dir][d.Name.Name] || slices.Contains(wellKnown, d.Name.Name)) {
				continue
			}
			if d.Name.IsExported() && d.Doc == nil {
				c.report("doc", f.Path, functionName(d), "an exported identifier has a doc comment")
			}
		case *ast.GenDecl:
			c.groupDocs(f, d)
		}
	}
}

// wellKnown are methods of the standard library's interfaces.
var wellKnown = []string{"String", "Error", "Unwrap", "Is", "Len", "Less", "Swap"}

// interfaces notes the methods of a file's interfaces.
func (c *checker) interfaces(f *source.File) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok {
			for _, m := range i.Methods.List {
				for _, name := range m.Names {
					if c.methods[f.Dir] == nil {
						c.methods[f.Dir] = map[string]bool{}
					}
					c.methods[f.Dir][name.Name] = true
				}
			}
		}
		return true
	})
}

// groupDocs accepts a comment on the group, on the line, or at its end.
func (c *checker) groupDocs(f *source.File, d *ast.GenDecl) {
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && s.Comment == nil && (d.Doc == nil || d.Lparen.IsValid()) {
				c.report("doc", f.Path, s.Name.Name, "an exported identifier has a doc comment")
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if n.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					c.report("doc", f.Path, n.Name, "an exported identifier has a doc comment")
				}
			}
		}
	}
}

// packageDocs wants a package comment in one file of each package that is not only tests.
func (c *checker) packageDocs(files []*source.File) {
	for _, f := range files {
		if !f.Test && !c.documented[f.Dir] {
			c.report("package-doc", f.Dir, "-", "no file has a package comment: what it owns and what it does not")
		}
	}
}

// stubs refuses functions that pretend: what is missing answers 0A000 with a hint.
func (c *checker) stubs(f *source.File) {
	ast.Inspect(f.AST, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) != 1 {
			return true
		}
		fn, ok := call.Fun.(*ast.Ident)
		lit, isLit := call.Args[0].(*ast.BasicLit)
		if ok && isLit && fn.Name == "panic" && lit.Kind == token.STRING && stubWords.MatchString(lit.Value) {
			c.report("stub", f.Path, "-", "line %d panics with %s: return sqlerr.NotSupported", f.Line(call.Pos()), lit.Value)
		}
		return true
	})
}

var stubWords = regexp.MustCompile(`(?i)todo|not implemented|unimplemented`)

// sleeps refuses time.Sleep in tests but inside a synctest bubble, where time is fake.
func (c *checker) sleeps(f *source.File) {
	var bubbles []*ast.CallExpr
	ast.Inspect(f.AST, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && isCall(call.Fun, "synctest", "Test") {
			bubbles = append(bubbles, call)
		}
		return true
	})
	ast.Inspect(f.AST, func(n ast.Node) bool {
		e, ok := n.(ast.Expr)
		if !ok || !isCall(e, "time", "Sleep") {
			return true
		}
		if !slices.ContainsFunc(bubbles, func(b *ast.CallExpr) bool { return b.Pos() <= e.Pos() && e.End() <= b.End() }) {
			c.report("sleep", f.Path, "-", "line %d sleeps: wait for the event, or use testing/synctest", f.Line(e.Pos()))
		}
		return true
	})
}

// isCall reports whether an expression is pkg.name.
func isCall(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}
