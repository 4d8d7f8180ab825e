package worker

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"

	"github.com/vigil-sql/vigil/udf/wire"
)

// The functions of an aggregate, in the order in which they come out of the compiled program. After them comes an array of
// everything that is named at the top.
const (
	aggInit = iota
	aggAccumulate
	aggMerge
	aggRetract
	aggFinish
	aggFunctions
)

// aggNames are their names: SQL.md's, and for the first one another that is in use.
var aggNames = [aggFunctions][]string{{"init", "create_state"}, {"accumulate"}, {"merge"}, {"retract"}, {"finish"}}

// aggregateHead stands before the body, which begins on the second line.
const aggregateHead = "(function (console) {\n"

// compileAggregate checks and compiles the definition of an aggregate: functions and constants, which nothing can change, so
// that what a call leaves behind is its state and nothing else.
func compileAggregate(d *wire.Definition) (*goja.Program, *wire.Refusal) {
	if len(d.Body) > wire.SourceMax {
		return nil, &wire.Refusal{Message: fmt.Sprintf("the body is longer than %d bytes", wire.SourceMax)}
	}
	src, prg, exports, refusal := parseExports(aggregateHead + d.Body + "\n})")
	if refusal != nil {
		return nil, refusal
	}
	if !isOneFunction(prg) {
		return nil, &wire.Refusal{Message: "SyntaxError: the body does not end where the function ends: look for a brace too many"}
	}
	if hasAsync(reflect.ValueOf(prg.Body), map[uintptr]bool{}) {
		return nil, &wire.Refusal{Message: "async functions and await are not supported: a function answers when it returns"}
	}
	top := &topLevel{file: prg.File, names: map[unistring.String]bool{}}
	body := prg.Body[0].(*ast.ExpressionStatement).Expression.(*ast.FunctionLiteral).Body.List
	if refusal := top.check(body, exports); refusal != nil {
		return nil, refusal
	}
	list, refusal := top.functions(d)
	if refusal != nil {
		return nil, refusal
	}
	if prg, refusal = parse(strings.TrimSuffix(src, "\n})") + "\nreturn " + list + "\n})"); refusal != nil {
		return nil, refusal
	}
	out, err := goja.CompileAST(prg, true)
	if err != nil {
		return nil, compileRefusal(err)
	}
	return out, nil
}

// exportsMax bounds the exports of an aggregate.
const exportsMax = 64

// parseExports parses a program that may say export, which the parser knows nothing of, in front of functions and constants:
// the word is blanked where the parser stumbles over it. exports are the places.
func parseExports(src string) (string, *ast.Program, []int, *wire.Refusal) {
	var exports []int
	for {
		prg, err := parser.ParseFile(nil, sourceName, src, 0, parser.WithDisableSourceMaps)
		if err == nil {
			return src, prg, exports, nil
		}
		var list parser.ErrorList
		at := -1
		if errors.As(err, &list) && len(list) > 0 {
			at = offsetOf(src, list[0].Position.Line, list[0].Position.Column)
		}
		const word = "export"
		if at < 0 || len(exports) == exportsMax || !strings.HasPrefix(src[at:], word) ||
			!strings.ContainsAny(src[at+len(word):min(len(src), at+len(word)+1)], " \t\r\n") {
			_, refusal := parse(src)
			return src, nil, nil, refusal
		}
		exports = append(exports, at+len(word))
		src = src[:at] + "      " + src[at+len(word):]
	}
}

// offsetOf is the byte offset of a line and column, both from 1; -1 when there is no such place.
func offsetOf(src string, line, column int) int {
	at := 0
	for ; line > 1; line-- {
		n := strings.IndexByte(src[at:], '\n')
		if n < 0 {
			return -1
		}
		at += n + 1
	}
	// Columns count characters.
	for i := range src[at:] {
		if column--; column == 0 {
			return at + i
		}
	}
	return -1
}

// topLevel is what stands at the top of an aggregate's body.
type topLevel struct {
	file  *file.File
	order []string
	names map[unistring.String]bool
	funcs map[string]*ast.FunctionLiteral
}

func (t *topLevel) refuse(at file.Idx, format string, args ...any) *wire.Refusal {
	p := t.file.Position(int(at) - t.file.Base())
	return &wire.Refusal{Message: fmt.Sprintf(format, args...), Line: p.Line - 1, Column: p.Column}
}

func (t *topLevel) check(body []ast.Statement, exports []int) *wire.Refusal {
	t.funcs = map[string]*ast.FunctionLiteral{}
	starts := map[int]bool{}
	for _, s := range body {
		starts[int(s.Idx0())-t.file.Base()] = true
		switch s := s.(type) {
		case *ast.FunctionDeclaration:
			t.name(s.Function.Name)
			t.funcs[s.Function.Name.Name.String()] = s.Function
		case *ast.LexicalDeclaration:
			if s.Token != token.CONST {
				return t.refuse(s.Idx0(), "the body of an aggregate has functions and constants only: what changes belongs into the state")
			}
			for _, b := range s.List {
				id, ok := b.Target.(*ast.Identifier)
				if !ok {
					return t.refuse(s.Idx0(), "a constant of an aggregate has a single name")
				}
				if !isConstant(b.Initializer) {
					return t.refuse(b.Initializer.Idx0(), "constant %s of an aggregate is not made of literals and functions alone", id.Name)
				}
				t.name(id)
			}
		case *ast.EmptyStatement:
		case *ast.ExpressionStatement:
			if _, directive := s.Expression.(*ast.StringLiteral); !directive {
				return t.refuse(s.Idx0(), "the body of an aggregate has functions and constants only")
			}
		default:
			return t.refuse(s.Idx0(), "the body of an aggregate has functions and constants only")
		}
	}
	for _, at := range exports {
		for src := t.file.Source(); at < len(src) && strings.IndexByte(" \t\r\n", src[at]) >= 0; at++ {
		}
		if !starts[at] {
			return t.refuse(file.Idx(at+t.file.Base()), "SyntaxError: export stands in front of a function or constant at the top only")
		}
	}
	if id := t.assigned(reflect.ValueOf(body), map[uintptr]bool{}); id != nil {
		return t.refuse(id.Idx, "%s is assigned to: nothing at the top of an aggregate changes, and no other variable may have its name and change", id.Name)
	}
	return nil
}

