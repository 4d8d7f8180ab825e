package job

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
)

// worker owns a slice of the key space of all keyed queries and runs their operators, single-threaded, without locks.
type worker struct {
	e       *Engine
	index   int
	in      chan *item
	ctx     expr.Ctx
	queries map[*query]*workerQuery
	streams map[uint64]*workerStream
	out     *epochOut
	epoch   *epoch
	// What is being worked on, for the functions below, which are bound once so that the hot path allocates nothing.
	at         *frontBatch
	wq         *workerQuery
	part       *op.Part
	wm         types.EventTime
	rowError   func(row uint32, err error)
	processOne func() error
	advanceOne func() error
}

// workerStream is the keyed queries of one stream in one worker.
type workerStream struct {
	queries []*workerQuery
	// deadline is the earliest event time at which any of them has something to do.
	deadline types.EventTime
}

// workerQuery is one query's keyed half in one worker.
type workerQuery struct {
	w     *worker
	q     *query
	chain *task.Chain
	late  int64
	rowIn []types.Value
	dead  bool
}

func newWorker(e *Engine, index int) *worker {
	w := &worker{e: e, index: index, in: make(chan *item, 16),
		queries: map[*query]*workerQuery{}, streams: map[uint64]*workerStream{}}
	w.ctx.UDF = e.cfg.UDF
	w.processOne = func() error { return w.wq.chain.Process(w.part.Input(w.at.b)) }
	w.advanceOne = func() error { return w.wq.chain.Advance(w.wm) }
	w.rowError = func(row uint32, err error) {
		var raw []byte
		if w.at != nil {
			raw = rowText(w.at.b, int(row))
		}
		w.reject(w.wq, raw, err)
	}
	return w
}

func (w *worker) run() {
	defer w.e.wg.Done()
	for it := range w.in {
		switch it.kind {
		case itemStart:
			w.start(it.epoch)
		case itemData:
			w.data(it)
		case itemEnd:
			w.end(it.epoch)
		}
		w.e.release(it)
	}
}

// start begins an epoch: queries come and go, the clock moves.
func (w *worker) start(ep *epoch) {
	w.epoch, w.out = ep, &ep.outs[w.index]
	w.ctx.Ctx = fn.Ctx{Now: ep.clock}
	w.ctx.IOC = ep.ioc
	w.ctx.Tables = ep.tables
	for _, q := range ep.detach {
		w.detach(q)
	}
	for _, q := range ep.attach {
		if q.parts.Exchange == nil || w.queries[q] != nil {
			continue
		}
		if _, err := w.attach(q); err != nil {
			w.out.failed = append(w.out.failed, failure{q, err})
		}
	}
	for id, wm := range ep.watermarks {
		if ws := w.streams[id]; ws != nil {
			w.advance(ws, wm)
		}
	}
}

func (w *worker) attach(q *query) (*workerQuery, error) {
	wq := &workerQuery{w: w, q: q}
	chain, err := task.NewChain(&w.ctx, q.parts.Keyed, wq)
	if err != nil {
		return nil, err
	}
	for _, o := range chain.Ops() {
		if wa, ok := o.(*op.WindowAgg); ok {
			wa.GroupError = func(_ window.Window, err error) { w.reject(wq, nil, err) }
		}
	}
	wq.chain = chain
	w.queries[q] = wq
	ws := w.streams[q.parts.Scan.StreamID]
	if ws == nil {
		ws = &workerStream{deadline: types.MaxTime}
		w.streams[q.parts.Scan.StreamID] = ws
	}
	ws.queries = append(ws.queries, wq)
	return wq, nil
}

func (w *worker) detach(q *query) {
	wq := w.queries[q]
	if wq == nil {
		return
	}
	delete(w.queries, q)
	_ = wq.chain.Close() // the query is gone; nothing of it is kept
	ws := w.streams[q.parts.Scan.StreamID]
	for i := range ws.queries {
		if ws.queries[i] == wq {
			ws.queries = append(ws.queries[:i], ws.queries[i+1:]...)
			break
		}
	}
}

