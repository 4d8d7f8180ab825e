package task

import (
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Bounds of what a run remembers of its subplans.
const (
	// subplanDepthMax is how deep subplans may nest at run time.
	subplanDepthMax = 32
	// memoRowsMax is the size of a result, in rows, up to which a correlated subplan's result is remembered.
	memoRowsMax = 64
	// memoEntriesMax is the number of results remembered for one correlated subplan.
	memoEntriesMax = 10_000
)

// subplans implements expr.Subplans for one run. The result of a subplan depends on nothing but the columns of outer rows
// that it refers to, so results are remembered by the values of those: a plan that refers to none runs once.
type subplans struct {
	run *run
	// plans has what is known of each plan; programs the plans made for lateral joins.
	plans    map[*spec.Program]*subplan
	programs map[*spec.Node]*spec.Program
	// relations keeps what was read of virtual relations, so that a correlated subplan does not compute them for each row,
	// and all its runs see the same rows.
	relations map[*spec.Node][]*batch.Batch
}

var _ expr.Subplans = (*subplans)(nil)

// outerRef is a column of an enclosing row, as the root of a subplan sees it.
type outerRef struct{ depth, index int }

// subplan is what a run knows of one plan.
type subplan struct {
	refs     []outerRef
	volatile bool
	memo     map[string][][]types.Value
	// idle are built trees that are not in use.
	idle []*node
	key  []byte
}

// program returns the plan of a lateral join's right side.
func (s *subplans) program(n *spec.Node) *spec.Program {
	p, ok := s.programs[n]
	if !ok {
		p = &spec.Program{Root: n}
		if s.programs == nil {
			s.programs = map[*spec.Node]*spec.Program{}
		}
		s.programs[n] = p
	}
	return p
}

// RunSubplan implements expr.Subplans.
func (s *subplans) RunSubplan(plan any, outer [][]types.Value) ([][]types.Value, error) {
	p, ok := plan.(*spec.Program)
	if !ok {
		return nil, fmt.Errorf("subplan is a %T", plan)
	}
	sp := s.plans[p]
	if sp == nil {
		sp = analyse(p)
		if s.plans == nil {
			s.plans = map[*spec.Program]*subplan{}
		}
		s.plans[p] = sp
	}
	key, ok := sp.memoKey(outer)
	if ok {
		if rows, hit := sp.memo[key]; hit {
			return rows, nil
		}
	}
	rows, bytes, err := s.execute(p, sp, outer)
	if err != nil {
		return nil, err
	}
	if !ok || len(sp.refs) > 0 && (len(rows) > memoRowsMax || len(sp.memo) >= memoEntriesMax) {
		s.run.mem.Release(bytes)
		return rows, nil
	}
	if sp.memo == nil {
		sp.memo = map[string][][]types.Value{}
	}
	sp.memo[key] = rows
	return rows, nil
}

// memoKey encodes the values a subplan depends on; false when its result must not be remembered.
func (sp *subplan) memoKey(outer [][]types.Value) (string, bool) {
	if sp.volatile {
		return "", false
	}
	sp.key = sp.key[:0]
	for _, r := range sp.refs {
		if r.depth > len(outer) || r.index >= len(outer[r.depth-1]) {
			return "", false
		}
		v := outer[r.depth-1][r.index]
		if v.Type.Kind == types.Numeric && !v.Null {
			// 1.0 and 1.00 are equal but not the same.
			sp.key = append(append(sp.key, 2), v.S...)
			sp.key = append(sp.key, 0)
			continue
		}
		sp.key = batch.AppendKeyValue(sp.key, v)
	}
	return string(sp.key), true
}

// execute runs a subplan and returns its rows with the bytes taken from the budget for them.
func (s *subplans) execute(p *spec.Program, sp *subplan, outer [][]types.Value) ([][]types.Value, int64, error) {
	r := s.run
	if r.depth >= subplanDepthMax {
		return nil, 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "subqueries are nested more than %d levels deep", subplanDepthMax)
	}
	var tree *node
	if k := len(sp.idle); k > 0 {
		tree, sp.idle = sp.idle[k-1], sp.idle[:k-1]
	} else {
		var err error
		if tree, err = r.build(p.Root); err != nil {
			return nil, 0, err
		}
	}
	r.depth++
	var rows [][]types.Value
	var bytes int64
	err := r.runTree(tree, slices.Clone(outer), func(in op.Input) error {
		for _, i := range in.Sel {
			row := in.B.Row(make([]types.Value, 0, len(in.B.Cols)), int(i))
			size := rowBytes(row)
			if err := r.mem.Grow(size); err != nil {
				return err
			}
			bytes += size
			rows = append(rows, row)
		}
		return nil
	})
	r.depth--
	if err != nil {
		r.mem.Release(bytes)
		return nil, 0, err
	}
	sp.idle = append(sp.idle, tree)
	return rows, bytes, nil
}

