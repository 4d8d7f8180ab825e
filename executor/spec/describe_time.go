package spec

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/window"
)

// Text prints a windowed grouping's window, with its EMIT clause and lateness where they are not what goes without saying;
// timeCol is the name of the time column.
func (w *WindowAgg) Text(timeCol string) string {
	s := windowText(w.Window, timeCol) + w.Emit.Text(DefaultEmit(w.Window.Kind))
	if w.Lateness != 0 {
		s += " lateness " + micros(w.Lateness)
	}
	return s
}

// DefaultEmit is when results of a kind of window come where the statement does not say. A window of rows closes with its last row.
func DefaultEmit(k window.Kind) EmitMode {
	switch k {
	case window.Slide, window.None:
		return EmitUpdate
	}
	return EmitFinal
}

// Text prints the clause with a space before it; nothing for the default.
func (e Emit) Text(byDefault EmitMode) string {
	if e.Mode == byDefault {
		return ""
	}
	switch e.Mode {
	case EmitUpdate:
		return " emit on update"
	case EmitEvery:
		return " emit every " + micros(e.Every)
	case EmitFirst:
		return " emit first"
	}
	return " emit on window close"
}

// windowText prints a window as its call.
func windowText(w window.Spec, timeCol string) string {
	var s string
	switch w.Kind {
	case window.Hop:
		s = fmt.Sprintf("hop(%s, %s, %s", timeCol, micros(w.Slide), micros(w.Size))
	case window.Cumulate:
		s = fmt.Sprintf("cumulate(%s, %s, %s", timeCol, micros(w.Slide), micros(w.Size))
	case window.Session:
		s = fmt.Sprintf("session(%s, %s", timeCol, micros(w.Size))
	case window.Slide:
		s = fmt.Sprintf("slide(%s, %s", timeCol, micros(w.Size))
	case window.Count:
		s = fmt.Sprintf("count_window(%d", w.Size)
		if w.Slide != w.Size && w.Slide != 0 {
			s += fmt.Sprintf(", %d", w.Slide)
		}
	default:
		s = fmt.Sprintf("tumble(%s, %s", timeCol, micros(w.Size))
	}
	if w.Offset != 0 {
		s += ", offset " + micros(w.Offset)
	}
	if w.Max != 0 {
		s += ", max " + micros(w.Max)
	}
	return s + ")"
}

// describeGroupAgg is the EXPLAIN line of a grouping without a window.
func describeGroupAgg(op *GroupAgg) string {
	return fmt.Sprintf("GroupAgg keys: %s aggs: %s%s", orNone(list(op.Keys)), orNone(aggs(op.Aggs)), op.Emit.Text(EmitUpdate))
}

// describeWindowAgg is the EXPLAIN line of a windowed grouping.
func describeWindowAgg(op *WindowAgg, n *Node) string {
	return fmt.Sprintf("WindowAgg %s keys: %s aggs: %s", op.Text(windowColumn(n, op)), orNone(list(op.Keys)), orNone(aggs(op.Aggs)))
}
