package bind

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// overScope is the window functions of a query level and the windows that they may name.
type overScope struct {
	windows []parse.WindowDef
	calls   []overCall   // of continuous queries
	sorted  []sortedCall // of others
}

// overCall is one window function; its expressions are over the rows before, from the time that grouping is bound after it.
type overCall struct {
	fn        logical.OverFunc
	partition []expr.Expr
	order     expr.Expr
	// pos is that of the function, orderPos that of ORDER BY.
	pos, orderPos int
}

// overRef stands for window function number index of the level until it has a column.
type overRef struct {
	index int
	name  string
	typ   types.Type
}

// Type implements expr.Expr.
func (r *overRef) Type() types.Type { return r.typ }

// String implements expr.Expr.
func (r *overRef) String() string { return r.name }

// overCall binds f(..) OVER (..).
func (s *scalar) overCall(f *parse.FuncCall) (expr.Expr, error) {
	switch {
	case !s.continuous:
		return s.sortedCall(f)
	case s.clause == overClause:
		return nil, sqlerr.New(sqlerr.WindowingError, "window function calls cannot be nested").At(f.Pos)
	case s.over == nil:
		return nil, sqlerr.New(sqlerr.WindowingError, "window functions are not allowed in %s", s.clause).At(f.Pos).
			WithHint("Compute it in a subquery: SELECT ... FROM (SELECT ..., %s(...) OVER (...) AS x FROM ...) t WHERE x ...", f.Name.Name)
	}
	in := &scalar{binder: s.binder, f: s.f, ctes: s.ctes, clause: overClause, aggs: s.aggs, seen: s.seen, late: true}
	def, err := s.over.resolve(f.Over)
	if err != nil {
		return nil, err
	}
	c := overCall{pos: f.Pos}
	if err := in.overWindow(&c, &def, f.Pos); err != nil {
		return nil, err
	}
	if err := in.overFunc(&c, f, &def); err != nil {
		return nil, err
	}
	ref := &overRef{index: len(s.over.calls), name: overName(&c.fn), typ: c.fn.Typ}
	s.over.calls = append(s.over.calls, c)
	s.src[ref] = source{pos: f.Pos, name: f.Name.Name}
	return ref, nil
}

// overClause names the inside of a window function.
const overClause = "a window function"

// overName prints a window function: "avg(bytes) OVER".
func overName(f *logical.OverFunc) string {
	args := ""
	for i, a := range f.Args {
		if i > 0 {
			args += ", "
		}
		args += a.String()
	}
	if len(f.Args) == 0 && f.Def != nil {
		args = "*"
	}
	return f.Name + "(" + args + ") OVER"
}

// resolve follows names of windows.
func (o *overScope) resolve(w *parse.WindowDef) (parse.WindowDef, error) {
	name, plain := w.Ref, false
	if w.Name != "" {
		name, plain = w.Name, true
	}
	if name == "" {
		return *w, nil
	}
	for i := range o.windows {
		base := o.windows[i]
		if base.Name != name {
			continue
		}
		base.Name = ""
		// A window's base stands before it, so that names do not go round.
		base, err := (&overScope{windows: o.windows[:i]}).resolve(&base)
		if err != nil || plain {
			return base, err
		}
		switch {
		case len(w.PartitionBy) > 0:
			return base, sqlerr.New(sqlerr.WindowingError, "cannot override PARTITION BY clause of window %q", name).At(w.Pos)
		case len(w.OrderBy) > 0 && len(base.OrderBy) > 0:
			return base, sqlerr.New(sqlerr.WindowingError, "cannot override ORDER BY clause of window %q", name).At(w.Pos)
		case base.Frame != nil:
			err := sqlerr.New(sqlerr.WindowingError, "cannot copy window %q because it has a frame clause", name).At(w.Pos)
			if len(w.OrderBy) == 0 && w.Frame == nil {
				return base, err.WithHint("Omit the parentheses in this OVER clause.")
			}
			return base, err
		}
		if len(w.OrderBy) > 0 {
			base.OrderBy = w.OrderBy
		}
		base.Frame, base.Pos = w.Frame, w.Pos
		return base, nil
	}
	return *w, sqlerr.New(sqlerr.UndefinedObject, "window %q does not exist", name).At(w.Pos)
}

