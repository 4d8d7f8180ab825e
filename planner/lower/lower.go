// Package lower turns an optimized logical tree into the physical plan: it chooses operators, binds aggregates to their
// kernels, and puts the exchange by key before the windowed grouping of continuous programs.
package lower

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
)

// Program lowers a query.
func Program(q *logical.Query) (*spec.Program, error) {
	l := &lowerer{params: q.Params, continuous: q.Continuous, tablePos: q.TablePos}
	if r, ok := q.Root.Op.(*logical.Result); ok {
		l.query = r
	}
	p, err := l.program(q.Root)
	if err == nil {
		p.Stages = l.stages
	}
	return p, err
}

// lowerer lowers one statement and the subqueries in it; err is the first failure.
type lowerer struct {
	params     []types.Type
	continuous bool
	tablePos   map[uint64]int
	// query is the continuous query; stages are the parts of it that were cut off, lower ones first.
	query  *logical.Result
	stages []*spec.Query
	err    error
}

func (l *lowerer) program(root *logical.Node) (*spec.Program, error) {
	n := l.node(root)
	if l.err != nil {
		return nil, l.err
	}
	return &spec.Program{Root: n, Params: l.params, Continuous: l.continuous}, nil
}

func (l *lowerer) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// node lowers one operator and its inputs.
func (l *lowerer) node(n *logical.Node) *spec.Node {
	in := make([]*spec.Node, len(n.In))
	for i, c := range n.In {
		in[i] = l.node(c)
	}
	out := &spec.Node{In: in, Schema: n.Schema}
	switch op := n.Op.(type) {
	case *logical.Scan:
		out.Op = l.scan(op)
	case *logical.Values:
		rows := make([][]expr.Expr, len(op.Rows))
		for i, r := range op.Rows {
			rows[i] = l.exprs(r)
		}
		out.Op = &spec.Values{Rows: rows}
	case *logical.FuncScan:
		out.Op = l.funcScan(op.Func)
	case *logical.Filter:
		l.refuseCorrected(op.Conds, in[0])
		conds := l.exprs(op.Conds)
		if scan, ok := in[0].Op.(*spec.TableScan); ok {
			byKey(n.In[0], scan, conds)
		}
		out.Op = &spec.Filter{Cond: logical.AndAll(conds)}
	case *logical.Project:
		l.refuseCorrected(op.Exprs, in[0])
		out.Op = &spec.Project{Exprs: l.exprs(op.Exprs)}
	case *logical.ProjectSet:
		if l.continuous {
			l.refuseUpdates(in[0])
		}
		out.Op = l.projectSet(op, n.In[0])
	case *logical.Aggregate:
		return l.aggregate(out, op, n.In[0])
	case *logical.Match:
		return l.match(out, op)
	case *logical.Distinct:
		return l.distinct(out, op, n.In[0])
	case *logical.Join:
		if l.continuous {
			return l.streamJoin(n, op, in)
		}
		out.Op = l.join(op)
	case *logical.LookupJoin:
		out.Op = l.lookup(op, in[0])
	case *logical.SetOp:
		return l.setOp(out, op)
	case *logical.Recursive:
		out.Op = &spec.Recursive{ID: op.ID, Name: op.Name, All: op.All}
	case *logical.WorkScan:
		out.Op = &spec.WorkScan{ID: op.ID, Name: op.Name}
	case *logical.Shared:
		out.Op = &spec.Shared{ID: op.ID, Name: op.Name}
	case *logical.Over, *logical.FirstSeen, *logical.Suppress:
		return l.over(out, n.Op)
	case *logical.SortedOver:
		out.Op = l.sortedOver(op)
	case *logical.Sort:
		out.Op = &spec.Sort{Keys: l.sortKeys(op.Keys)}
	case *logical.Limit:
		out.Op = &spec.Limit{Count: l.expr(op.Count), Offset: l.expr(op.Offset)}
	case *logical.Result:
		out.Op = &spec.Result{QueryID: op.QueryID, Name: op.Name}
	default:
		l.fail(sqlerr.New(sqlerr.InternalError, "no physical operator for %T", n.Op))
	}
	return out
}

func (l *lowerer) scan(op *logical.Scan) spec.Op {
	switch r := op.Rel.(type) {
	case *catalog.Stream:
		want := op.Want
		if want == nil {
			want = make([]bool, len(r.Stream.Schema.Cols))
			for i := range want {
				want[i] = true
			}
		}
		return &spec.StreamScan{StreamID: r.ID, Name: r.Name, Want: want, Bounds: op.Bounds}
	case *catalog.Query:
		return &spec.ResultScan{QueryID: r.ID, Name: r.Name}
	case *catalog.TableRows:
		return &spec.TableScan{TableID: r.ID, Name: r.Name, Numbers: true}
	case *catalog.Table:
		return &spec.TableScan{TableID: r.ID, Name: r.Name}
	case *catalog.IOCList:
		return &spec.VirtualScan{Schema: catalog.Public, Name: r.Name}
	case *catalog.Virtual:
		if strings.HasSuffix(r.Name, catalog.LateSuffix) { // of a stream of users, whatever its schema
			return &spec.VirtualScan{Schema: catalog.Public, Name: catalog.Display(r.SchemaName, r.Name)}
		}
		return &spec.VirtualScan{Schema: r.SchemaName, Name: r.Name}
	}
	l.fail(sqlerr.New(sqlerr.InternalError, "no scan for %T", op.Rel))
	return nil
}