func (t *topLevel) name(id *ast.Identifier) {
	t.order = append(t.order, id.Name.String())
	t.names[id.Name] = true
}

// functions is the text of what the program returns.
func (t *topLevel) functions(d *wire.Definition) (string, *wire.Refusal) {
	list := make([]string, aggFunctions)
	for i, names := range aggNames {
		list[i] = "undefined"
		for _, n := range names {
			f := t.funcs[n]
			if f == nil {
				continue
			}
			if list[i] != "undefined" {
				return "", t.refuse(f.Idx0(), "an aggregate has %s or %s, not both", names[0], names[1])
			}
			if f.Generator {
				return "", t.refuse(f.Idx0(), "%s of an aggregate is not a generator", n)
			}
			list[i] = n
		}
	}
	for _, i := range []int{aggInit, aggAccumulate} {
		if list[i] == "undefined" {
			return "", &wire.Refusal{Message: "an aggregate needs a function " + strings.Join(aggNames[i], " or ")}
		}
	}
	d.Able.Merge, d.Able.Retract = list[aggMerge] != "undefined", list[aggRetract] != "undefined"
	return "[" + strings.Join(list, ", ") + ", [" + strings.Join(t.order, ", ") + "]]", nil
}

// isConstant allows initializers that keep no state of their own: literals, functions, arrays and objects of them, and
// arithmetic. A call could return a closure over a variable.
func isConstant(x ast.Expression) bool {
	switch x := x.(type) {
	case *ast.NullLiteral, *ast.BooleanLiteral, *ast.NumberLiteral, *ast.StringLiteral, *ast.Identifier, *ast.FunctionLiteral, *ast.ArrowFunctionLiteral:
		return true
	case *ast.RegExpLiteral:
		return !strings.ContainsAny(x.Flags, "gy") // these keep a place
	case *ast.TemplateLiteral:
		return x.Tag == nil && !slices.ContainsFunc(x.Expressions, func(x ast.Expression) bool { return !isConstant(x) })
	case *ast.UnaryExpression:
		return x.Operator != token.INCREMENT && x.Operator != token.DECREMENT && isConstant(x.Operand)
	case *ast.BinaryExpression:
		return isConstant(x.Left) && isConstant(x.Right)
	case *ast.ArrayLiteral:
		return !slices.ContainsFunc(x.Value, func(x ast.Expression) bool { return x == nil || !isConstant(x) })
	case *ast.ObjectLiteral:
		return !slices.ContainsFunc(x.Value, func(p ast.Property) bool {
			switch p := p.(type) {
			case *ast.PropertyKeyed:
				return p.Kind != ast.PropertyKindValue && p.Kind != ast.PropertyKindMethod || p.Computed || !isConstant(p.Value)
			case *ast.PropertyShort:
				return p.Initializer != nil
			}
			return true
		})
	}
	return false
}

// assigned finds an assignment to a name of the top.
func (t *topLevel) assigned(v reflect.Value, seen map[uintptr]bool) *ast.Identifier {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			return t.assigned(v.Elem(), seen)
		}
	case reflect.Pointer:
		if v.IsNil() || seen[v.Pointer()] || v.Type().Elem().PkgPath() != reflect.TypeFor[ast.Program]().PkgPath() {
			return nil
		}
		seen[v.Pointer()] = true
		var target ast.Node
		switch n := v.Interface().(type) {
		case *ast.AssignExpression:
			target = n.Left
		case *ast.UnaryExpression:
			if n.Operator == token.INCREMENT || n.Operator == token.DECREMENT {
				target = n.Operand
			}
		case *ast.ForIntoExpression:
			target = n.Expression
		}
		if target != nil {
			if id := t.target(target); id != nil {
				return id
			}
		}
		return t.assigned(v.Elem(), seen)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				if id := t.assigned(v.Field(i), seen); id != nil {
					return id
				}
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			if id := t.assigned(v.Index(i), seen); id != nil {
				return id
			}
		}
	}
	return nil
}

// target finds a name of the top among what is assigned to.
func (t *topLevel) target(n ast.Node) *ast.Identifier {
	var parts []ast.Node
	switch n := n.(type) {
	case *ast.Identifier:
		if n != nil && t.names[n.Name] {
			return n
		}
	case *ast.AssignExpression: // with a default
		parts = append(parts, n.Left)
	case *ast.ArrayPattern:
		for _, e := range n.Elements {
			parts = append(parts, e)
		}
		parts = append(parts, n.Rest)
	case *ast.ObjectPattern:
		for _, p := range n.Properties {
			switch p := p.(type) {
			case *ast.PropertyShort:
				parts = append(parts, &p.Name)
			case *ast.PropertyKeyed:
				parts = append(parts, p.Value)
			}
		}
		parts = append(parts, n.Rest)
	}
	for _, p := range parts {
		if p == nil {
			continue
		}
		if id := t.target(p); id != nil {
			return id
		}
	}
	return nil
}
