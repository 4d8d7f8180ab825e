package job

import (
	"bytes"
	"runtime/debug"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// worker owns a slice of the key space of all keyed queries and runs their operators, single-threaded, without locks.
type worker struct {
	// copied is state that was copied ahead of the next cut, copyErr what went wrong with that.
	copied  []stateBlock
	copyErr error
	copies  *arena.Part // memory of copies
	// aside is the memory of results that are too many, asideAt is how many bytes of them are.
	aside   *arena.Part
	asideAt int
	e       *Engine
	index   int
	in      chan *item
	ctx     expr.Ctx
	calls   caller
	queries map[*query]*workerQuery
	streams map[uint64]*workerStream
	out     *epochOut
	epoch   *epoch
	late    lateRows
	// ends counts the ends of epochs. touched are the queries that were driven in this epoch, and those that must hear of its end;
	// changed those that were driven since the last checkpoint, moved the streams whose time moved in this epoch. See idle.go. due is
	// scratch.
	ends             uint64
	touched, changed []*workerQuery
	moved            []*workerStream
	due              []*timer
	// groups are the queries that share state, by key: of each the one that takes new queries. shared are all of them, in any order.
	// batches counts the batches that there have been.
	groups map[*shareKey]*group
	shared []*group
	// goneOps are ids of groups' state that the next checkpoint drops.
	goneOps []uint64
	batches uint64
	// steps counts the batches of the epoch, which all workers see alike; advancing: a watermark moves.
	steps     uint32
	advancing bool
	meter     meter
	// active are the queries that cost something since the last sweep.
	active []*workerQuery
	// watched are those that had something to do in the epoch and may not hold more than a limit.
	watched []*workerQuery
	// shut are those that take no rows.
	shut []*workerQuery
	// What is being worked on, for the functions below, which are bound once so that the hot path allocates nothing.
	item       *item
	at         *frontBatch
	wq         *workerQuery
	routed     *routed
	portion    portion
	wm         types.EventTime
	rowError   func(row uint32, err error)
	lateRow    func(row uint32, watermark types.EventTime)
	processOne func() error
	advanceOne func() error
	endOne     func() error
	rouseOne   func() error
	// Of queries that share state.
	takeSharedOne func() error
}

// workerStream is the keyed queries of one stream in one worker.
type workerStream struct {
	// watermark is the stream's, as far as its items have been processed.
	watermark types.EventTime
	// silent: the stream has had no row for so long that it holds no query back.
	silent bool
	// ended is the watermark that queries over this stream alone had at the last end of an epoch; moved: it may be another now.
	ended types.EventTime
	moved bool
	// deadlines are those of the queries that read this stream only.
	deadlines deadlines
	// several are the queries that read other streams too: their time is the least of all.
	several []*workerQuery
}

// workerQuery is one query's keyed half in one worker.
type workerQuery struct {
	w *worker
	q *query
	// tree is nil until the first row comes, or state that a checkpoint has.
	tree  *task.Tree
	late  int64
	rowIn []types.Value
	dead  bool
	// gone: it was detached. touched and changed: it is in the worker's lists. told is the last end of an epoch that it was told of.
	gone, touched, changed bool
	told                   uint64
	// timer is its deadline, of the stream's watermark.
	timer timer
	// group are the queries that it shares state with; nil: it shares with none. member is what it is of the state, nil before it is;
	// since is the number of ends of epochs before it came.
	group  *group
	member *op.Member
	since  uint64
	// inputs are the streams of the query's inputs; several: not all of them are the same.
	inputs  []*workerStream
	several bool
	// reached is the largest watermark that a query over several streams has had. It may be ahead of that of a stream that had
	// been silent: its rows are measured against reached then.
	reached types.EventTime
	floored *batch.Batch
	// timeCol is the result's window_end, -1 without one.
	timeCol int
	// busy is what the query cost since the last sweep, nanoseconds; active: it is in the worker's list.
	busy   int64
	active bool
	// shut: it takes no rows; refused of them in this epoch.
	shut    bool
	refused int64
	// watched is the last epoch in which it was in the worker's list of that name.
	watched uint64
	// costs are of entries of the operators' state.
	costs []entryCost
}

// groupErrors is an operator that reports errors in the result of one group, and goes on with the others.
type groupErrors interface {
	OnGroupError(fn func(w window.Window, err error))
}

func newWorker(e *Engine, index int) *worker {
	w := &worker{e: e, index: index, in: make(chan *item, 16),
		queries: map[*query]*workerQuery{}, streams: map[uint64]*workerStream{}, groups: map[*shareKey]*group{}}
	w.meter.now, w.asideAt = e.costs.now, e.cfg.asideBytes()
	if e.functions != nil {
		w.calls.f = e.functions
		w.ctx.UDF = &w.calls
	}
	w.processOne = func() error {
		in := w.part(w.routed).Input(w.routed.batch(w.at))
		if w.wq.several {
			in.Others, in.Several = w.wq.others(w.routed.input)
			if w.wq.reached > w.wq.watermark() {
				in = w.floor(in)
			}
		}
		return w.wq.tree.Process(w.routed.input, in)
	}
	w.advanceOne = func() error { return w.wq.tree.Advance(w.wm) }
	w.endOne = func() error { return w.wq.tree.EndEpoch(w.wm) }
	w.rouseOne, w.takeSharedOne = w.rouseQuery, w.takeSharedRows
	w.rowError = func(row uint32, err error) {
		var raw []byte
		if w.routed != nil {
			if b := w.routed.batch(w.at); int(row) < b.N {
				raw = rowText(b, int(row))
			}
		}
		w.reject(w.wq, raw, err)
	}
	w.lateRow = func(row uint32, watermark types.EventTime) {
		if r := w.routed; r != nil && int(row) < r.batch(w.at).N {
			w.late.add(w, row, watermark)
		}
	}
	return w
}

func (w *worker) run() {
	defer w.e.wg.Done()
	// State that lies in a file cannot be read when the disk fails: that costs a query, as what else breaks in operators does.
	debug.SetPanicOnFault(true)
	for it := range w.in {
		w.meter.begin()
		w.ctx.State.Relieve()
		switch it.kind {
		case itemStart:
			w.start(it.epoch)
		case itemData:
			w.data(it)
		case itemEnd:
			w.end(it.epoch)
		}
		w.meter.keep()
		w.e.costs.spent(it, w.meter.own)
		w.e.release(it)
	}
}

// start begins an epoch: queries come and go, the clock moves.
func (w *worker) start(ep *epoch) {
	w.epoch, w.out, w.steps = ep, &ep.outs[w.index], 1
	w.ctx.Ctx = fn.Ctx{Now: ep.clock}
	w.ctx.IOC = ep.ioc
	w.ctx.Tables = ep.tables
	w.calls.epoch = ep.n
	w.ctx.RowError, w.ctx.LateRow = w.rowError, w.lateRow
	for _, q := range ep.detach {
		w.detach(q)
	}
	for _, q := range ep.attach {
		if !q.parts.HasKeyed() || w.queries[q] != nil {
			continue
		}
		if _, err := w.attach(q); err != nil {
			w.out.failed = append(w.out.failed, failure{q, err})
		}
	}
	for _, x := range ep.succeed {
		w.succeed(x)
	}
	for _, q := range ep.apart {
		w.setApart(q)
	}
	w.setGates(ep.gates)
	for _, q := range ep.joins {
		w.join(q)
	}
	for id, wm := range ep.watermarks {
		if ws := w.streams[id]; ws != nil {
			w.advance(ws, wm)
		}
	}
	for _, id := range ep.silent {
		if ws := w.streams[id]; ws != nil {
			w.move(ws)
			ws.silent = true
			w.advanceSeveral(ws)
		}
	}
}

// attach makes a query known. Its operators are made at once where they have something to do before a row comes.
func (w *worker) attach(q *query) (*workerQuery, error) {
	wq := &workerQuery{w: w, q: q, reached: types.MinTime, told: w.ends, since: w.ends, timeCol: q.parts.Schema.Index("window_end")}
	if wq.timeCol >= 0 && q.parts.Schema.Cols[wq.timeCol].Type.Kind != types.TimestampTZ {
		wq.timeCol = -1
	}
	wq.read(q.begun)
	wq.timer = timer{id: q.spec.ID, wq: wq}
	if q.share != nil {
		if err := w.joinGroup(wq); err != nil {
			w.leaveGroup(wq)
			return nil, err
		}
	}
	if wq.several || !q.idle {
		if err := wq.build(); err != nil {
			return nil, err
		}
		w.touch(wq)
	}
	w.queries[q] = wq
	wq.listen()
	return wq, nil
}

// stream finds or makes the worker's view of a stream.
func (w *worker) stream(id uint64) *workerStream {
	ws := w.streams[id]
	if ws == nil {
		ws = &workerStream{watermark: types.MinTime, ended: types.MinTime}
		w.streams[id] = ws
	}
	return ws
}

func (w *worker) detach(q *query) {
	wq := w.queries[q]
	if wq == nil {
		return
	}
	delete(w.queries, q)
	wq.gone = true
	w.forgetCopied(q, q.ops)
	w.shut = without(w.shut, wq)
	w.leaveGroup(wq)
	if wq.tree != nil {
		_ = wq.tree.Close() // the query is gone; nothing of it is kept
	}
	wq.inputs[0].deadlines.set(&wq.timer, types.MaxTime)
	for _, ws := range wq.inputs {
		ws.several = without(ws.several, wq)
	}
}

func without(list []*workerQuery, wq *workerQuery) []*workerQuery {
	for i := range list {
		if list[i] == wq {
			return append(list[:i], list[i+1:]...)
		}
	}
	return list
}

// data runs the item's batches through the keyed operators of the queries that want rows of them.
func (w *worker) data(it *item) {
	ws := w.stream(it.stream.id())
	w.item = it
	if it.rowsIn > 0 && ws.silent {
		w.move(ws)
		ws.silent = false
	}
	for _, fb := range it.batches {
		w.at = fb
		w.steps++
		w.meter.keep()
		w.processAll(fb)
		w.routed = nil
		if wm := max(fb.watermark, ws.watermark); wm > ws.watermark || wm >= ws.deadlines.next() {
			w.advance(ws, wm) // also when only rows behind it made something due
		}
	}
	w.late.flush(w)
	w.at = nil
	w.steps++
	if it.watermark > ws.watermark {
		w.advance(ws, it.watermark)
	}
	w.item = nil
}

// process gives a query its rows of the batch in work.
func (w *worker) process(r *routed) {
	wq := w.queries[r.q]
	if len(w.part(r).Sel) == 0 || wq == nil || wq.shut && w.refuses(wq, r) {
		return
	}
	if wq.group != nil {
		if w.begin(wq); wq.group.state != nil {
			w.shareRows(wq, r)
			if wq.member != nil {
				w.takeShared(wq, r)
				return
			}
		}
	}
	if w.rouse(wq); wq.dead {
		return
	}
	w.touch(wq)
	w.wq, w.routed = wq, r
	w.check(wq, guard(w.processOne))
	w.charge(wq)
	wq.setDeadline()
}

// advance moves time for the queries of a stream that have something due.
func (w *worker) advance(ws *workerStream, wm types.EventTime) {
	w.move(ws)
	ws.watermark = wm
	w.advancing = true
	defer func() { w.advancing = false }()
	w.due = ws.deadlines.take(wm, w.due[:0])
	if wm == types.MaxTime {
		w.due = w.readersOf(ws, w.due[:0]) // all hear of the end of time
	}
	for _, t := range w.due {
		if t.group != nil {
			w.advanceGroup(t.group, wm) // before its members, whose windows come out in order with these
		}
	}
	for _, t := range w.due {
		if t.group == nil {
			w.advanceQuery(t.wq, earlier(wm, t.wq.q.parts.Inputs[0].Delay))
		}
	}
	w.advanceSeveral(ws)
}

// readersOf appends the queries that have operators and read this stream only.
func (w *worker) readersOf(ws *workerStream, dst []*timer) []*timer {
	for _, wq := range w.queries {
		if !wq.several && wq.tree != nil && wq.inputs[0] == ws {
			dst = append(dst, &wq.timer)
		}
	}
	for _, g := range w.shared {
		if g.stream == ws {
			dst = append(dst, &g.timer)
		}
	}
	return dst
}

// advanceSeveral moves time for the queries that read other streams too.
func (w *worker) advanceSeveral(ws *workerStream) {
	w.advancing = true
	defer func() { w.advancing = false }()
	for _, wq := range ws.several {
		wq.reached = max(wq.reached, wq.watermark())
		w.advanceQuery(wq, wq.reached)
	}
}

// floor marks the rows that are older than what the query's watermark had reached before their stream woke up.
func (w *worker) floor(in op.Input) op.Input {
	s, wq := w.item.stream.spec, w.wq
	if s.TimeCol < 0 {
		return in
	}
	times, own := w.at.b.Cols[s.TimeCol].I64, w.routed.own
	behind := in.B.Behind
	if wq.floored == nil {
		wq.floored = &batch.Batch{}
	}
	*wq.floored = *in.B
	wq.floored.Behind = nil
	for row := range uint32(in.B.N) {
		src, closed := row, types.MinTime
		if own != nil {
			src = own.Src[row]
		}
		if len(behind) > 0 && behind[0].Row == row {
			closed, behind = in.Closed(behind[0]), behind[1:]
		}
		if types.EventTime(times[src]) < wq.reached {
			closed = max(closed, wq.reached)
		}
		if closed > types.MinTime {
			wq.floored.Behind = append(wq.floored.Behind, batch.Behind{Row: row, Watermark: closed})
		}
	}
	in.B, in.Several = wq.floored, false
	return in
}

// advanceQuery moves a query's time if it has something due by then.
func (w *worker) advanceQuery(wq *workerQuery, wm types.EventTime) {
	if wq.dead || wq.tree == nil {
		return
	}
	if wq.tree.Deadline() <= wm {
		if w.rouse(wq); wq.dead {
			return
		}
		w.touch(wq)
		w.wq, w.wm, w.routed = wq, wm, nil
		w.meter.keep()
		w.check(wq, guard(w.advanceOne))
		w.charge(wq)
	}
	wq.setDeadline()
}

// watermark is the least of the query's inputs.
func (wq *workerQuery) watermark() types.EventTime {
	least, some := types.MaxTime, false
	for i, ws := range wq.inputs {
		if !ws.silent {
			least, some = min(least, earlier(ws.watermark, wq.q.parts.Inputs[i].Delay)), true
		}
	}
	if !some {
		return types.MinTime
	}
	return least
}

// others is the least watermark of the inputs that are not of the same stream as one; false when there are none.
func (wq *workerQuery) others(input int) (types.EventTime, bool) {
	least, found := types.MaxTime, false
	for i, ws := range wq.inputs {
		if ws != wq.inputs[input] && !ws.silent {
			least, found = min(least, earlier(ws.watermark, wq.q.parts.Inputs[i].Delay)), true
		}
	}
	return least, found
}

func (w *worker) reject(wq *workerQuery, raw []byte, err error) {
	if len(w.out.rejects) >= rejectWorkerMax {
		w.out.rejectsSkipped++
		return
	}
	if len(raw) > codec.RawMax {
		raw = bytes.Clone(raw[:codec.RawMax])
	}
	r := reject{query: wq.q.owner.spec.ID, raw: raw, err: err}
	if w.item != nil && !w.item.stream.isResult {
		r.stream = w.item.stream.spec.ID
	} else if in := &wq.q.parts.Inputs[0]; !in.IsResult {
		r.stream = in.Source
	}
	w.out.rejects = append(w.out.rejects, r)
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
	w.tellRest()
	if err := guard(w.setRestAside); err != nil { // it has read what lies in a file
		w.e.fail(err)
	}
	w.keepState(ep)
	w.settleEpoch()
	for _, x := range ep.inspect {
		x.atWorker(w)
	}
	w.report(ep)
	w.epoch, w.out = nil, nil
	ep.done.Done()
}

// tellRest lets operators emit what is due by the end of the epoch: rows behind the watermark make something due at once, and
// whether the watermark moved after them in their batch must not decide in which epoch that comes out.
func (w *worker) tellRest() {
	w.steps++
	w.advancing, w.routed = true, nil
	for _, wq := range w.touched {
		wm := wq.watermark()
		if wq.member != nil {
			w.endGroup(wq.group, wm)
		}
		switch {
		case wq.dead || wq.gone:
		case wq.tree.HoldsBack():
			w.change(wq)
			w.wq, w.wm, wq.told = wq, wm, w.ends+1
			w.meter.keep()
			w.check(wq, guard(w.endOne))
			w.charge(wq)
			wq.setDeadline()
		default:
			w.change(wq)
			w.advanceQuery(wq, wm)
		}
	}
	w.advancing = false
}

// setDeadline notes the watermark of the query's stream at which it has something to do; of a query over one stream.
func (wq *workerQuery) setDeadline() {
	if wq.several {
		return
	}
	at, delay := wq.tree.Deadline(), types.EventTime(wq.q.parts.Inputs[0].Delay)
	if at > types.MaxTime-delay {
		at = types.MaxTime
	} else {
		at += delay
	}
	if wq.dead {
		at = types.MaxTime
	}
	wq.inputs[0].deadlines.set(&wq.timer, at)
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
