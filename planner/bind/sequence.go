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

// sequenceStagesMax bounds the stages of a SEQUENCE, repetitions unfolded.
const sequenceStagesMax = 256

// sequenceBinder binds one SEQUENCE.
type sequenceBinder struct {
	*fromBinder
	t        *parse.TableSequence
	spec     *spec.Match
	branches []*branch
	scope    *matchScope
	of       []int       // by variable: its branch
	conds    []expr.Expr // by variable, over its branch's row; nil: every row
	names    []string    // of the keys
}

// branch is one way in: the rows of a stream with their keys. Steps over one stream with the same keys share it.
type branch struct {
	text  string // what tells branches apart
	src   *fromItem
	keys  []expr.Expr
	time  int
	first int // place of its columns among those of all branches
}

// tableSequence binds SEQUENCE.
func (fb *fromBinder) tableSequence(t *parse.TableSequence) (*fromItem, error) {
	if !fb.continuous {
		return nil, unsupported(t.Pos, "SEQUENCE in a query that ends", "Write it in CREATE CONTINUOUS QUERY.")
	}
	b := &sequenceBinder{fromBinder: fb, t: t, scope: &matchScope{vars: map[string]int{}, self: -1}}
	b.spec = &spec.Match{SkipVar: -1, Sequence: &spec.Sequence{Until: -1}, Pattern: parse.PrintSequence(t)}
	for _, step := range []func() error{b.within, b.steps, b.sameKeys, b.measures} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return fb.item(b.node(), &rel{}, nil), nil
}

func (b *sequenceBinder) within() (err error) {
	w := b.t.Within
	if w == nil {
		return nil
	}
	if b.spec.Within, err = b.duration(w, "WITHIN"); err == nil && b.spec.Within <= 0 {
		err = sqlerr.New(sqlerr.InvalidParameterValue, "WITHIN must be positive").At(w.Pos)
	}
	return err
}

// steps binds the steps and UNTIL; a missing one belongs to the step after it, or to the end.
func (b *sequenceBinder) steps() error {
	q := b.spec.Sequence
	var missing []int
	for i := range b.t.Steps {
		st := &b.t.Steps[i]
		v, err := b.step(st)
		if err != nil {
			return err
		}
		if st.Missing {
			if b.spec.Within == 0 {
				return sqlerr.New(sqlerr.InvalidParameterValue, "a step that must not come needs WITHIN").At(st.Pos).
					WithHint("Write SEQUENCE BY key WITHIN INTERVAL '10 minutes' ...")
			}
			missing = append(missing, v)
			continue
		}
		if len(q.Stages) == 0 {
			q.Before, missing = missing, nil
		}
		for n := 0; n < st.Min; n++ {
			q.Stages = append(q.Stages, spec.SequenceStage{Var: v, Missing: missing})
			missing = nil
		}
	}
	q.After = missing
	switch {
	case len(q.Stages) == 0:
		return sqlerr.New(sqlerr.InvalidParameterValue, "a sequence needs a step that comes").At(b.t.Pos)
	case len(q.Stages) > sequenceStagesMax:
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a sequence may have at most %d steps, repeated ones counted", sequenceStagesMax).At(b.t.Pos)
	case b.t.Until == nil:
		return nil
	}
	v, err := b.step(b.t.Until)
	q.Until = v
	return err
}

// step binds one step as a variable and returns its number.
func (b *sequenceBinder) step(st *parse.SequenceStep) (int, error) {
	switch {
	case st.Min == 0 || st.Max >= 0 && st.Max != st.Min:
		return 0, unsupported(st.Pos, "a step of SEQUENCE that comes between n and m times", "Write {n} or {n,}.")
	case st.Missing && (st.Min != 1 || st.Max != 1 || st.Alias != ""):
		return 0, unsupported(st.Pos, "a count or a name of a step that must not come", "Leave it out.")
	case len(b.spec.Vars) == spec.MatchVarsMax:
		return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "a sequence may have at most %d different steps", spec.MatchVarsMax).At(st.Pos)
	}
	at, err := b.branch(st)
	if err != nil {
		return 0, err
	}
	v := len(b.spec.Vars)
	name := st.Alias
	if name == "" {
		name = st.Source.Name
	} else if _, twice := b.scope.vars[name]; twice {
		return 0, sqlerr.New(sqlerr.DuplicateAlias, "step name %q specified more than once", name).At(st.Pos)
	} else {
		b.scope.vars[name] = v
	}
	var cond expr.Expr
	if st.Cond != nil {
		s := &scalar{binder: b.binder, f: b.branches[at].src.frame(nil), ctes: b.ctes, clause: "WHERE"}
		if cond, err = s.condition(st.Cond, "WHERE"); err != nil {
			return 0, err
		}
	}
	b.spec.Vars = append(b.spec.Vars, spec.MatchVar{Name: name, Col: -1})
	b.of, b.conds = append(b.of, at), append(b.conds, cond)
	return v, nil
}

