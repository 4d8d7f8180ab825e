package bind

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// matchBinder binds one MATCH_RECOGNIZE.
type matchBinder struct {
	*fromBinder
	t     *parse.TableMatch
	src   *fromItem
	frame *frame
	scope *matchScope
	spec  *spec.Match
	// conds are the conditions of the variables that read one row, nil for none.
	conds []expr.Expr
	names []string // of the keys
}

// tableMatch binds source MATCH_RECOGNIZE (...).
func (fb *fromBinder) tableMatch(t *parse.TableMatch) (*fromItem, error) {
	if !fb.continuous {
		return nil, unsupported(t.Pos, "MATCH_RECOGNIZE in a query that ends", "Write it in CREATE CONTINUOUS QUERY.")
	}
	src, err := fb.table(t.Source)
	if err != nil {
		return nil, err
	}
	if src.window != nil {
		return nil, unsupported(t.Pos, "MATCH_RECOGNIZE over a window", "Bound the match with WITHIN INTERVAL '...'.")
	}
	if q, ok := scanned(src.node).(*catalog.Query); ok && q.Updates {
		return nil, unsupported(t.Pos, "MATCH_RECOGNIZE over a query whose results are updated", "Use EMIT ON WINDOW CLOSE in that query.")
	}
	m := &matchBinder{fromBinder: fb, t: t, src: src, frame: src.frame(nil), spec: &spec.Match{AllRows: t.AllRows, SkipVar: -1}}
	m.scope = &matchScope{vars: map[string]int{}, width: len(src.node.Schema.Cols), self: -1}
	for _, step := range []func() error{m.variables, m.keys, m.order, m.defines, m.measures} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	it := fb.item(m.node(), &rel{alias: t.Alias}, nil)
	return it, it.rename(t.Columns, t.Alias, t.Pos)
}

// clause makes a binder for expressions over the source's row.
func (m *matchBinder) clause(name string, scope *matchScope) *scalar {
	return &scalar{binder: m.binder, f: m.frame, ctes: m.ctes, clause: name, match: scope}
}

// variables numbers the variables of the pattern and compiles it.
func (m *matchBinder) variables() error {
	var visit func(p *parse.Pattern) error
	visit = func(p *parse.Pattern) error {
		for _, item := range p.Items {
			if err := visit(item); err != nil {
				return err
			}
		}
		if _, known := m.scope.vars[p.Name]; p.Kind != "VAR" || known {
			return nil
		}
		if len(m.spec.Vars) == spec.MatchVarsMax {
			return sqlerr.New(sqlerr.ProgramLimitExceeded, "a pattern may have at most %d different variables", spec.MatchVarsMax).At(p.Pos)
		}
		m.scope.vars[p.Name] = len(m.spec.Vars)
		m.spec.Vars = append(m.spec.Vars, spec.MatchVar{Name: p.Name, Col: -1})
		return nil
	}
	if err := visit(m.t.Pattern); err != nil {
		return err
	}
	m.scope.names = m.spec.Vars
	m.spec.Pattern = parse.PrintPattern(m.t.Pattern)
	if err := compilePattern(m.spec, m.t.Pattern, m.scope.vars, m.t.Pattern.Pos); err != nil {
		return err
	}
	return m.skip()
}

// skip resolves AFTER MATCH SKIP.
func (m *matchBinder) skip() error {
	modes := map[string]spec.MatchSkip{"PAST LAST ROW": spec.SkipPastLast, "TO NEXT ROW": spec.SkipToNext, "TO FIRST": spec.SkipToFirst, "TO LAST": spec.SkipToLast}
	m.spec.Skip = modes[m.t.Skip]
	if m.t.SkipTo == "" {
		return nil
	}
	v, ok := m.scope.vars[m.t.SkipTo]
	if !ok {
		return m.noVariable(m.t.SkipTo, m.t.Pos)
	}
	m.spec.SkipVar = v
	first := m.spec.Skip == spec.SkipToFirst
	for _, s := range m.spec.Start {
		first = first && s != spec.MatchAccept && m.spec.States[s].Var == int32(v)
	}
	if first {
		return sqlerr.New(sqlerr.InvalidParameterValue, "AFTER MATCH SKIP TO FIRST %s would go to the first row of the match again", m.t.SkipTo).At(m.t.Pos).
			WithHint("Write AFTER MATCH SKIP TO NEXT ROW.")
	}
	return nil
}