// overWindow binds PARTITION BY and ORDER BY.
func (s *scalar) overWindow(c *overCall, def *parse.WindowDef, pos int) error {
	for _, e := range def.PartitionBy {
		x, err := s.overTerm(e)
		if err != nil {
			return err
		}
		if !hasOperator(x.Type(), true) {
			return sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(start(e))
		}
		c.partition = append(c.partition, x)
	}
	if len(def.OrderBy) == 0 {
		return unsupported(pos, "OVER without ORDER BY in a continuous query", "Order by the time column: OVER (PARTITION BY ... ORDER BY ts ...).")
	}
	o := def.OrderBy[0]
	c.orderPos = start(o.Expr)
	switch {
	case o.Desc:
		return unsupported(c.orderPos, "descending order in OVER of a continuous query", "Order by the time column, ascending.")
	case len(def.OrderBy) > 1:
		return unsupported(start(def.OrderBy[1].Expr), "a second term of ORDER BY in OVER of a continuous query",
			"Order by the time column alone: rows of one time keep the order in which they came.")
	}
	var err error
	c.order, err = s.overTerm(o.Expr)
	return err
}

func (s *scalar) overTerm(e parse.Expr) (expr.Expr, error) {
	x, err := s.bind(e)
	if err != nil {
		return nil, err
	}
	return s.textIfUnknown(term{x, start(e)})
}

// overFunc binds the function itself.
func (s *scalar) overFunc(c *overCall, f *parse.FuncCall, def *parse.WindowDef) error {
	c.fn.Name = f.Name.Name
	d := registry().aggs[f.Name.Name]
	switch {
	case f.Distinct:
		return sqlerr.New(sqlerr.FeatureNotSupported, "DISTINCT is not implemented for window functions").At(f.Pos)
	case len(f.OrderBy) > 0:
		return sqlerr.New(sqlerr.FeatureNotSupported, "aggregate ORDER BY is not implemented for window functions").At(f.Pos)
	case len(f.WithinGroup) > 0:
		return unsupported(f.Pos, "WITHIN GROUP", "")
	case d == nil && f.Filter != nil:
		return sqlerr.New(sqlerr.FeatureNotSupported, "FILTER is not implemented for non-aggregate window functions").At(f.Pos)
	}
	args, err := s.list(f.Args)
	if err != nil {
		return err
	}
	if d != nil {
		return s.overAggregate(c, f, d, args, def)
	}
	switch f.Name.Name {
	case "row_number", "rank", "dense_rank":
		c.fn.Typ = types.T(types.Int8)
		if len(args) != 0 {
			return noFunction(f, args)
		}
		return nil
	case "lag":
		return s.lag(c, f, args)
	case "first_value", "last_value", "nth_value":
		return s.frameValue(c, f, args, def)
	case "lead":
		return unsupported(f.Pos, "lead in a continuous query", "A row does not wait for the one after it: use lag, and look at the pair from the later row.")
	case "ntile", "percent_rank", "cume_dist":
		return unsupported(f.Pos, f.Name.Name+" in a continuous query", "It needs the whole partition, which has no end. Use rank, dense_rank or row_number.")
	}
	if len(registry().funcs[f.Name.Name]) > 0 {
		return sqlerr.New(sqlerr.WrongObjectType, "OVER specified, but %s is not a window function nor an aggregate function", f.Name.Name).At(f.Pos)
	}
	return noFunction(f, args)
}

func (s *scalar) overAggregate(c *overCall, f *parse.FuncCall, d *agg.Def, args []term, def *parse.WindowDef) error {
	if d.Within != nil {
		return unsupported(f.Pos, d.Name+" as a window function", "Group by a window: it is an aggregate of the rows of one.")
	}
	a, err := s.aggregateOver(f, d, args)
	if err != nil {
		return err
	}
	c.fn.Def, c.fn.Args, c.fn.Typ, c.fn.Filter = d, a.args, a.typ, a.filter
	c.fn.Frame, err = s.overFrame(def)
	return err
}

// overArgs is what an aggregate over a window reads, and what it gives.
type overArgs struct {
	args   []expr.Expr
	typ    types.Type
	filter expr.Expr
}