// rowBytes is what a row of scalars takes.
func rowBytes(row []types.Value) int64 {
	const valueBytes, rowHeaderBytes = 56, 24
	n := int64(rowHeaderBytes + valueBytes*len(row))
	for _, v := range row {
		n += int64(len(v.S))
	}
	return n
}

// virtual emits a virtual relation, reading it on first use only.
func (s *subplans) virtual(n *spec.Node, out op.Emitter) error {
	chunks, ok := s.relations[n]
	if !ok {
		err := s.run.scan(n, emitFunc(func(in op.Input) error {
			b := batch.New(&n.Schema, nil)
			for c := range b.Cols {
				src := &in.B.Cols[c]
				if b.Cols[c].Absent = src.Absent; src.Absent {
					continue
				}
				for _, i := range in.Sel {
					b.Cols[c].AppendFrom(src, int(i))
				}
			}
			b.N = len(in.Sel)
			chunks = append(chunks, b)
			return s.run.mem.Grow(op.BatchBytes(b))
		}))
		if err != nil {
			return err
		}
		if s.relations == nil {
			s.relations = map[*spec.Node][]*batch.Batch{}
		}
		s.relations[n] = chunks
	}
	for _, b := range chunks {
		if err := out.Emit(op.Input{B: b, Sel: batch.All(b.N)}); err != nil {
			return err
		}
	}
	return nil
}

// emitFunc is an op.Emitter from a function.
type emitFunc func(op.Input) error

// Emit implements op.Emitter.
func (f emitFunc) Emit(in op.Input) error { return f(in) }

// analyse finds what a plan depends on.
func analyse(p *spec.Program) *subplan {
	sp := &subplan{}
	sp.node(p.Root, 0)
	return sp
}

// node looks at a plan node that is shift subplans below the root.
func (sp *subplan) node(n *spec.Node, shift int) {
	for i, in := range n.In {
		below := shift
		if j, ok := n.Op.(*spec.Join); ok && j.Lateral && i == 1 {
			below++
		}
		sp.node(in, below)
	}
	if _, ok := n.Op.(*spec.WorkScan); ok {
		sp.volatile = true // its rows are others in each round
	}
	for _, e := range nodeExprs(n.Op) {
		sp.expr(e, shift)
	}
}

// expr looks at an expression of a node shift subplans below the root.
func (sp *subplan) expr(e expr.Expr, shift int) {
	expr.Walk(e, func(x expr.Expr) bool {
		switch x := x.(type) {
		case *expr.Outer:
			ref := outerRef{x.Depth - shift, x.Index}
			if ref.depth >= 1 && !slices.Contains(sp.refs, ref) {
				sp.refs = append(sp.refs, ref)
			}
		case *expr.Call:
			sp.volatile = sp.volatile || x.Def.Volatility == fn.Volatile
		case *expr.UDF:
			// A user's function may be volatile; only its caller knows.
			sp.volatile = true
		case *expr.Subquery:
			if p, ok := x.Plan.(*spec.Program); ok {
				sp.node(p.Root, shift+1)
			}
		}
		return true
	})
}

// nodeExprs lists the expressions of an operator.
func nodeExprs(o spec.Op) []expr.Expr {
	switch s := o.(type) {
	case *spec.Values:
		return slices.Concat(s.Rows...)
	case *spec.FuncScan:
		return funcExprs(s)
	case *spec.Filter:
		return []expr.Expr{s.Cond}
	case *spec.Project:
		return s.Exprs
	case *spec.ProjectSet:
		list := slices.Clone(s.Exprs)
		for _, f := range s.Funcs {
			if f != nil {
				list = append(list, funcExprs(f)...)
			}
		}
		return list
	case *spec.HashAgg:
		return groupExprs(s.Keys, s.Aggs)
	case *spec.GroupingSets:
		return groupExprs(s.Keys, s.Aggs)
	case *spec.SortedOver:
		return spec.SortedExprs(s)
	case *spec.Distinct:
		return s.On
	case *spec.Join:
		return slices.Concat(s.LeftKeys, s.RightKeys, []expr.Expr{s.Cond})
	case *spec.LookupJoin:
		return append(slices.Clone(s.Keys), s.AsOf, s.Cond)
	case *spec.Sort:
		return sortExprs(s.Keys)
	case *spec.Limit:
		return []expr.Expr{s.Count, s.Offset}
	}
	return nil
}

func groupExprs(keys []expr.Expr, aggs []spec.AggCall) []expr.Expr {
	list := slices.Clone(keys)
	for i := range aggs {
		a := &aggs[i]
		list = append(append(list, a.Args...), a.Filter)
		list = append(list, sortExprs(a.OrderBy)...)
	}
	return list
}

func funcExprs(f *spec.FuncScan) []expr.Expr {
	list := slices.Clone(f.Args)
	for _, w := range f.With {
		list = append(list, funcExprs(w)...)
	}
	return list
}

func sortExprs(keys []spec.SortKey) []expr.Expr {
	list := make([]expr.Expr, len(keys))
	for i, k := range keys {
		list[i] = k.X
	}
	return list
}