// branch finds or makes the branch of a step.
func (b *sequenceBinder) branch(st *parse.SequenceStep) (int, error) {
	by := append(append([]parse.Expr(nil), b.t.By...), st.By...)
	ref := &parse.TableRef{Name: st.Source}
	text := st.Source.Schema + "." + st.Source.Name
	for _, e := range by {
		text += "\x00" + parse.PrintExpr(e)
	}
	for i, br := range b.branches {
		if br.text == text {
			return i, nil
		}
	}
	src, err := b.table(ref)
	if err != nil {
		return 0, err
	}
	if q, ok := scanned(src.node).(*catalog.Query); ok && q.Updates {
		return 0, unsupported(st.Pos, "SEQUENCE over a query whose results are updated", "Use EMIT ON WINDOW CLOSE in that query.")
	}
	br := &branch{text: text, src: src, time: logical.DefaultTime(src.node)}
	if br.time < 0 {
		return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "SEQUENCE needs rows with an event time").At(st.Pos).
			WithHint("Create the stream with WATERMARK FOR ts AS ts - INTERVAL '5 seconds'.")
	}
	s := &scalar{binder: b.binder, f: src.frame(nil), ctes: b.ctes, clause: "BY"}
	for i, e := range by {
		x, err := s.bind(e)
		if err == nil {
			x, err = b.textIfUnknown(term{x, start(e)})
		}
		if err != nil {
			return 0, err
		}
		br.keys = append(br.keys, x)
		if len(b.branches) == 0 {
			b.names = append(b.names, columnName(by[i]))
		}
	}
	if n := len(b.branches); n > 0 {
		prev := b.branches[n-1]
		br.first = prev.first + len(prev.src.node.Schema.Cols)
		if len(prev.keys) != len(br.keys) {
			return 0, sqlerr.New(sqlerr.SyntaxError, "all steps of a sequence must have the same number of keys").At(st.Pos)
		}
	}
	b.branches = append(b.branches, br)
	return len(b.branches) - 1, nil
}

// sameKeys gives the keys of all branches the same types.
func (b *sequenceBinder) sameKeys() error {
	s := &scalar{binder: b.binder, f: &frame{}, clause: "BY"}
	for i := range b.names {
		var terms []term
		for _, br := range b.branches {
			terms = append(terms, term{br.keys[i], b.t.Pos})
		}
		list, typ, err := s.unify(terms, "BY")
		if err != nil {
			return err
		}
		if !hasOperator(typ, true) {
			return sqlerr.New(sqlerr.UndefinedFunction, "could not identify an equality operator for type %s", typ).At(b.t.Pos)
		}
		for n, br := range b.branches {
			br.keys[i] = list[n]
		}
	}
	return nil
}

// width is the number of columns of all branches.
func (b *sequenceBinder) width() int {
	last := b.branches[len(b.branches)-1]
	return last.first + len(last.src.node.Schema.Cols)
}

func (b *sequenceBinder) measures() error {
	b.scope.width, b.scope.names = b.width(), b.spec.Vars
	for _, at := range b.of {
		br := b.branches[at]
		f := br.src.frame(nil)
		shifted := &frame{}
		for _, r := range f.rels {
			shifted.rels = append(shifted.rels, r.shifted(br.first))
		}
		b.scope.frames = append(b.scope.frames, shifted)
	}
	s := &scalar{binder: b.binder, f: &frame{}, ctes: b.ctes, clause: "MEASURES", match: b.scope}
	for i := range b.t.Measures {
		t, err := s.term(b.t.Measures[i].Expr)
		if err != nil {
			return err
		}
		x, err := b.textIfUnknown(t)
		if err != nil {
			return err
		}
		b.spec.Measures = append(b.spec.Measures, x)
	}
	b.spec.Refs = b.scope.refs
	return nil
}

