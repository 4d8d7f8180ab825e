package task

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// planDepthMax bounds the nesting of a plan's nodes and of its subplans, each.
const planDepthMax = 500

// build makes the operators of a bounded plan.
func (r *run) build(n *spec.Node) (*node, error) { return r.buildAt(n, 0) }

func (r *run) buildAt(n *spec.Node, depth int) (*node, error) {
	if depth > planDepthMax {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "plan is nested more than %d levels deep", planDepthMax).
			WithHint("Split the query: use fewer nested subqueries or set operations.")
	}
	t := &node{stats: r.env.Profile.of(n)}
	src, err := r.source(n)
	if err != nil {
		return nil, err
	}
	if src != nil {
		t.src = src
		return t, nil
	}
	t.raw, err = r.operator(n)
	if err != nil {
		return nil, err
	}
	t.op = checked(t.raw)
	inputs := n.In
	if rerun(n.Op) {
		inputs = inputs[:1]
	}
	for port, in := range inputs {
		c, err := r.buildAt(in, depth+1)
		if err != nil {
			return nil, err
		}
		c.out = edge{run: r, to: t, port: port, from: c.stats, into: t.stats}
		t.in = append(t.in, c)
	}
	return t, nil
}

// source makes the leaves; nil for nodes that are not.
func (r *run) source(n *spec.Node) (op.Source, error) {
	switch s := n.Op.(type) {
	case *spec.Values:
		return op.NewValues(s, &n.Schema), nil
	case *spec.FuncScan:
		return op.NewFuncScan(s, &n.Schema)
	case *spec.StreamScan:
		return &historyScan{run: r, node: n, op: s}, nil
	case *spec.ResultScan, *spec.VirtualScan, *spec.TableScan:
		return &scan{run: r, node: n}, nil
	case *spec.WorkScan:
		return op.NewWorkScan(s, r.table(s.ID, &n.Schema)), nil
	}
	return nil, nil
}

// operator makes the inner nodes.
func (r *run) operator(n *spec.Node) (op.Operator, error) {
	inputs := 1
	switch n.Op.(type) {
	case *spec.Join, *spec.SetOp, *spec.Recursive:
		inputs = 2
	case *spec.Union:
		inputs = len(n.In)
	}
	if len(n.In) != inputs {
		return nil, fmt.Errorf("plan: %T has %d inputs", n.Op, len(n.In))
	}
	mem := r.mem
	if st := r.env.Profile.of(n); st != nil {
		mem = st.part(mem)
	}
	switch s := n.Op.(type) {
	case *spec.Filter:
		return op.NewFilter(s)
	case *spec.Project:
		return op.NewProject(s, &n.Schema)
	case *spec.ProjectSet:
		return op.NewProjectSet(s, &n.Schema, mem)
	case *spec.HashAgg:
		return op.NewHashAgg(s, &n.Schema, mem)
	case *spec.GroupingSets:
		return op.NewGroupingSets(s, &n.Schema, mem)
	case *spec.SortedOver:
		return op.NewSortedOver(s, &n.Schema, mem)
	case *spec.Distinct:
		return op.NewDistinct(s, mem)
	case *spec.Join:
		if s.Lateral {
			return op.NewLateralJoin(s, &n.Schema, r.subs.program(n.In[1]))
		}
		return op.NewJoin(s, &n.Schema, &n.In[1].Schema, mem)
	case *spec.LookupJoin:
		return op.NewLookupJoin(s, &n.In[0].Schema)
	case *spec.Recursive:
		return op.NewRecursive(s, r.table(s.ID, &n.Schema), r.rounds(n), mem), nil
	case *spec.Shared:
		return op.NewShared(s, r.sharedTable(s.ID, &n.Schema)), nil
	case *spec.Union:
		return op.NewUnion(&n.Schema, len(n.In)), nil
	case *spec.SetOp:
		return op.NewSetOp(s, &n.Schema, mem), nil
	case *spec.Sort:
		return op.NewSort(s, &n.Schema, mem)
	case *spec.Limit:
		return op.NewLimit(s), nil
	}
	return nil, sqlerr.NotSupported(spec.Describe(n)+" in a query that ends", "What works as events come belongs into CREATE CONTINUOUS QUERY.")
}

// scan is a source that the server reads.
type scan struct {
	run  *run
	node *spec.Node
}

var _ op.Source = (*scan)(nil)

// Open implements op.Source.
func (s *scan) Open(*expr.Ctx) error { return nil }

// Run implements op.Source.
func (s *scan) Run(out op.Emitter) error {
	if _, ok := s.node.Op.(*spec.VirtualScan); ok && s.run.depth > 0 {
		return s.run.subs.virtual(s.node, out)
	}
	return s.run.scan(s.node, out)
}

// Close implements op.Source.
func (s *scan) Close() error { return nil }

// String implements op.Source.
func (s *scan) String() string {
	switch v := s.node.Op.(type) {
	case *spec.ResultScan:
		return "ResultScan " + v.Name
	case *spec.VirtualScan:
		return "VirtualScan " + v.Schema + "." + v.Name
	case *spec.TableScan:
		return "TableScan " + v.Name
	}
	return "Scan"
}

// scan reads a node through the server.
func (r *run) scan(n *spec.Node, out op.Emitter) error {
	if r.env.Scan == nil {
		return fmt.Errorf("run: no scan for %T", n.Op)
	}
	return r.env.Scan(r.ctx, n, func(b *batch.Batch) error {
		if b.N == 0 {
			return nil
		}
		return out.Emit(op.Input{B: b, Sel: batch.All(b.N)})
	})
}
