package job

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
)

// plan returns the item's plan with this goroutine's evaluators.
func (f *front) plan() *frontPlan {
	p := f.it.plan
	old := f.plans[p.stream.id()]
	if old != nil && old.plan == p {
		return old
	}
	if old == nil || old.plan.stream != p.stream { // the stream of a result comes and goes with its readers
		f.sweep(p.stream.id())
		old = &frontPlan{sampler: &sampler{}}
	}
	f.forgetPasts()
	next := &frontPlan{plan: p, sampler: old.sampler, swept: old.swept, read: old.read}
	for _, r := range p.readers {
		if fq := f.query(r); fq != nil {
			next.queries = append(next.queries, fq)
		}
	}
	for _, ps := range p.segments {
		fs := frontSegment{planSegment: ps}
		for i := range old.segments {
			if o := &old.segments[i]; o.segment == ps.segment {
				fs.m, fs.queries, fs.singles = o.m, o.queries, o.singles
			}
		}
		if fs.m == nil {
			fs.m, fs.queries = ps.index.NewMatcher(), make([]*frontQuery, len(ps.readers))
		}
		next.segments = append(next.segments, fs)
	}
	if p.removals-next.swept > sweepAfter+len(f.queries)/4 {
		f.sweep(p.stream.id())
		next.swept = p.removals
	}
	f.plans[p.stream.id()] = next
	return next
}

// forgetPasts throws away the plans of histories that were read.
func (f *front) forgetPasts() {
	for id, fp := range f.plans {
		if p := fp.plan.stream.past; p != nil && (p.q.gone.Load() || p.q.back.joined.Load()) {
			delete(f.plans, id)
		}
	}
}

// sweepAfter is how many readers of a stream go before what is left of them is looked for, beside a quarter of those there are.
const sweepAfter = 64

// sweep throws away the evaluators of queries over a stream that are gone.
func (f *front) sweep(stream uint64) {
	for r, fq := range f.queries {
		if r.q.gone.Load() && r.q.parts.Inputs[r.input].Source == stream {
			f.meter.leave(fq)
			delete(f.queries, r)
		}
	}
}

// query finds or makes an input's evaluator; nil when it cannot be made, which fails the query.
func (f *front) query(r reader) *frontQuery {
	fq := f.queries[r]
	if fq == nil {
		var err error
		if fq, err = f.open(r); err != nil {
			f.it.failed = append(f.it.failed, failure{r.q, err})
			return nil
		}
		f.queries[r] = fq
	}
	return fq
}

// open makes the evaluators of what follows an input's predicate.
func (f *front) open(r reader) (*frontQuery, error) { return f.openFrom(r, r.q.fronts[r.input].nodes) }

// openFrom makes the evaluators of an input's front stage from one node on.
func (f *front) openFrom(r reader, node int) (*frontQuery, error) {
	fq := &frontQuery{f: f, q: r.q, input: r.input, slot: r.q.slot}
	in := &r.q.parts.Inputs[r.input]
	fq.foreign = !in.IsResult || spec.StageOwner(in.Source) != r.q.owner.spec.ID
	var sink op.Emitter = rowSink{fq}
	if in.Exchange != nil {
		router, err := op.NewRouter(in.Exchange)
		if err != nil {
			return nil, err
		}
		router.Open(&f.ctx)
		fq.router, sink = router, routeSink{fq}
	}
	chain, err := task.NewChain(&f.ctx, in.Front[node:], sink)
	fq.chain = chain
	if in.Exchange == nil && !in.IsResult {
		if cols, ok := plainColumns(in.Front[node:], len(in.Schema.Cols)); ok {
			fq.cols, fq.direct = f.sameColumns(cols), true
		}
	}
	return fq, err
}

// sameColumns is a list equal to cols that queries have in common.
func (f *front) sameColumns(cols []int) []int {
	key := columnsKey(cols)
	if have, ok := f.columns[key]; ok {
		return have
	}
	if f.columns == nil || len(f.columns) >= columnListsMax {
		f.columns = map[string][]int{}
	}
	f.columns[key] = cols
	return cols
}

// columnListsMax bounds the lists that a front remembers.
const columnListsMax = 1024

// noted is the chain with all that it is said to have done.
func (fq *frontQuery) noted() *task.Chain {
	fq.chain.Note(fq.rows, fq.batches)
	fq.rows, fq.batches = 0, 0
	return fq.chain
}

// plainColumns are the columns of the stream that a result consists of; false when it computes something.
func plainColumns(nodes []*spec.Node, n int) ([]int, bool) {
	switch len(nodes) {
	case 0:
		return allColumns(n), true
	case 1:
		p, ok := nodes[0].Op.(*spec.Project)
		if !ok {
			return nil, false
		}
		var cols []int
		for _, e := range p.Exprs {
			c, ok := e.(*expr.Column)
			if !ok {
				return nil, false
			}
			cols = append(cols, c.Index)
		}
		return cols, true
	}
	return nil, false
}