// node builds the branches side by side in one row type (time, keys, what measures read, one boolean per step) and the sequence
// over them.
func (b *sequenceBinder) node() *logical.Node {
	m := &matchBinder{spec: b.spec}
	used := make([]bool, b.width())
	m.each(func(e expr.Expr) expr.Expr {
		logical.Columns(e, func(i int) {
			if i < len(used) {
				used[i] = true
			}
		})
		return e
	})
	place := make([]int, len(used))
	next := 1 + len(b.names)
	for i, u := range used {
		if place[i] = next; u {
			next++
		}
	}
	for v := range b.spec.Vars {
		b.spec.Vars[v].Col = next + v
	}
	width := next + len(b.spec.Vars)
	m.each(func(e expr.Expr) expr.Expr {
		return logical.Remap(e, func(i int) int {
			if i >= len(used) {
				return width + i - len(used)
			}
			return place[i]
		})
	})
	in := b.branchNode(0, used)
	for i := 1; i < len(b.branches); i++ {
		right := b.branchNode(i, used)
		in = &logical.Node{Op: &logical.SetOp{Kind: "UNION", All: true}, In: []*logical.Node{in, right}, Schema: in.Schema}
	}
	return b.over(in, width)
}

// branchNode is one branch: its rows that some step takes, in the common row type.
func (b *sequenceBinder) branchNode(at int, used []bool) *logical.Node {
	br := b.branches[at]
	cols := br.src.node.Schema.Cols
	op, schema := &logical.Project{}, types.Schema{}
	add := func(e expr.Expr, name string) {
		op.Exprs = append(op.Exprs, e)
		schema.Cols = append(schema.Cols, types.Column{Name: name, Type: e.Type()})
	}
	add(&expr.Column{Index: br.time, Name: cols[br.time].Name, Typ: cols[br.time].Type}, "ts")
	for i, k := range br.keys {
		add(k, b.names[i])
	}
	for _, other := range b.branches {
		for i, c := range other.src.node.Schema.Cols {
			switch {
			case !used[other.first+i]:
			case other == br:
				add(&expr.Column{Index: i, Name: c.Name, Typ: c.Type}, c.Name)
			default:
				add(&expr.Const{Val: types.Null(c.Type)}, c.Name)
			}
		}
	}
	var any []expr.Expr
	all := false
	for v, cond := range b.conds {
		switch {
		case b.of[v] != at:
			cond = &expr.Const{Val: types.NewBool(false)}
		case cond == nil:
			cond, all = &expr.Const{Val: types.NewBool(true)}, true
		default:
			any = append(any, cond)
		}
		add(cond, "is "+b.spec.Vars[v].Name)
	}
	var conds []expr.Expr
	for _, k := range br.keys { // as in EQL, a row without a key is part of no sequence
		conds = append(conds, &expr.IsNull{X: k, Not: true})
	}
	switch {
	case all:
	case len(any) == 1:
		conds = append(conds, any[0])
	default:
		conds = append(conds, &expr.Or{Args: any})
	}
	return &logical.Node{Op: op, In: []*logical.Node{logical.NewFilter(br.src.node, conds)}, Schema: schema}
}

// over puts the sequence over its rows: keys, the times of the first and the last row, measures.
func (b *sequenceBinder) over(in *logical.Node, width int) *logical.Node {
	var out types.Schema
	for i, name := range b.names {
		c := in.Schema.Cols[1+i]
		b.spec.Keys = append(b.spec.Keys, &expr.Column{Index: 1 + i, Name: name, Typ: c.Type})
		out.Cols = append(out.Cols, types.Column{Name: name, Type: c.Type})
	}
	ts := &expr.Column{Index: 0, Name: "ts", Typ: in.Schema.Cols[0].Type}
	first := spec.MatchRef{Var: -1, First: true, X: ts, Typ: ts.Typ, Name: "first(ts)"}
	b.spec.Refs = append(b.spec.Refs, first)
	start := &expr.Column{Index: width + len(b.spec.Refs) - 1, Name: first.Name, Typ: ts.Typ}
	b.spec.Measures = append([]expr.Expr{start, ts}, b.spec.Measures...)
	out.Cols = append(out.Cols, types.Column{Name: "sequence_start", Type: ts.Typ}, types.Column{Name: "sequence_end", Type: ts.Typ})
	for i := range b.t.Measures {
		out.Cols = append(out.Cols, types.Column{Name: b.t.Measures[i].Alias, Type: b.spec.Measures[2+i].Type()})
	}
	return &logical.Node{Op: &logical.Match{Spec: b.spec}, In: []*logical.Node{in}, Schema: out}
}