func (m *matchBinder) noVariable(name string, pos int) error {
	return sqlerr.New(sqlerr.UndefinedObject, "pattern variable %q does not occur in PATTERN", name).At(pos)
}

// keys binds PARTITION BY.
func (m *matchBinder) keys() error {
	s := m.clause("PARTITION BY", nil)
	for _, e := range m.t.PartitionBy {
		t, err := s.term(e)
		if err != nil {
			return err
		}
		x, err := m.textIfUnknown(t)
		if err != nil {
			return err
		}
		if !hasOperator(x.Type(), true) {
			return sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", x.Type()).At(t.pos)
		}
		m.spec.Keys, m.names = append(m.spec.Keys, x), append(m.names, columnName(e))
	}
	return nil
}

// order checks that ORDER BY is over event time, which is the default too; ties keep the order of arrival.
func (m *matchBinder) order() error {
	times := logical.Times(m.src.node)
	m.spec.TimeCol = logical.DefaultTime(m.src.node)
	if len(m.t.OrderBy) == 0 {
		if m.spec.TimeCol < 0 {
			return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "MATCH_RECOGNIZE needs rows with an event time").At(m.t.Pos).
				WithHint("Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'.")
		}
		return nil
	}
	o := m.t.OrderBy[0]
	pos := start(o.Expr)
	x, err := m.clause("ORDER BY", nil).bind(o.Expr)
	if err != nil {
		return err
	}
	c, ok := x.(*expr.Column)
	if !ok || times[c.Index] == logical.NoTime {
		return sqlerr.New(sqlerr.WindowingError, "MATCH_RECOGNIZE must be ordered by event time").At(pos).
			WithHint("Name the column that the stream's WATERMARK is for.")
	}
	if o.Desc || o.NullsFirst > 0 {
		return unsupported(pos, "MATCH_RECOGNIZE in descending order", "Turn the pattern round.")
	}
	if len(m.t.OrderBy) > 1 {
		return unsupported(start(m.t.OrderBy[1].Expr), "a second column in ORDER BY of MATCH_RECOGNIZE", "Rows of one time keep the order in which they arrived.")
	}
	m.spec.TimeCol = c.Index
	return nil
}

// defines binds the conditions, parted into what reads the row alone and what reads other rows.
func (m *matchBinder) defines() error {
	if w := m.t.Within; w != nil {
		var err error
		if m.spec.Within, err = m.duration(w, "WITHIN"); err != nil {
			return err
		}
		if m.spec.Within <= 0 {
			return sqlerr.New(sqlerr.InvalidParameterValue, "WITHIN must be positive").At(w.Pos)
		}
	}
	m.conds = make([]expr.Expr, len(m.spec.Vars))
	seen := map[int]bool{}
	for _, d := range m.t.Define {
		v, ok := m.scope.vars[d.Name]
		if !ok {
			return m.noVariable(d.Name, d.Pos)
		}
		if seen[v] {
			return sqlerr.New(sqlerr.DuplicateAlias, "pattern variable %q is defined more than once", d.Name).At(d.Pos)
		}
		seen[v] = true
		m.scope.self = v
		cond, err := m.clause("DEFINE", m.scope).condition(d.Cond, "DEFINE")
		m.scope.self = -1
		if err != nil {
			return err
		}
		own, other := partition(logical.Conjuncts(cond), func(e expr.Expr) bool { return m.scope.rowOnly(e) })
		m.conds[v], m.spec.Vars[v].Cond = logical.AndAll(own), logical.AndAll(other)
	}
	return nil
}