// aggregateOver binds the call of an aggregate as a window function, without its window.
func (s *scalar) aggregateOver(f *parse.FuncCall, d *agg.Def, args []term) (out overArgs, err error) {
	if d.Timed && len(args) == 1 {
		return out, unsupported(f.Pos, d.Name+" without a time as a window function", "Name the time: "+d.Name+"(x, ts).")
	}
	given := args
	if args, err = s.preparedArgs(f, d, args); err != nil {
		return out, err
	}
	if out.args, out.typ, err = s.aggArgs(f, d, args, given); err != nil {
		return out, err
	}
	if err := s.checkOverFixed(d, out.args, args); err != nil {
		return out, err
	}
	if f.Filter != nil {
		in := *s
		in.clause = "FILTER"
		out.filter, err = in.condition(f.Filter, "FILTER")
	}
	return out, err
}

// lag is the first value of the frame that is the row so many rows before.
func (s *scalar) lag(c *overCall, f *parse.FuncCall, args []term) error {
	if len(args) < 1 || len(args) > 3 {
		return noFunction(f, args)
	}
	x, err := s.textIfUnknown(args[0])
	if err != nil {
		return err
	}
	n := int64(1)
	if len(args) > 1 {
		if n, err = s.constantCount(args[1], "the offset of lag"); err != nil {
			return err
		}
		if n < 0 {
			return unsupported(args[1].pos, "lag by a negative offset", "A row does not wait for later ones: look at the pair from the later row.")
		}
	}
	c.fn.Args = []expr.Expr{x}
	if len(args) == 3 {
		list, _, err := s.unify([]term{{x, args[0].pos}, args[2]}, "LAG")
		if err != nil {
			return err
		}
		c.fn.Args, x = list, list[0]
	}
	c.fn.Typ = plain(x.Type())
	c.fn.Frame = logical.Frame{Rows: true, Start: -n, End: -n}
	return nil
}

// frameValue is first_value, last_value or nth_value.
func (s *scalar) frameValue(c *overCall, f *parse.FuncCall, args []term, def *parse.WindowDef) error {
	want := 1
	if f.Name.Name == "nth_value" {
		want = 2
	}
	if len(args) != want {
		return noFunction(f, args)
	}
	x, err := s.textIfUnknown(args[0])
	if err != nil {
		return err
	}
	c.fn.Args, c.fn.Typ = []expr.Expr{x}, plain(x.Type())
	if want == 2 {
		n, err := s.constantCount(args[1], "the argument of nth_value")
		if err != nil {
			return err
		}
		if n < 1 {
			return sqlerr.New("22016", "argument of nth_value must be greater than zero").At(args[1].pos)
		}
		c.fn.Args = append(c.fn.Args, &expr.Const{Val: types.NewInt(types.Int8, n)})
	}
	c.fn.Frame, err = s.overFrame(def)
	return err
}

// overCountMax bounds counts of rows in window functions.
const overCountMax = 1_000_000

// constantCount reads a constant number of rows.
func (s *scalar) constantCount(t term, what string) (int64, error) {
	x, ok, err := s.coerce(t, types.T(types.Int8), expr.Implicit)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, sqlerr.New(sqlerr.DatatypeMismatch, "%s must be type bigint, not type %s", what, t.e.Type()).At(t.pos)
	}
	v, err := expr.EvalConst(&expr.Ctx{}, x)
	switch {
	case err != nil || v.Null:
		return 0, unsupported(t.pos, what+" that is not a constant", "Write a number.")
	case v.I > overCountMax:
		return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "%s must be at most %d", what, overCountMax).At(t.pos)
	}
	return v.I, nil
}

