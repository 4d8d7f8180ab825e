package bind

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Bounds of windows. A year has 366 days here.
const (
	windowSizeMax  = int64(10_000 * 366 * 24 * 3600 * 1e6)
	windowPanesMax = 10_000
	windowRowsMax  = 1_000_000
)

// windowForm is how a kind of window is called.
type windowForm struct {
	kind window.Kind
	// names are the arguments after the time, of which the last optional may be left out.
	names    []string
	optional int
	usage    string // what it takes, and an example
	example  string
	read     func(l *level, f *windowForm, args []parse.Expr, out *window.Spec) error
}

// windowForms are the kinds by name.
func windowForms() map[string]*windowForm {
	return map[string]*windowForm{
		"TUMBLE": {window.Tumble, []string{"size", "offset"}, 1, "a time column, a size and optionally an offset",
			"TUMBLE(ts, INTERVAL '1 minute')", (*level).readTumble},
		"HOP": {window.Hop, []string{"slide", "size", "offset"}, 1, "a time column, a slide, a size and optionally an offset",
			"HOP(ts, INTERVAL '10 seconds', INTERVAL '1 minute')", (*level).readHop},
		"CUMULATE": {window.Cumulate, []string{"step", "size", "offset"}, 1, "a time column, a step, a size and optionally an offset",
			"CUMULATE(ts, INTERVAL '1 hour', INTERVAL '1 day')", (*level).readCumulate},
		"SESSION": {window.Session, []string{"gap"}, 0, "a time column, a gap and optionally a maximum",
			"SESSION(ts, INTERVAL '30 minutes', max INTERVAL '8 hours')", (*level).readSession},
		"SLIDE": {window.Slide, []string{"size"}, 0, "a time column and a size",
			"SLIDE(ts, INTERVAL '10 minutes')", (*level).readTumble},
		"COUNT_WINDOW": {window.Count, []string{"size", "slide"}, 1, "a number of rows and optionally after how many rows the next window comes",
			"COUNT_WINDOW(100, 10)", (*level).readCount},
	}
}

// windowSpec reads the arguments of a window call after its time column.
func (l *level) windowSpec(w *parse.WindowCall, args []parse.Expr) (window.Spec, error) {
	f := windowForms()[w.Kind]
	if f == nil {
		return window.Spec{}, unsupported(w.Pos, "the window "+w.Kind, "Use TUMBLE(ts, INTERVAL '1 minute').")
	}
	if len(args) < len(f.names)-f.optional || len(args) > len(f.names) || w.Max != nil && f.kind != window.Session {
		return window.Spec{}, sqlerr.New(sqlerr.SyntaxError, "%s takes %s", w.Kind, f.usage).At(w.Pos).WithHint("%s.", f.example)
	}
	out := window.Spec{Kind: f.kind}
	if err := f.read(l, f, args, &out); err != nil {
		return out, err
	}
	if w.Max != nil {
		return out, l.readMax(w, &out)
	}
	return out, nil
}

// length reads an argument that must be a positive length of time.
func (l *level) length(e parse.Expr, what string) (int64, error) {
	n, err := l.duration(e, what)
	switch {
	case err != nil:
		return 0, err
	case n <= 0:
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%s must be positive", what).At(start(e))
	case n > windowSizeMax:
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%s must not be longer than 10,000 years", what).At(start(e))
	}
	return n, nil
}

// name is the kind's name in errors.
func (f *windowForm) name() string { return f.example[:strings.IndexByte(f.example, '(')] }

// readTumble reads a size, and an offset where there is one.
func (l *level) readTumble(f *windowForm, args []parse.Expr, out *window.Spec) (err error) {
	if out.Size, err = l.length(args[0], f.name()+" size"); err == nil && len(args) == 2 {
		out.Offset, err = l.duration(args[1], f.name()+" offset")
	}
	return err
}

func (l *level) readSession(f *windowForm, args []parse.Expr, out *window.Spec) (err error) {
	out.Size, err = l.length(args[0], f.name()+" gap")
	return err
}

// readMax reads the longest that a session may become.
func (l *level) readMax(w *parse.WindowCall, out *window.Spec) (err error) {
	if out.Max, err = l.length(w.Max, "SESSION maximum"); err == nil && out.Max < out.Size {
		err = sqlerr.New(sqlerr.InvalidParameterValue, "SESSION maximum must not be shorter than the gap").At(start(w.Max))
	}
	return err
}

// readStep reads slide or step, size and offset.
func (l *level) readStep(f *windowForm, args []parse.Expr, out *window.Spec) (err error) {
	if out.Slide, err = l.length(args[0], f.name()+" "+f.names[0]); err != nil {
		return err
	}
	if out.Size, err = l.length(args[1], f.name()+" size"); err != nil || len(args) == 2 {
		return err
	}
	out.Offset, err = l.duration(args[2], f.name()+" offset")
	return err
}

func (l *level) readHop(f *windowForm, args []parse.Expr, out *window.Spec) error {
	if err := l.readStep(f, args, out); err != nil {
		return err
	}
	g, ok := window.GridOf(*out)
	if panes := out.Size / max(g.Pane, 1); !ok || panes > windowPanesMax || out.Slide/g.Pane > windowPanesMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "HOP cuts a window into %d panes, and the limit is %d", panes, windowPanesMax).At(start(args[0])).
			WithHint("Choose a longer slide, or one that the size is a multiple of.")
	}
	return nil
}

func (l *level) readCumulate(f *windowForm, args []parse.Expr, out *window.Spec) error {
	if err := l.readStep(f, args, out); err != nil {
		return err
	}
	if out.Size%out.Slide != 0 {
		return sqlerr.New(sqlerr.InvalidParameterValue, "CUMULATE size must be a multiple of the step").At(start(args[1])).
			WithHint("%s.", f.example)
	}
	if n := out.Size / out.Slide; n > windowPanesMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "CUMULATE has %d steps, and the limit is %d", n, windowPanesMax).At(start(args[0])).
			WithHint("Choose a longer step.")
	}
	return nil
}

func (l *level) readCount(_ *windowForm, args []parse.Expr, out *window.Spec) (err error) {
	if out.Size, err = rowCount(args[0], "COUNT_WINDOW size"); err != nil {
		return err
	}
	if out.Slide = out.Size; len(args) == 1 {
		return nil
	}
	if out.Slide, err = rowCount(args[1], "COUNT_WINDOW slide"); err == nil && out.Slide > out.Size {
		err = sqlerr.New(sqlerr.InvalidParameterValue, "COUNT_WINDOW slide must not be greater than the size").At(start(args[1]))
	}
	return err
}

// rowCount reads a constant number of rows.
func rowCount(e parse.Expr, what string) (int64, error) {
	n, isNumber := e.(*parse.Number)
	if !isNumber {
		return 0, sqlerr.New(sqlerr.DatatypeMismatch, "%s must be a constant number of rows", what).At(start(e)).WithHint("For example COUNT_WINDOW(100).")
	}
	rows, err := strconv.ParseInt(n.Text, 10, 64)
	if err != nil || rows < 1 || rows > windowRowsMax {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%s must be a number from 1 to %d", what, windowRowsMax).At(start(e))
	}
	return rows, nil
}
