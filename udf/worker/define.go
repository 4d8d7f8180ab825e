package worker

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/parser"

	"github.com/vigil-sql/vigil/udf/wire"
)

// sourceName is what stack frames of a user's function are recognized by.
const sourceName = "function"

var paramName = regexp.MustCompile(`^[\p{L}_$][\p{L}\p{N}_$]*$`)

// compile checks a definition and compiles it: the body of a strict function with the parameters' names. Nothing of the
// user's runs, but the compiler folds constants, so this too can take for ever or all memory.
func compile(d *wire.Definition) (*goja.Program, *wire.Refusal) {
	if len(d.Body) > wire.SourceMax {
		return nil, &wire.Refusal{Message: fmt.Sprintf("the body is longer than %d bytes", wire.SourceMax)}
	}
	names := make([]string, len(d.Params))
	for i, p := range d.Params {
		if !paramName.MatchString(p.Name) {
			return nil, &wire.Refusal{Message: fmt.Sprintf("parameter %q is not a JavaScript name", p.Name)}
		}
		names[i] = p.Name
	}
	// Alone between parentheses the body must be one function: text such as "}, evil(), function () {" is not. It starts
	// on the second line.
	literal := "(function (" + strings.Join(names, ", ") + ") {\n" + d.Body + "\n})"
	prg, refusal := parse(literal)
	if refusal != nil {
		if last := strings.Count(d.Body, "\n") + 1; refusal.Line > last {
			refusal = &wire.Refusal{Message: "SyntaxError: unexpected end of the body, or a brace too many in it", Line: last,
				Column: len(d.Body) - strings.LastIndexByte(d.Body, '\n')}
		}
		return nil, refusal
	}
	if !isOneFunction(prg) {
		return nil, &wire.Refusal{Message: "SyntaxError: the body does not end where the function ends: look for a brace too many"}
	}
	if hasAsync(reflect.ValueOf(prg.Body), map[uintptr]bool{}) {
		return nil, &wire.Refusal{Message: "async functions and await are not supported: a function answers when it returns"}
	}
	// The outer function gives the body a console of its own, so that the global object has standard names only.
	if prg, refusal = parse("(function (console) { return " + literal + " })"); refusal != nil {
		return nil, refusal
	}
	out, err := goja.CompileAST(prg, true)
	if err != nil {
		return nil, compileRefusal(err)
	}
	return out, nil
}

// parse never follows source maps: they name files.
func parse(src string) (*ast.Program, *wire.Refusal) {
	prg, err := parser.ParseFile(nil, sourceName, src, 0, parser.WithDisableSourceMaps)
	if err == nil {
		return prg, nil
	}
	var list parser.ErrorList
	if errors.As(err, &list) && len(list) > 0 {
		e := list[0]
		return nil, &wire.Refusal{Message: "SyntaxError: " + e.Message, Line: e.Position.Line - 1, Column: e.Position.Column}
	}
	return nil, &wire.Refusal{Message: "SyntaxError: " + err.Error()}
}

func compileRefusal(err error) *wire.Refusal {
	var syntax *goja.CompilerSyntaxError
	if errors.As(err, &syntax) && syntax.File != nil {
		p := syntax.File.Position(syntax.Offset)
		return &wire.Refusal{Message: "SyntaxError: " + syntax.Message, Line: p.Line - 1, Column: p.Column}
	}
	return &wire.Refusal{Message: err.Error()}
}

func isOneFunction(prg *ast.Program) bool {
	if len(prg.Body) != 1 {
		return false
	}
	s, ok := prg.Body[0].(*ast.ExpressionStatement)
	if !ok {
		return false
	}
	_, ok = s.Expression.(*ast.FunctionLiteral)
	return ok
}

// hasAsync walks a syntax tree. Its depth is that of the parser before it, which the size of the source bounds.
func hasAsync(v reflect.Value, seen map[uintptr]bool) bool {
	switch v.Kind() {
	case reflect.Interface:
		return !v.IsNil() && hasAsync(v.Elem(), seen)
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] || v.Type().Elem().PkgPath() != reflect.TypeFor[ast.Program]().PkgPath() {
			return false
		}
		seen[v.Pointer()] = true
		switch n := v.Interface().(type) {
		case *ast.AwaitExpression:
			return true
		case *ast.FunctionLiteral:
			if n.Async {
				return true
			}
		case *ast.ArrowFunctionLiteral:
			if n.Async {
				return true
			}
		}
		return hasAsync(v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && hasAsync(v.Field(i), seen) {
				return true
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if hasAsync(v.Index(i), seen) {
				return true
			}
		}
	}
	return false
}