// overFrame binds the frame; without one it is Postgres' default: all rows up to the current one and its peers.
func (s *scalar) overFrame(def *parse.WindowDef) (logical.Frame, error) {
	f := def.Frame
	if f == nil {
		return logical.Frame{Start: -logical.FrameUnbounded}, nil
	}
	out := logical.Frame{Rows: f.Unit == "ROWS"}
	if f.Unit == "GROUPS" {
		return out, unsupported(def.Pos, "GROUPS in a window frame", "Use ROWS or RANGE.")
	}
	if err := checkFrame(f); err != nil {
		return out, err
	}
	switch {
	case f.Exclude != "":
		return out, unsupported(def.Pos, "EXCLUDE in a window frame of a continuous query", "End the frame with 1 PRECEDING to leave the current row out.")
	case f.End.Kind == "UNBOUNDED FOLLOWING":
		return out, unsupported(def.Pos, "a frame to the end of the partition in a continuous query", "The partition has no end: let the frame end with CURRENT ROW.")
	case out.Rows && (f.Start.Kind == "FOLLOWING" || f.End.Kind == "FOLLOWING"):
		return out, unsupported(def.Pos, "a frame of ROWS FOLLOWING in a continuous query",
			"The next row may never come. RANGE BETWEEN ... AND INTERVAL '...' FOLLOWING waits for so much event time.")
	}
	var err error
	if out.Start, err = s.frameBound(f.Start.Kind, f.Start.Value, out.Rows); err == nil {
		out.End, err = s.frameBound(f.End.Kind, f.End.Value, out.Rows)
	}
	return out, err
}

func (s *scalar) frameBound(kind string, value parse.Expr, rows bool) (int64, error) {
	switch kind {
	case "UNBOUNDED PRECEDING":
		return -logical.FrameUnbounded, nil
	case "CURRENT ROW":
		return 0, nil
	}
	var n int64
	var err error
	if rows {
		var t term
		if t, err = s.term(value); err == nil {
			n, err = s.constantCount(t, "the offset of a frame of ROWS")
		}
	} else {
		n, err = s.duration(value, "the offset of a frame of RANGE")
	}
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, sqlerr.New("22013", "frame offset must not be negative").At(start(value))
	}
	if kind == "PRECEDING" {
		n = -n
	}
	return n, nil
}

// placeOver moves the expressions of window functions to other rows, as grouping does.
func (l *level) placeOver(place func(expr.Expr) expr.Expr) {
	for i := range l.over.calls {
		c := &l.over.calls[i]
		for _, list := range [][]expr.Expr{c.fn.Args, c.partition} {
			for j := range list {
				list[j] = place(list[j])
			}
		}
		if c.fn.Filter != nil {
			c.fn.Filter = place(c.fn.Filter)
		}
		c.order = place(c.order)
	}
	for i := range l.over.sorted {
		l.over.sorted[i].place(place)
	}
}

// buildOver computes the window functions below the projection: one operator for each partitioning.
func (l *level) buildOver(in *logical.Node) (*logical.Node, error) {
	if !l.continuous {
		return l.buildSorted(in), nil
	}
	if len(l.over.calls) == 0 {
		return in, nil
	}
	at := make([]int, len(l.over.calls))
	done := make([]bool, len(l.over.calls))
	for i := range l.over.calls {
		if done[i] {
			continue
		}
		first := &l.over.calls[i]
		op := &logical.Over{Keys: first.partition}
		var err error
		if op.TimeCol, op.TimeShift, err = l.overTime(in, first); err != nil {
			return nil, err
		}
		cols := append([]types.Column(nil), in.Schema.Cols...)
		for j := i; j < len(at); j++ {
			c := &l.over.calls[j]
			if done[j] || !sameExprs(c.partition, first.partition) || !equal(c.order, first.order) {
				continue
			}
			done[j], at[j] = true, len(cols)
			op.Funcs = append(op.Funcs, c.fn)
			cols = append(cols, types.Column{Name: overName(&c.fn), Type: c.fn.Typ})
		}
		in = &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: cols}}
	}
	l.placeRefs(in, at)
	return in, nil
}

// overTime is the column that ORDER BY of a window function names, which must follow the event time.
func (l *level) overTime(in *logical.Node, c *overCall) (col int, shift int64, err error) {
	if x, ok := c.order.(*expr.Column); ok {
		if shift, ok := logical.OrderTime(in, x.Index); ok {
			return x.Index, shift, nil
		}
	}
	hint := "Select the time column, or window_start and window_end, in the subquery."
	if i := logical.DefaultTime(in); i >= 0 {
		hint = fmt.Sprintf("Write ORDER BY %s.", in.Schema.Cols[i].Name)
	}
	return 0, 0, sqlerr.New(sqlerr.WindowingError, "OVER in a continuous query must be ordered by a column with event time").At(c.orderPos).WithHint("%s", hint)
}

func sameExprs(a, b []expr.Expr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
