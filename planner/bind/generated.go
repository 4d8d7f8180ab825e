package bind

import (
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// generated binds the generated columns of a stream: expressions over its other columns, arrival_time() for when a row
// reached vigil, now() (or proctime()) for when it is processed.
func (b *binder) generated(st *parse.CreateStream, out *spec.Stream) error {
	r := &rel{alias: out.Name, table: out.Name}
	if len(st.Columns) == 0 {
		return nil // the columns are the format's
	}
	for i, c := range out.Schema.Cols {
		if st.Columns[i].Generated == nil {
			r.cols = append(r.cols, relCol{name: c.Name, value: &expr.Column{Index: i, Name: c.Name, Typ: c.Type}})
		}
	}
	for i, c := range st.Columns {
		if c.Generated == nil {
			continue
		}
		g := spec.Generated{Col: i, Kind: generatedKind(c.Generated)}
		if g.Kind != spec.GeneratedExpr {
			if out.Schema.Cols[i].Type.Kind != types.TimestampTZ {
				return sqlerr.New(sqlerr.DatatypeMismatch, "column %q is of type %s but its generation expression is of type timestamp with time zone",
					c.Name, out.Schema.Cols[i].Type).At(c.Pos)
			}
			out.Generated = append(out.Generated, g)
			continue
		}
		s := &scalar{binder: b, f: &frame{rels: []*rel{r}}, clause: "column generation expressions"}
		x, err := s.assign(c.Generated, out.Schema.Cols[i])
		if err != nil {
			return err
		}
		g.X = x
		out.Generated = append(out.Generated, g)
	}
	return nil
}

// generatedKind tells the two clocks from expressions.
func generatedKind(e parse.Expr) spec.GeneratedKind {
	f, ok := e.(*parse.FuncCall)
	if !ok || len(f.Args) > 0 || f.Name.Schema != "" {
		return spec.GeneratedExpr
	}
	switch f.Name.Name {
	case "arrival_time":
		return spec.GeneratedArrival
	case "now", "current_timestamp", "transaction_timestamp", "proctime":
		return spec.GeneratedClock
	}
	return spec.GeneratedExpr
}

// idleAfterArrival is how long a stream by arrival may be silent before its time follows the clock.
const idleAfterArrival = int64(5 * time.Second / time.Microsecond)

// generatedTime: time that is read from a clock goes on with the clock.
func generatedTime(out *spec.Stream) {
	for _, g := range out.Generated {
		switch {
		case g.Col != out.TimeCol:
		case g.Kind == spec.GeneratedArrival:
			out.IdleAfter = idleAfterArrival
		case g.Kind == spec.GeneratedClock:
			out.IdleAfter = 1 // each epoch's rows have its own clock, so none comes late
		}
	}
}

// ungenerated leaves the generated columns of a stream out of an INSERT that names no columns, and refuses them in one that
// does.
func ungenerated(ins *parse.Insert, target catalog.Relation, index []int) ([]int, error) {
	s, ok := target.(*catalog.Stream)
	if !ok || len(s.Generated) == 0 {
		return index, nil
	}
	is := func(i int) bool {
		return slices.ContainsFunc(s.Generated, func(g spec.Generated) bool { return g.Col == i })
	}
	if len(ins.Columns) == 0 {
		return slices.DeleteFunc(index, is), nil
	}
	for _, i := range index {
		if is(i) {
			name := s.Stream.Schema.Cols[i].Name
			return nil, sqlerr.New("428C9", "cannot insert a non-DEFAULT value into column %q", name).At(ins.Table.Pos).
				WithDetail("Column %q is a generated column.", name)
		}
	}
	return index, nil
}