// sample collects rows for the estimates of the stream's rules, where there are enough of them to choose between.
func (f *front) sample(p *frontPlan, fb *frontBatch) {
	rules := 0
	for i := range p.segments {
		rules += p.segments[i].rules()
	}
	if rules <= sampleFrom {
		return
	}
	if full := p.sampler.take(fb.b, fb.valid); full != nil {
		f.it.stream.sample.Store(full)
		f.e.sampled.Store(true)
	}
}

// sampleFrom is from how many different predicates on estimates are made.
const sampleFrom = 8

// segmentConsumer takes what the index of a segment finds to the queries.
type segmentConsumer front

var _ predindex.Consumer = (*segmentConsumer)(nil)

// Rows implements predindex.Consumer.
func (c *segmentConsumer) Rows(items []predindex.Item) {
	f := (*front)(c)
	f.ctx.RowError = f.rowError
	c.ready(items)
	f.encodeTogether(items)
	for i := range items {
		it := &items[i]
		if len(it.Rows) == 0 {
			continue
		}
		f.in.Sel, f.at.next, f.at.inside = it.Rows, int(it.Rule)+1, true
		f.meter.pool()
		f.block.here = f.block.in[i]
		if fq := f.only[i]; fq != nil && fq.direct {
			f.run1(fq)
		} else {
			c.ruleRows(int(it.Rule))
		}
	}
	f.at.inside = false
}

// ready finds the queries of the rules that have one only, and asks for what is needed of them, all at once.
func (c *segmentConsumer) ready(items []predindex.Item) {
	c.only = c.only[:0]
	seg := c.seg
	for i := range items {
		var fq *frontQuery
		if class := seg.class(int(items[i].Rule)); len(class) == 1 && !hasBit(seg.dead, class[0]) {
			fq = seg.queries[class[0]]
		}
		c.only = append(c.only, fq)
	}
	for _, fq := range c.only {
		if fq != nil {
			c.fetched += fq.slot
		}
	}
}

// ruleRows takes the rows of in to the queries of a rule.
func (c *segmentConsumer) ruleRows(rule int) {
	f := (*front)(c)
	var share *shareKey // whose rows the entry before has routed
	as := 0
	for _, ordinal := range f.seg.class(rule) {
		if hasBit(f.seg.dead, ordinal) {
			continue
		}
		fq := c.query(ordinal)
		switch {
		case fq == nil:
		case share != nil && fq.q.share == share && !fq.q.dead():
			f.routeAs(fq, as)
		default:
			before := f.fb.used
			if f.run1(fq); fq.q.share != nil && f.fb.used == before+1 {
				share, as = fq.q.share, f.fb.used
			}
		}
	}
}

// routeAs gives a query the rows that one with the same filter and keys got, which are in entry as-1.
func (f *front) routeAs(fq *frontQuery, as int) {
	r := f.fb.route(fq, len(f.e.workers))
	r.as = as
	fq.chain.Note(int64(len(f.in.Sel)), 1)
	f.meter.charge(fq)
}

// query finds or makes a reader's evaluator.
func (c *segmentConsumer) query(ordinal uint32) *frontQuery {
	fq := c.seg.queries[ordinal]
	if fq == nil {
		fq = (*front)(c).query(c.seg.readers[ordinal])
		c.seg.queries[ordinal] = fq
	}
	return fq
}

// RowError implements predindex.Consumer.
func (c *segmentConsumer) RowError(rule int, row uint32, err error) {
	c.each(rule, func(q *query) {
		for _, have := range c.at.known {
			if have.row == row && have.q == q {
				return
			}
		}
		c.bad = append(c.bad, badRow{row, q, err})
	})
}

// Failed implements predindex.Consumer.
func (c *segmentConsumer) Failed(rule int, err error) {
	c.each(rule, func(q *query) { c.it.failed = append(c.it.failed, failure{q, err}) })
}

// each calls fn for the queries of a rule that are in service.
func (c *segmentConsumer) each(rule int, fn func(q *query)) {
	for _, ordinal := range c.seg.class(rule) {
		if q := c.seg.readers[ordinal].q; !hasBit(c.seg.dead, ordinal) && !q.dead() {
			fn(q)
		}
	}
}

// Alone implements predindex.Consumer: what follows is one rule's.
func (c *segmentConsumer) Alone(int) { c.meter.pool() }

// Done implements predindex.Consumer.
func (c *segmentConsumer) Done(rule int) {
	if c.meter.skip {
		return
	}
	busy := c.meter.lap()
	n := int64(0)
	c.each(rule, func(*query) { n++ })
	for _, ordinal := range c.seg.class(rule) {
		if hasBit(c.seg.dead, ordinal) || c.seg.readers[ordinal].q.dead() {
			continue
		}
		if fq := c.query(ordinal); fq != nil {
			c.meter.spend(fq, busy/n)
		}
	}
}
