package expr

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// queryNode is TableQuery. The rows of a call are asked together: one lookup for all of them, whose results come in pieces, and for what
// was not found and may be unknown a second one. What no row is read for is asked once a call, and not again while the table is the same.
type queryNode struct {
	e        *TableQuery
	not      bool
	operands []node
	where    *Evaluator
	test     *Evaluator
	item     *Evaluator
	aggs     []queryAgg
	// exact: rows found by the keys of Test meet it. lone: nothing is over the row that asks, and so the answer is one for all;
	// steady: it depends on the table alone.
	exact, lone, steady bool

	width int // columns of the table
	want  []bool
	rows  *batch.Batch // the table's columns, then Args
	probe TableProbe
	cols  []int // of the keys of both kinds
	enc   batch.Keys
	null  []bool
	vecs  []*batch.Vec // the operands
	part  askers       // those that a second lookup asks for
	kept  []uint32
	inner Ctx

	// By the number of who asks:
	found, unknown []bool
	count          []uint32
	at             []int // the place of the item in items
	items          batch.Vec
	results        *batch.Batch
	slab           agg.Slab

	known answer
	out   batch.Vec
}

// queryAgg is an aggregate of a queryNode.
type queryAgg struct {
	kernel agg.Kernel
	off    int
	args   []*Evaluator
	vecs   []*batch.Vec
	filter *Evaluator
	sel    []uint32
	gids   []uint32
}

// answer is a lone answer, for one version of the table.
type answer struct {
	version uint64
	ok      bool
	vec     batch.Vec // of one row
}

// askers are the operands of the rows that ask: number i is row sel[i] of the batch, or with lone all of them.
type askers struct {
	sel  []uint32
	vecs []batch.Vec
	ids  []int
}

func compileTableQuery(e *TableQuery, neg bool) (*queryNode, error) {
	n := &queryNode{e: e, not: e.Not != neg, width: len(e.Schema.Cols), lone: len(e.operands()) == 0, cols: append(append([]int(nil), e.Cols...), e.TestCols...)}
	var err error
	if n.operands, err = compileAll(e.operands()); err != nil {
		return nil, err
	}
	n.vecs = make([]*batch.Vec, len(n.operands))
	for _, x := range []struct {
		ev **Evaluator
		e  Expr
	}{{&n.where, e.Where}, {&n.test, e.Test}, {&n.item, e.Item}} {
		if x.e == nil {
			continue
		}
		if *x.ev, err = Compile(x.e); err != nil {
			return nil, err
		}
	}
	if err := n.compileAggs(); err != nil {
		return nil, err
	}
	n.exact = e.Test == nil || len(e.TestKeys) > 0 && len(e.TestKeys) == terms(e.Test)
	n.steady = n.lone && steadyInner(e)
	schema := types.Schema{Cols: append([]types.Column(nil), e.Schema.Cols...)}
	for _, a := range e.Args {
		schema.Cols = append(schema.Cols, types.Column{Name: "arg", Type: a.Type()})
	}
	n.want = n.reads(len(schema.Cols))
	n.rows = batch.New(&schema, n.want)
	n.probe = TableProbe{Table: e.Table, Cols: n.cols, First: e.Kind == TableAny && e.Where == nil && n.exact}
	return n, nil
}

func (n *queryNode) compileAggs() error {
	e := n.e
	if e.Kind != TableGroup {
		return nil
	}
	var schema types.Schema
	kernels := make([]agg.Kernel, len(e.Aggs))
	for i := range e.Aggs {
		a := &e.Aggs[i]
		kernels[i] = a.Kernel
		schema.Cols = append(schema.Cols, types.Column{Name: a.Name, Type: a.Kernel.Type()})
		q := queryAgg{kernel: a.Kernel, vecs: make([]*batch.Vec, len(a.Args))}
		for _, x := range a.Args {
			ev, err := Compile(x)
			if err != nil {
				return err
			}
			q.args = append(q.args, ev)
		}
		if a.Filter != nil {
			var err error
			if q.filter, err = Compile(a.Filter); err != nil {
				return err
			}
		}
		n.aggs = append(n.aggs, q)
	}
	offs, stride := agg.Layout(kernels)
	for i := range n.aggs {
		n.aggs[i].off = offs[i]
	}
	n.slab = agg.Slab{Stride: stride}
	for _, a := range e.Args {
		schema.Cols = append(schema.Cols, types.Column{Name: "arg", Type: a.Type()})
	}
	n.results = batch.New(&schema, nil)
	return nil
}

