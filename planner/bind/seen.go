package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// seenCall is one FIRST_SEEN of a query level.
type seenCall struct {
	keys []expr.Expr
	span int64 // microseconds
	pos  int
}

// seenRef stands for FIRST_SEEN number index of the level until it has a column.
type seenRef struct{ index int }

// Type implements expr.Expr.
func (*seenRef) Type() types.Type { return types.T(types.Bool) }

// String implements expr.Expr.
func (*seenRef) String() string { return "first_seen" }

// firstSeen binds FIRST_SEEN(expr, ..., INTERVAL '..').
func (s *scalar) firstSeen(f *parse.FuncCall) (expr.Expr, error) {
	switch {
	case !s.continuous:
		return nil, unsupported(f.Pos, "FIRST_SEEN outside a continuous query", "It tells what a running query has seen: use it in CREATE CONTINUOUS QUERY.")
	case s.seen == nil:
		return nil, unsupported(f.Pos, "FIRST_SEEN in "+s.clause, "Use it in WHERE or SELECT, or in a subquery in FROM.")
	case len(f.Args) < 2:
		return nil, sqlerr.New(sqlerr.SyntaxError, "FIRST_SEEN takes one or more values and a span of time").At(f.Pos).
			WithHint("FIRST_SEEN(username, dst, INTERVAL '14 days').")
	}
	c := seenCall{pos: f.Pos}
	last := f.Args[len(f.Args)-1]
	var err error
	if c.span, err = s.duration(last, "the span of FIRST_SEEN"); err != nil {
		return nil, err
	}
	if c.span <= 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the span of FIRST_SEEN must be positive").At(start(last))
	}
	in := &scalar{binder: s.binder, f: s.f, ctes: s.ctes, clause: "FIRST_SEEN"}
	for _, e := range f.Args[:len(f.Args)-1] {
		x, err := in.overTerm(e)
		if err != nil {
			return nil, err
		}
		if !hasOperator(x.Type(), true) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(start(e))
		}
		c.keys = append(c.keys, x)
	}
	ref := &seenRef{index: len(*s.seen)}
	for i, other := range *s.seen {
		if other.span == c.span && sameExprs(other.keys, c.keys) {
			ref.index = i
		}
	}
	if ref.index == len(*s.seen) {
		*s.seen = append(*s.seen, c)
	}
	s.src[ref] = source{pos: f.Pos, name: "first_seen"}
	return ref, nil
}

// buildWhere puts WHERE over in. Conditions without FIRST_SEEN come first: only rows that pass them count as seen, and are
// asked for. Each distinct FIRST_SEEN becomes a column, the conditions with it come after all of them.
func (l *level) buildWhere(in *logical.Node) (*logical.Node, error) {
	if len(l.seens) == 0 {
		return l.lookups(logical.NewFilter(in, l.where), l.members)
	}
	var plain, with []expr.Expr
	for _, c := range l.where {
		if asksSeen(c) {
			with = append(with, c)
		} else {
			plain = append(plain, c)
		}
	}
	in, err := l.lookups(logical.NewFilter(in, plain), l.members)
	if err != nil {
		return nil, err
	}
	width := len(in.Schema.Cols)
	for _, c := range l.seens {
		at := logical.DefaultTime(in)
		if at < 0 {
			return nil, sqlerr.New(sqlerr.WindowingError, "FIRST_SEEN is over rows without event time").At(c.pos).
				WithHint("Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'; select the time column in a subquery.")
		}
		cols := append(append([]types.Column(nil), in.Schema.Cols...), types.Column{Name: "first_seen", Type: types.T(types.Bool)})
		op := &logical.FirstSeen{Keys: c.keys, Span: c.span, TimeCol: at}
		in = &logical.Node{Op: op, In: []*logical.Node{in}, Schema: types.Schema{Cols: cols}}
	}
	l.placeSeen(func(e expr.Expr) expr.Expr {
		return logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
			r, ok := e.(*seenRef)
			if !ok {
				return e, false
			}
			c := &expr.Column{Index: width + r.index, Name: "first_seen", Typ: r.Type()}
			l.src[c] = l.src[r]
			return c, true
		}).Expr(e, 0)
	}, with)
	return logical.NewFilter(in, with), nil
}

// placeSeen moves everything that may hold FIRST_SEEN.
func (l *level) placeSeen(place func(expr.Expr) expr.Expr, with []expr.Expr) {
	for i := range with {
		with[i] = place(with[i])
	}
	for i := range l.items {
		old := l.items[i].e
		l.items[i].e = place(old)
		if _, known := l.src[l.items[i].e]; !known {
			l.src[l.items[i].e] = l.src[old]
		}
	}
	for i := range l.keys {
		l.keys[i] = place(l.keys[i])
	}
	for i := range l.aggs {
		a := &l.aggs[i]
		for j := range a.Args {
			a.Args[j] = place(a.Args[j])
		}
		if a.Filter != nil {
			a.Filter = place(a.Filter)
		}
	}
	l.placeOver(place)
}

func asksSeen(e expr.Expr) bool {
	found := false
	logical.Walk(e, func(e expr.Expr, _ int) bool {
		if _, ok := e.(*seenRef); ok {
			found = true
		}
		return !found
	})
	return found
}

// suppress puts SUPPRESS over the query's output.
func (b *binder) suppress(q *parse.CreateQuery, in *logical.Node) (*logical.Node, error) {
	s := q.Suppress
	if s == nil {
		return in, nil
	}
	grouping := windowed(in)
	corrects := q.Emit != nil && (q.Emit.Mode == "UPDATE" || q.Emit.Mode == "EVERY") ||
		grouping != nil && grouping.Window == nil && (q.Emit == nil || q.Emit.Mode != "FIRST")
	if grouping != nil && corrects {
		return nil, unsupported(s.Pos, "SUPPRESS over results that are corrected later", "Use EMIT ON WINDOW CLOSE or EMIT FIRST.")
	}
	op := &logical.Suppress{TimeCol: logical.DefaultTime(in)}
	if op.TimeCol < 0 {
		return nil, sqlerr.New(sqlerr.WindowingError, "SUPPRESS needs a time column in the result").At(s.Pos).
			WithHint("Select the stream's time column, or window_end.")
	}
	var err error
	if op.For, err = b.duration(s.For, "the interval of SUPPRESS"); err != nil {
		return nil, err
	}
	if op.For <= 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the interval of SUPPRESS must be positive").At(s.For.Pos)
	}
	r := &rel{}
	for i, c := range in.Schema.Cols {
		r.cols = append(r.cols, relCol{name: c.Name, value: &expr.Column{Index: i, Name: c.Name, Typ: c.Type}})
	}
	by := &scalar{binder: b, f: &frame{rels: []*rel{r}}, clause: "SUPPRESS"}
	for _, e := range s.By {
		x, err := by.overTerm(e)
		if err != nil {
			return nil, err
		}
		if !hasOperator(x.Type(), true) {
			return nil, sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(start(e))
		}
		op.Keys = append(op.Keys, x)
	}
	return &logical.Node{Op: op, In: []*logical.Node{in}, Schema: in.Schema}, nil
}
