package parse

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TestGolden runs testdata/golden: "parse" prints the canonical form or the error with its place, "ast" the tree with positions.
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			stmts, err := Parse(d.Input)
			if err != nil {
				return showError(d.Input, err)
			}
			var sb strings.Builder
			for _, p := range stmts {
				switch s := p.Stmt.(type) {
				case *Unsupported:
					fmt.Fprintf(&sb, "unsupported %s at %d (%s)\n", s.What, s.Pos, s.Hint)
					continue
				case *Empty:
					sb.WriteString("empty\n")
					continue
				}
				if d.Cmd == "ast" {
					fmt.Fprintf(&sb, "-- %q start %d params %d\n", p.Text, p.Start, p.ParamCount)
					dump(&sb, reflect.ValueOf(p.Stmt), 0)
				} else {
					sb.WriteString(Print(p.Stmt) + "\n")
				}
				checkRoundTrip(t, p.Stmt)
			}
			return sb.String()
		})
	})
}

// showError prints an error as psql does.
func showError(sql string, err error) string {
	e := sqlerr.As(err)
	var sb strings.Builder
	fmt.Fprintf(&sb, "ERROR:  %s: %s\n", e.Code, e.Message)
	if e.Hint != "" {
		fmt.Fprintf(&sb, "HINT:  %s\n", e.Hint)
	}
	if e.Position == 0 {
		return sb.String()
	}
	chars := []rune(sql)
	line, col := 1, 0
	start := 0
	for i := range e.Position - 1 {
		if col++; chars[i] == '\n' {
			line, col, start = line+1, 0, i+1
		}
	}
	text, _, _ := strings.Cut(string(chars[start:]), "\n")
	prefix := fmt.Sprintf("LINE %d: ", line)
	fmt.Fprintf(&sb, "%s%s\n%s^\n", prefix, text, strings.Repeat(" ", len(prefix)+col))
	return sb.String()
}

// dump prints a tree: a line a node, its position after @, scalar fields behind it, child nodes below.
func dump(sb *strings.Builder, v reflect.Value, depth int) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	indent := strings.Repeat("  ", depth)
	if v.Kind() != reflect.Struct {
		fmt.Fprintf(sb, "%s%v\n", indent, v.Interface())
		return
	}
	fmt.Fprintf(sb, "%s", v.Type().Name())
	var children []int
	for i := range v.NumField() {
		f, name := v.Field(i), v.Type().Field(i).Name
		switch {
		case f.IsZero() || name == "Body":
		case name == "At" && f.NumField() == 1:
			fmt.Fprintf(sb, " @%d", f.Field(0).Int())
		case name == "Pos":
			fmt.Fprintf(sb, " @%d", f.Int())
		case f.Kind() == reflect.String:
			fmt.Fprintf(sb, " %s=%q", name, f.String())
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.String, f.Kind() == reflect.Bool, f.Kind() == reflect.Int, f.Kind() == reflect.Int64:
			fmt.Fprintf(sb, " %s=%v", name, f.Interface())
		default:
			children = append(children, i)
		}
	}
	sb.WriteString("\n")
	for _, i := range children {
		dumpField(sb, v.Type().Field(i).Name, v.Field(i), depth+1)
	}
}

func dumpField(sb *strings.Builder, name string, f reflect.Value, depth int) {
	if f.Kind() == reflect.Slice {
		for i := range f.Len() {
			dumpField(sb, fmt.Sprintf("%s[%d]", name, i), f.Index(i), depth)
		}
		return
	}
	fmt.Fprintf(sb, "%s%s: ", strings.Repeat("  ", depth), name)
	dump(sb, f, depth)
}