func (l *lowerer) funcScan(f logical.Func) *spec.FuncScan {
	out := &spec.FuncScan{Name: f.Name, Args: l.exprs(f.Args), Ordinality: f.Ordinality, Record: f.Record, Row: f.Row}
	for _, w := range f.With {
		out.With = append(out.With, l.funcScan(w))
	}
	return out
}

// projectSet passes the input on and appends the sets.
func (l *lowerer) projectSet(op *logical.ProjectSet, in *logical.Node) spec.Op {
	out := &spec.ProjectSet{}
	for i, c := range in.Schema.Cols {
		out.Exprs = append(out.Exprs, &expr.Column{Index: i, Name: c.Name, Typ: c.Type})
		out.Funcs = append(out.Funcs, nil)
	}
	for _, f := range op.Funcs {
		out.Exprs = append(out.Exprs, nil)
		out.Funcs = append(out.Funcs, l.funcScan(f))
	}
	return out
}

func (l *lowerer) join(op *logical.Join) spec.Op {
	kinds := map[logical.JoinKind]spec.JoinKind{
		logical.Inner: spec.Inner, logical.Left: spec.Left, logical.Right: spec.Right, logical.Full: spec.Full,
	}
	out := &spec.Join{
		Kind: kinds[op.Kind], LeftKeys: l.exprs(op.LeftKeys), RightKeys: l.exprs(op.RightKeys),
		Cond: logical.AndAll(l.exprs(op.Conds)), Lateral: op.Lateral,
	}
	if out.Kind == spec.Inner && len(out.LeftKeys) == 0 && out.Cond == nil {
		out.Kind = spec.Cross
	}
	return out
}

func (l *lowerer) setOp(out *spec.Node, op *logical.SetOp) *spec.Node {
	if l.continuous {
		return l.streamUnion(out)
	}
	if op.Kind != "UNION" {
		out.Op = &spec.SetOp{Except: op.Kind == "EXCEPT", All: op.All}
		return out
	}
	out.Op = &spec.Union{}
	out.In = flatUnion(out.In, op.All)
	if op.All {
		return out
	}
	return &spec.Node{Op: &spec.Distinct{}, In: []*spec.Node{out}, Schema: out.Schema}
}

// flatUnion takes the inputs of a union on the left into this one, so that a chain of thousands is one operator. Duplicates that UNION
// drops anyway need not be dropped below it.
func flatUnion(in []*spec.Node, all bool) []*spec.Node {
	left := in[0]
	if d, ok := left.Op.(*spec.Distinct); ok && !all && len(d.On) == 0 {
		left = left.In[0]
	}
	if _, ok := left.Op.(*spec.Union); !ok {
		return in
	}
	return append(left.In, in[1:]...) // the left union is nobody else's
}

func (l *lowerer) aggCall(a logical.AggCall) spec.AggCall {
	args := l.exprs(a.Args)
	argTypes := make([]types.Type, len(args))
	for i, e := range args {
		argTypes[i] = e.Type()
		argTypes[i].Mod = 0
		if c, isConst := e.(*expr.Const); isConst && i > 0 && a.Def.Check != nil {
			l.fail(a.Def.Check(i, c.Val)) // once more: constants are folded by now
		}
	}
	kernel, ok := a.Def.Kernel(argTypes, a.Distinct, a.Desc)
	if !ok {
		l.fail(sqlerr.New(sqlerr.InternalError, "aggregate %s does not take what it was bound to", a.Def.Name))
	}
	order := l.sortKeys(a.OrderBy)
	if l.continuous && len(order) > 0 && ok {
		kernel = logical.OrderedKernel(kernel, argTypes, a.OrderBy)
	}
	return spec.AggCall{
		Name: a.Def.Name, Kernel: kernel, Args: args, Distinct: a.Distinct, Filter: l.expr(a.Filter), OrderBy: order, Typ: a.Typ,
	}
}

func (l *lowerer) sortKeys(list []logical.SortKey) []spec.SortKey {
	var out []spec.SortKey
	for _, k := range list {
		out = append(out, spec.SortKey{X: l.expr(k.X), Desc: k.Desc, NullsFirst: k.NullsFirst})
	}
	return out
}

func (l *lowerer) exprs(list []expr.Expr) []expr.Expr {
	return logical.Rewrite(l.subquery).List(list, 0)
}

func (l *lowerer) expr(e expr.Expr) expr.Expr {
	return logical.Rewrite(l.subquery).Expr(e, 0)
}

// subquery lowers the plan inside a subquery node.
func (l *lowerer) subquery(e expr.Expr, _ int) (expr.Expr, bool) {
	s, ok := e.(*expr.Subquery)
	if !ok {
		return e, false
	}
	plan, ok := s.Plan.(*logical.Node)
	if !ok {
		return e, true
	}
	c := *s
	c.X = l.expr(s.X)
	if p, err := l.program(plan); err == nil {
		c.Plan = p
	}
	return &c, true
}
