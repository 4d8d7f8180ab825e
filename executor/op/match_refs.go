package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// matchRef is a compiled reference to rows of a match.
type matchRef struct {
	*spec.MatchRef
	col    int // of MatchRow over a plain column: its place among the kept columns; else -1
	x      *expr.Evaluator
	args   exprList
	filter *expr.Evaluator
	want   []bool // columns of the input that it reads
	off    int    // of the aggregate's state in a group
}

// compile makes evaluators, and decides which columns are kept with each row.
func (m *Match) compile() error {
	width := len(m.schema.Cols)
	keep := make([]bool, width)
	for i := 0; i < m.rowCols; i++ {
		keep[i] = true
	}
	ext := &types.Schema{Cols: append([]types.Column(nil), m.schema.Cols...)}
	m.refs = make([]matchRef, len(m.spec.Refs))
	for i := range m.spec.Refs {
		r := &m.spec.Refs[i]
		ext.Cols = append(ext.Cols, types.Column{Name: r.Name, Type: r.Typ})
		if err := m.compileRef(&m.refs[i], r, keep); err != nil {
			return err
		}
		m.back = max(m.back, r.Back)
		m.numbered = m.numbered || r.Kind == spec.MatchNumber
	}
	reads := func(list ...expr.Expr) []bool {
		want := make([]bool, len(ext.Cols))
		for _, e := range list {
			markColumns(e, want)
		}
		for i := range keep {
			keep[i] = keep[i] || want[i]
		}
		return want
	}
	for _, v := range m.spec.Vars {
		c := matchVar{col: v.Col}
		if v.Cond != nil {
			var err error
			if c.cond, err = expr.Compile(v.Cond); err != nil {
				return err
			}
			c.want = reads(v.Cond)
			c.local = m.isLocal(c.want[width:])
			m.local = m.local || c.local
			m.plain = m.plain && c.local
		}
		m.vars = append(m.vars, c)
	}
	var err error
	if m.measures, err = compileAll(m.spec.Measures); err != nil {
		return err
	}
	m.wantOut = reads(m.spec.Measures...)
	for i := 0; i < m.rowCols; i++ {
		m.wantOut[i] = true
	}
	m.rows = newHeldRows(m.schema, keep)
	for i := range m.refs {
		if c, ok := m.refs[i].X.(*expr.Column); ok {
			m.refs[i].col = m.rows.colAt[c.Index]
		}
	}
	m.ext = batch.New(ext, nil)
	m.one = batch.New(m.schema, nil)
	return nil
}

func markColumns(e expr.Expr, want []bool) {
	if e == nil {
		return
	}
	expr.Walk(e, func(e expr.Expr) bool {
		if c, ok := e.(*expr.Column); ok {
			want[c.Index] = true
		}
		return true
	})
}

func (m *Match) compileRef(out *matchRef, r *spec.MatchRef, keep []bool) (err error) {
	*out = matchRef{MatchRef: r, col: -1, want: make([]bool, len(keep))}
	markColumns(r.X, out.want)
	switch r.Kind {
	case spec.MatchRow:
		out.x, err = expr.Compile(r.X)
	case spec.MatchAgg:
		if out.args, err = newExprList(r.Agg.Args); err != nil {
			return err
		}
		for _, a := range r.Agg.Args {
			markColumns(a, out.want)
		}
		if r.Agg.Filter != nil {
			markColumns(r.Agg.Filter, out.want)
			out.filter, err = expr.Compile(r.Agg.Filter)
		}
		out.off = m.slab.Stride
		m.slab.Stride += r.Agg.Kernel.Words()
	}
	for i, w := range out.want {
		keep[i] = keep[i] || w
	}
	return err
}

// isLocal reports that the references a condition reads concern the current row and those before it, in the match or not.
func (m *Match) isLocal(refs []bool) bool {
	for i, read := range refs {
		r := &m.refs[i]
		local := r.Kind == spec.MatchClassifier || r.Kind == spec.MatchRow && r.Var < 0 && !r.First && r.Nth == 0
		if read && !local {
			return false
		}
	}
	return true
}

// tryLocal takes back, for a row that has just been put in order, the variables whose local conditions it does not fulfil.
func (m *Match) tryLocal(row uint32) error {
	w := m.rows.at(row)
	for v := range m.vars {
		c := &m.vars[v]
		if !c.local || c.cond == nil || w[wordTruth]>>v&1 == 0 {
			continue
		}
		m.path = append(m.path[:0], pathRow{row, int32(v)})
		m.ext.Reset(c.want)
		if err := m.extend(m.ext, c.want, len(m.path)-1, 0); err != nil {
			return err
		}
		ok, err := m.test(c.cond, row)
		if err != nil {
			return err
		}
		if len(ok) == 0 {
			w[wordTruth] &^= 1 << v
		}
	}
	return nil
}

// test evaluates a condition over the rows of m.ext.
func (m *Match) test(cond *expr.Evaluator, row uint32) ([]uint32, error) {
	ctx := m.ctx
	old := ctx.RowError
	ctx.RowError = nil
	if m.Failed != nil {
		ctx.RowError = func(_ uint32, err error) { m.Failed(m.rows.time(row), err) }
	}
	ok, err := cond.Filter(ctx, m.ext, batch.All(m.ext.N), m.at[:0])
	m.at, ctx.RowError = ok, old
	return ok, err
}