// data runs the item's batches through the keyed operators of the queries that want rows of them.
func (w *worker) data(it *item) {
	ws := w.streams[it.stream.spec.ID]
	if ws == nil {
		return
	}
	for _, fb := range it.batches {
		for i := range fb.routed[:fb.used] {
			r := &fb.routed[i]
			part := &r.parts[w.index]
			wq := w.queries[r.q]
			if len(part.Sel) == 0 || wq == nil || wq.dead {
				continue
			}
			w.at, w.wq, w.part = fb, wq, part
			w.ctx.RowError = w.rowError
			w.check(wq, guard(w.processOne))
			ws.deadline = min(ws.deadline, wq.deadline())
		}
		if fb.watermark >= ws.deadline {
			w.advance(ws, fb.watermark)
		}
	}
}

// advance moves time for the queries of a stream that have something due.
func (w *worker) advance(ws *workerStream, wm types.EventTime) {
	ws.deadline = types.MaxTime
	w.at, w.wm = nil, wm
	w.ctx.RowError = w.rowError
	for _, wq := range ws.queries {
		if wq.dead {
			continue
		}
		if wq.deadline() <= wm {
			w.wq = wq
			w.check(wq, guard(w.advanceOne))
		}
		ws.deadline = min(ws.deadline, wq.deadline())
	}
}

func (w *worker) reject(wq *workerQuery, raw []byte, err error) {
	if len(w.out.rejects) < 1000 {
		w.out.rejects = append(w.out.rejects, reject{stream: wq.q.parts.Scan.StreamID, query: wq.q.spec.ID, raw: raw, err: err})
	}
}

// check takes a query that failed as a whole out of service; the others go on.
func (w *worker) check(wq *workerQuery, err error) {
	if err != nil {
		wq.dead = true
		w.out.failed = append(w.out.failed, failure{wq.q, err})
		w.e.resultWaits()
	}
}

// end hands over the epoch's outputs.
func (w *worker) end(ep *epoch) {
	if ep.checkpoint != nil {
		w.snapshot(ep.checkpoint)
	}
	for _, wq := range w.queries {
		wq.countLate()
	}
	w.epoch, w.out = nil, nil
	ep.done.Done()
}

// snapshot copies what changed in all keyed state; writing it out happens in the background.
func (w *worker) snapshot(cut *checkpointCut) {
	for q, wq := range w.queries {
		if wq.dead {
			continue
		}
		for i, o := range wq.chain.Ops() {
			st, ok := o.(op.Stateful)
			if !ok {
				continue
			}
			if err := guard(func() error { return st.Snapshot(cut.writer(w.index, opID(q, i))) }); err != nil {
				cut.fail(fmt.Errorf("snapshot of query %s: %w", q.spec.Name, err))
			}
		}
	}
}

// Emit implements op.Emitter: result rows of the query, encoded.
func (wq *workerQuery) Emit(in op.Input) error {
	out := wq.w.out
	if out.empty() {
		wq.w.e.resultWaits()
	}
	for _, r := range in.Sel {
		wq.rowIn = in.B.Row(wq.rowIn[:0], int(r))
		out.add(wq.q, codec.AppendRow(nil, wq.rowIn))
	}
	return nil
}

func (wq *workerQuery) deadline() types.EventTime {
	least := types.MaxTime
	for _, o := range wq.chain.Ops() {
		if d, ok := o.(op.Deadliner); ok {
			least = min(least, d.Deadline())
		}
	}
	return least
}

func (wq *workerQuery) countLate() {
	var late int64
	for _, o := range wq.chain.Ops() {
		if l, ok := o.(op.LateCounter); ok {
			late += l.LateRows()
		}
	}
	wq.q.stats.Late.Add(late - wq.late)
	wq.late = late
}

// guard runs operator code: a panic there is a bug that must cost one query, not the server.
func guard(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = sqlerr.New(sqlerr.InternalError, "internal error: %v", r).WithDetail("%s", stackOf())
		}
	}()
	return f()
}

// opID names an operator's state in checkpoints: stable over restarts.
func opID(q *query, index int) uint64 { return q.spec.ID<<8 | uint64(index) }
