package spec

import (
	"fmt"
	"github.com/vigil-sql/vigil/executor/expr"
	"strings"
)

// describeRows is the EXPLAIN line of operators that add to rows, or drop them, by what came before.
func describeRows(n *Node) string {
	switch op := n.Op.(type) {
	case *Over:
		time := columnName(n, op.TimeCol)
		if op.TimeShift != 0 {
			time += fmt.Sprintf(" %+dus", op.TimeShift)
		}
		return fmt.Sprintf("Over keys: %s order: %s functions: %s", orNone(list(op.Keys)), time, overFuncs(op.Funcs))
	case *FirstSeen:
		return fmt.Sprintf("FirstSeen keys: %s span: %s time: %s", orNone(list(op.Keys)), micros(op.Span), columnName(n, op.TimeCol))
	case *Suppress:
		return fmt.Sprintf("Suppress keys: %s for: %s time: %s", orNone(list(op.Keys)), micros(op.For), columnName(n, op.TimeCol))
	}
	return fmt.Sprintf("%T", n.Op)
}

func columnName(n *Node, i int) string {
	if i < len(n.Schema.Cols) {
		return n.Schema.Cols[i].Name
	}
	return fmt.Sprint("column ", i)
}

// windowCall prints a call of a window function without its window; an aggregate without arguments counts rows.
func windowCall(name string, args []expr.Expr, aggregate bool, filter expr.Expr) string {
	text := list(args)
	if len(args) == 0 && aggregate {
		text = "*"
	}
	text = name + "(" + text + ")"
	if filter != nil {
		text += " FILTER " + parens(filter.String())
	}
	return text
}

func overFuncs(funcs []OverFunc) string {
	parts := make([]string, len(funcs))
	for i, f := range funcs {
		parts[i] = windowCall(f.Name, f.Args, f.Kernel != nil, f.Filter)
		if f.Kernel != nil || len(f.Args) > 0 {
			parts[i] += " " + describeFrame(f.Frame)
		}
	}
	return strings.Join(parts, ", ")
}

// describeFrame prints a frame as SQL does.
func describeFrame(f Frame) string {
	unit, offset := "range", micros
	if f.Rows {
		unit, offset = "rows", func(n int64) string { return fmt.Sprint(n) }
	}
	bound := func(n int64) string {
		switch {
		case n == -FrameUnbounded:
			return "unbounded preceding"
		case n == FrameUnbounded:
			return "unbounded following"
		case n < 0:
			return offset(-n) + " preceding"
		case n > 0:
			return offset(n) + " following"
		}
		return "current row"
	}
	return fmt.Sprintf("%s %s to %s", unit, bound(f.Start), bound(f.End))
}
