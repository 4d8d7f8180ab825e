package job

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// A query that goes on under another text keeps its id, and with it its state, its place in what it reads, and its results: the new
// one succeeds the old one at the start of an epoch, part by part. The operators with state are the same in both (task.Keeps), so
// recovery needs to know nothing of it: it runs the epochs before with the new text too, whose results it discards.

// succession is a query that takes another one's place.
type succession struct{ old, next *query }

// applyReplace has queries succeed those of the same id.
func (e *Engine) applyReplace(ep *epoch, c *change) {
	for i := range c.Replace {
		id := c.Replace[i].Meta.ID
		old, next := e.queries[id], c.queries[id]
		if old == nil || old.backfilling() || len(old.stages) != len(next.stages) {
			c.err = sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q went out of service", c.Replace[i].Meta.Name).
				WithHint("CREATE OR REPLACE CONTINUOUS QUERY begins it anew.")
			c.Replace = nil
			return
		}
		for n, part := range next.all() {
			e.replacePart(old.all()[n], part)
		}
		ep.succeed = append(ep.succeed, succession{old, next})
	}
}

// replacePart puts a part into the place of another one in the plans. It shares no windows: its state is the old one's.
func (e *Engine) replacePart(old, next *query) {
	next.since, next.apart = old.since, true
	e.costs.attach(next)
	next.begun = next.sources(false)
	next.reads, next.timed = next.begun, next.begun
	e.shares.leave(old)
	old.gone.Store(true)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queries[next.spec.ID] = next
	e.slots.take(next)
	if s := e.streams[next.spec.ID]; s != nil {
		s.result = next
	}
	for i, id := range next.reads {
		s := e.streams[id]
		s.leave(old)
		s.join(reader{next, i})
		if s.rules != nil {
			e.seq.unsettled[s] = true
		}
		e.markReplan(s)
	}
}

// orderSucceed hands on what the orderer keeps of a query.
func (ep *epoch) orderSucceed() {
	for _, x := range ep.succeed {
		for i, part := range x.next.all() {
			old := x.old.all()[i]
			part.handed, part.readFrom = old.handed, old.readFrom
		}
	}
}

// succeed hands on what a worker keeps of a query: its operators.
func (w *worker) succeed(x succession) {
	for i, next := range x.next.all() {
		old := x.old.all()[i]
		wq := w.queries[old]
		if wq == nil {
			continue
		}
		w.setApart(old)
		delete(w.queries, old)
		w.queries[next] = wq
		wq.q, wq.timeCol = next, next.parts.Schema.Index("window_end")
		if wq.timeCol >= 0 && next.parts.Schema.Cols[wq.timeCol].Type.Kind != types.TimestampTZ {
			wq.timeCol = -1
		}
		if wq.dead || wq.tree == nil {
			continue
		}
		tree := wq.tree
		w.check(wq, guard(func() error {
			if err := wq.build(); err != nil {
				return err
			}
			return wq.tree.Adopt(tree, old.parts.Keyed, next.parts.Keyed)
		}))
		wq.setDeadline()
	}
}

// takeOver hands on what the committer keeps of queries, before it looks at the epoch's results.
func (e *Engine) takeOver(ep *epoch) {
	if len(ep.succeed) == 0 {
		return
	}
	e.costs.mu.Lock()
	defer e.costs.mu.Unlock()
	for _, x := range ep.succeed {
		x.next.rows, x.next.intake, x.next.judged = x.old.rows, x.old.intake, x.old.judged
		x.next.throttledBy.Store(x.old.throttledBy.Load())
		x.next.shutReason.Store(x.old.shutReason.Load())
		for i, part := range x.next.all() {
			old := x.old.all()[i]
			part.held = old.held
			part.stats.RowsOut.Add(old.stats.RowsOut.Load())
			part.stats.Late.Add(old.stats.Late.Load())
		}
		if x.old.dead() {
			ep.order.failed = append(ep.order.failed, failure{x.next, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "the query broke before it was altered")})
		}
	}
}

// persistReplaced writes the objects of queries that go on under another text.
func (c *change) persistReplaced(e *Engine, b batchKV, ep *epoch) error {
	for i := range c.Replace {
		o, err := e.altered(ep, &c.Replace[i].Meta)
		if err != nil {
			return err
		}
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "altered", Reason: "state and results go on"}); err != nil {
			return err
		}
	}
	return nil
}