// terms counts the conditions that e is the conjunction of.
func terms(e Expr) int {
	if and, ok := e.(*And); ok {
		return len(and.Args)
	}
	return 1
}

// steadyInner reports that what is asked of the table's rows depends on them alone.
func steadyInner(e *TableQuery) bool {
	ok := true
	for _, x := range e.inner() {
		Walk(x, func(x Expr) bool {
			switch x := x.(type) {
			case *Call:
				ok = ok && x.Def.Volatility == fn.Immutable
			case *UDF, *InIOC, *IOCEntry, *InTable, *TableQuery, *Subquery, *Outer:
				ok = false
			}
			return ok
		})
	}
	return ok
}

// reads marks the columns of a pair of rows that somebody reads.
func (n *queryNode) reads(all int) []bool {
	want := make([]bool, all)
	for _, x := range n.e.inner() {
		if n.e.Kind == TableGroup && x == n.e.Item {
			continue // over the aggregates
		}
		Walk(x, func(x Expr) bool {
			if c, ok := x.(*Column); ok {
				want[c.Index] = true
			}
			return true
		})
	}
	return want
}

func (n *queryNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(n.e.Typ)
	if len(sel) == 0 {
		return &n.out, nil
	}
	if ev.ctx.Tables == nil {
		return nil, errNoTables
	}
	if n.lone {
		one, err := n.alone(ev, sel)
		if err != nil {
			return nil, err
		}
		for range sel {
			n.out.AppendFrom(one, 0)
		}
		return &n.out, nil
	}
	return &n.out, n.ask(ev, sel, &n.out, true)
}

// alone is the answer of a question that reads nothing of the row that asks.
func (n *queryNode) alone(ev *env, sel []uint32) (*batch.Vec, error) {
	version, ok := uint64(0), false
	if v, is := ev.ctx.Tables.(TableVersions); is && n.steady {
		if version, ok = v.TableVersion(n.e.Table); ok && n.known.ok && n.known.version == version {
			return &n.known.vec, nil
		}
	}
	n.known.vec.Reset(n.e.Typ)
	bad := len(ev.bad)
	err := n.ask(ev, sel, &n.known.vec, true)
	n.known.version, n.known.ok = version, ok && err == nil && len(ev.bad) == bad
	return &n.known.vec, err
}

// filter passes the rows for which TableAny, or its negation, is true: that it is unknown need not be told from false.
func (n *queryNode) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	if n.lone || n.not {
		return filterByValue(n, ev, sel, dst, 1)
	}
	if len(sel) == 0 {
		return dst, nil
	}
	if ev.ctx.Tables == nil {
		return dst, errNoTables
	}
	if err := n.ask(ev, sel, nil, false); err != nil {
		return dst, err
	}
	for i, row := range sel {
		if n.found[i] {
			dst = append(dst, row)
		}
	}
	return dst, nil
}

// ask answers for all rows of sel, and appends the answers to out; without unknown only those that are true are of interest, and are in
// found.
func (n *queryNode) ask(ev *env, sel []uint32, out *batch.Vec, unknown bool) error {
	for i, x := range n.operands {
		v, err := x.eval(ev, sel)
		if err != nil {
			return err
		}
		n.vecs[i] = v
	}
	count := len(sel)
	if n.lone {
		count = 1
	}
	n.begin(count)
	n.keys(len(n.e.Keys)+len(n.e.TestKeys), count)
	n.probe.Cols, n.probe.NullAware = n.cols, false
	n.part = askers{sel: sel, ids: n.part.ids[:0], vecs: n.part.vecs}
	if err := n.search(ev, !n.exact, false); err != nil {
		return err
	}
	switch {
	case n.e.Kind == TableAny && !unknown:
		return nil
	case n.e.Kind == TableAny:
		if err := n.searchUnknown(ev, count); err != nil {
			return err
		}
		n.truth(out, count)
		return nil
	case n.e.Kind == TableOne:
		return n.single(ev, out, count)
	}
	return n.group(ev, out, count)
}