// tryRuns finds which runs fit a row, where conditions read other rows of the match: m.fits by number of the run.
func (m *Match) tryRuns(k *matchKey, row uint32, runs []uint64) error {
	truth := m.rows.at(row)[wordTruth]
	m.fits = m.fits[:0]
	for range runs {
		m.fits = append(m.fits, true)
	}
	for v := range m.vars {
		c := &m.vars[v]
		if c.cond == nil || c.local || truth>>v&1 == 0 {
			continue
		}
		m.tried = m.tried[:0]
		m.ext.Reset(c.want)
		for i, run := range runs {
			if m.spec.States[run>>32].Var != int32(v) {
				continue
			}
			m.goBack(k, k.done, uint32(run))
			m.path = append(m.path, pathRow{row, int32(v)})
			if err := m.extend(m.ext, c.want, len(m.path)-1, k.number+1); err != nil {
				return err
			}
			m.tried = append(m.tried, uint32(i))
			m.fits[i] = false
		}
		if len(m.tried) == 0 {
			continue
		}
		ok, err := m.test(c.cond, row)
		if err != nil {
			return err
		}
		for _, i := range ok {
			m.fits[m.tried[i]] = true
		}
	}
	return nil
}

// extend appends to b a row of the path, number at, with the references that want selects.
func (m *Match) extend(b *batch.Batch, want []bool, at int, number uint64) error {
	m.rows.load(b, m.path[at].row)
	width := len(m.schema.Cols)
	for i := range m.refs {
		if want[width+i] {
			if err := m.appendRef(&b.Cols[width+i], &m.refs[i], at, number); err != nil {
				return err
			}
		}
	}
	b.N++
	return nil
}

// appendRef appends a reference's value as seen from row at of the path.
func (m *Match) appendRef(v *batch.Vec, r *matchRef, at int, number uint64) error {
	rows := m.path[:at+1]
	if r.Final {
		rows = m.path
	}
	switch r.Kind {
	case spec.MatchNumber:
		v.AppendInt(int64(number))
		return nil
	case spec.MatchClassifier:
		v.AppendString(m.spec.Vars[rows[len(rows)-1].v].Name)
		return nil
	case spec.MatchAgg:
		return m.appendAgg(v, r, rows)
	}
	row := r.find(rows)
	for i := 0; i < r.Back && row != 0; i++ {
		row = m.rows.before(row)
	}
	switch {
	case row == 0:
		v.AppendNull()
	case r.col >= 0:
		m.rows.appendValue(v, row, r.col)
	default:
		m.one.Reset(r.want)
		m.rows.load(m.one, row)
		m.one.N = 1
		x, err := m.evalOne(r.x, row)
		if err != nil {
			return err
		}
		v.AppendFrom(x, 0)
	}
	return nil
}

// evalOne evaluates over the rows of m.one.
func (m *Match) evalOne(ev *expr.Evaluator, row uint32) (*batch.Vec, error) {
	old := m.ctx.RowError
	m.ctx.RowError = nil
	if m.Failed != nil {
		m.ctx.RowError = func(_ uint32, err error) { m.Failed(m.rows.time(row), err) }
	}
	x, err := ev.Eval(m.ctx, m.one, batch.All(m.one.N))
	m.ctx.RowError = old
	return x, err
}

// find returns the row that the reference begins at, 0 for none.
func (r *matchRef) find(rows []pathRow) uint32 {
	n := r.Nth
	if r.First {
		for _, p := range rows {
			if r.Var >= 0 && p.v != int32(r.Var) {
				continue
			}
			if n == 0 {
				return p.row
			}
			n--
		}
		return 0
	}
	for i := len(rows) - 1; i >= 0; i-- {
		if r.Var >= 0 && rows[i].v != int32(r.Var) {
			continue
		}
		if n == 0 {
			return rows[i].row
		}
		n--
	}
	return 0
}

// appendAgg folds the rows of the reference's variable and appends the result.
func (m *Match) appendAgg(v *batch.Vec, r *matchRef, rows []pathRow) error {
	m.slab.Reset()
	m.slab.Grow(1)
	for len(rows) > 0 {
		m.one.Reset(r.want)
		last := uint32(0)
		for len(rows) > 0 && m.one.N < batch.RowsMax {
			if p := rows[0]; r.Var < 0 || p.v == int32(r.Var) {
				m.rows.load(m.one, p.row)
				m.one.N++
				last = p.row
			}
			rows = rows[1:]
		}
		if m.one.N == 0 {
			break
		}
		if err := m.fold(r, last); err != nil {
			return err
		}
	}
	value, err := r.Agg.Kernel.Result(&m.slab, r.off, 0)
	if err != nil {
		return err
	}
	v.AppendValue(value)
	return nil
}

// fold adds the rows of m.one to an aggregate.
func (m *Match) fold(r *matchRef, row uint32) error {
	sel := batch.All(m.one.N)
	old := m.ctx.RowError
	m.ctx.RowError = nil
	defer func() { m.ctx.RowError = old }()
	if r.filter != nil {
		var err error
		if m.at, err = r.filter.Filter(m.ctx, m.one, sel, m.at[:0]); err != nil || len(m.at) == 0 {
			return err
		}
		sel = m.at
	}
	if err := r.args.eval(m.ctx, m.one, sel); err != nil {
		return err
	}
	for len(m.zeros) < len(sel) {
		m.zeros = append(m.zeros, 0)
	}
	return r.Agg.Kernel.Update(&m.slab, r.off, m.zeros[:len(sel)], r.args.vecs)
}