func partition(list []expr.Expr, first func(expr.Expr) bool) (a, b []expr.Expr) {
	for _, e := range list {
		if first(e) {
			a = append(a, e)
		} else {
			b = append(b, e)
		}
	}
	return a, b
}

func (m *matchBinder) measures() error {
	m.scope.allRows = m.spec.AllRows
	for i := range m.t.Measures {
		t, err := m.clause("MEASURES", m.scope).term(m.t.Measures[i].Expr)
		if err != nil {
			return err
		}
		x, err := m.textIfUnknown(t)
		if err != nil {
			return err
		}
		m.spec.Measures = append(m.spec.Measures, x)
	}
	m.spec.Refs = m.scope.refs
	return nil
}

// node builds the projection of what the match reads, and the match over it.
func (m *matchBinder) node() *logical.Node {
	in := m.src.node.Schema.Cols
	used := make([]bool, len(in))
	for i := range used {
		used[i] = m.spec.AllRows || i == m.spec.TimeCol
	}
	m.each(func(e expr.Expr) expr.Expr {
		logical.Columns(e, func(i int) {
			if i < len(in) {
				used[i] = true
			}
		})
		return e
	})
	op := &logical.Project{}
	below := &logical.Node{Op: op, In: []*logical.Node{m.src.node}}
	add := func(e expr.Expr, name string) int {
		op.Exprs = append(op.Exprs, e)
		below.Schema.Cols = append(below.Schema.Cols, types.Column{Name: name, Type: e.Type()})
		return len(op.Exprs) - 1
	}
	place := make([]int, len(in))
	for i, c := range in {
		if used[i] {
			place[i] = add(&expr.Column{Index: i, Name: c.Name, Typ: c.Type}, c.Name)
		}
	}
	columns := len(op.Exprs)
	for i, k := range m.spec.Keys {
		if c, ok := k.(*expr.Column); ok && used[c.Index] {
			m.spec.Keys[i] = &expr.Column{Index: place[c.Index], Name: c.Name, Typ: c.Typ}
			continue
		}
		m.spec.Keys[i] = &expr.Column{Index: add(k, m.names[i]), Name: keyName(k), Typ: k.Type()}
	}
	for v, cond := range m.conds {
		if cond != nil {
			m.spec.Vars[v].Col = add(cond, "is "+m.spec.Vars[v].Name)
		}
	}
	m.each(func(e expr.Expr) expr.Expr {
		return logical.Remap(e, func(i int) int {
			if i >= len(in) {
				return len(op.Exprs) + i - len(in)
			}
			return place[i]
		})
	})
	m.spec.TimeCol = place[m.spec.TimeCol]
	return &logical.Node{Op: &logical.Match{Spec: m.spec}, In: []*logical.Node{below}, Schema: m.schema(below.Schema.Cols[:columns])}
}

// each replaces the expressions that read rows of the match.
func (m *matchBinder) each(f func(expr.Expr) expr.Expr) {
	apply := func(e expr.Expr) expr.Expr {
		if e == nil {
			return nil
		}
		return f(e)
	}
	list := func(in []expr.Expr) {
		for i := range in {
			in[i] = apply(in[i])
		}
	}
	for i := range m.spec.Vars {
		m.spec.Vars[i].Cond = apply(m.spec.Vars[i].Cond)
	}
	for i := range m.spec.Refs {
		r := &m.spec.Refs[i]
		r.X, r.Agg.Filter = apply(r.X), apply(r.Agg.Filter)
		list(r.Agg.Args)
	}
	list(m.spec.Measures)
}

// schema is the output's row type.
func (m *matchBinder) schema(rows []types.Column) (out types.Schema) {
	if m.spec.AllRows {
		out.Cols = append(out.Cols, rows...)
	} else {
		for i, k := range m.spec.Keys {
			out.Cols = append(out.Cols, types.Column{Name: m.names[i], Type: k.Type()})
		}
	}
	for i, x := range m.spec.Measures {
		out.Cols = append(out.Cols, types.Column{Name: m.t.Measures[i].Alias, Type: x.Type()})
	}
	return out
}