// begin forgets what is known of those who asked before.
func (n *queryNode) begin(count int) {
	n.found, n.unknown, n.count, n.at = n.found[:0], n.unknown[:0], n.count[:0], n.at[:0]
	for range count {
		n.found, n.unknown, n.count, n.at = append(n.found, false), append(n.unknown, false), append(n.count, 0), append(n.at, 0)
	}
	switch n.e.Kind {
	case TableOne:
		n.items.Reset(n.e.Typ)
	case TableGroup:
		n.slab.Reset()
		n.slab.Grow(count)
	}
}

// keys makes the keys of the lookup from the first operands.
func (n *queryNode) keys(operands, count int) {
	vecs := n.vecs[:operands]
	n.enc.Build(vecs, count)
	n.null = n.null[:0]
	for i := range count {
		null := false
		for _, v := range vecs {
			null = null || v.IsNull(i)
		}
		n.null = append(n.null, null)
	}
	n.probe.N, n.probe.Keys, n.probe.Null = count, &n.enc, n.null
}

// truth appends the answers of TableAny.
func (n *queryNode) truth(out *batch.Vec, count int) {
	for i := range count {
		if !n.found[i] && n.unknown[i] {
			out.AppendNull()
			continue
		}
		out.AppendInt(int64(asInt(n.found[i] != n.not)))
	}
}

// single appends the answers of TableOne.
func (n *queryNode) single(ev *env, out *batch.Vec, count int) error {
	for i := range count {
		switch n.count[i] {
		case 0:
			out.AppendNull()
			continue
		case 1:
			out.AppendFrom(&n.items, n.at[i])
			continue
		}
		out.AppendNull()
		err := sqlerr.New(sqlerr.CardinalityViolation, "more than one row returned by a subquery used as an expression")
		if err := n.blame(ev, i, err); err != nil {
			return err
		}
	}
	return nil
}

// group appends the answers of TableGroup.
func (n *queryNode) group(ev *env, out *batch.Vec, count int) error {
	n.results.Reset(nil)
	for k := range n.aggs {
		a, col := &n.aggs[k], &n.results.Cols[k]
		for i := range count {
			v, err := a.kernel.Result(&n.slab, a.off, uint32(i))
			if err != nil {
				v = types.Null(col.Type)
				if err := n.blame(ev, i, err); err != nil {
					return err
				}
			}
			col.AppendValue(v)
		}
	}
	for k, v := range n.vecs[len(n.e.Keys)+len(n.e.TestKeys):] {
		for i := range count {
			n.results.Cols[len(n.aggs)+k].AppendFrom(v, i)
		}
	}
	n.results.N = count
	failed := n.enter(ev, func(row uint32) int { return int(row) })
	v, err := n.item.Eval(&n.inner, n.results, batch.All(count))
	if err == nil {
		err = *failed
	}
	if err != nil {
		return err
	}
	for i := range count {
		out.AppendFrom(v, i)
	}
	return nil
}

// blame makes an error that of who asked.
func (n *queryNode) blame(ev *env, i int, err error) error {
	if !n.lone {
		return ev.fail(n.part.row(i), err)
	}
	for _, row := range n.part.sel {
		if err := ev.fail(row, err); err != nil {
			return err
		}
	}
	return nil
}

// row is the batch's row of who asks as number i.
func (a *askers) row(i int) uint32 { return a.sel[i] }

// enter prepares the context for expressions over other rows than the batch's; of tells who asks for one of those. The first error that
// is not to be reported is left in failed.
func (n *queryNode) enter(ev *env, of func(row uint32) int) (failed *error) {
	failed = new(error)
	n.inner = *ev.ctx
	n.inner.RowError = func(row uint32, err error) {
		if err := n.blame(ev, of(row), err); err != nil && *failed == nil {
			*failed = err
		}
	}
	return failed
}
