package job

import (
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/meta"
)

type itemKind uint8

const (
	itemData  itemKind = iota // payloads of one split
	itemStart                 // an epoch begins: its clock, and what changes at its start
	itemEnd                   // an epoch ends: hand over its outputs
)

// itemBytesMax is about how many payload bytes one item carries.
const itemBytesMax = 256 << 10

// item is one unit of the order. After the front stage it is read-only; the last worker returns it to the pool.
type item struct {
	kind  itemKind
	epoch *epoch
	// For data: what to decode, all of one split.
	stream   *stream
	plan     *plan
	split    int32
	payloads []connector.Payload
	// For data of a query's result: rows instead of payloads, and the query's watermark after them.
	changes   []outRow
	watermark types.EventTime
	// ready is signalled when the front stage is done with a data item.
	ready chan struct{}
	// The front's output.
	batches  []*frontBatch
	rejects  []reject
	rows     *rowList
	full     []*chunk // with rows of this item and earlier ones
	failed   []failure
	counts   []payloadCount
	rejected int64
	// rejectsSkipped are those of rejected that are too many to be kept.
	rejectsSkipped int64
	rowsIn         int64
	refs           atomic.Int32
	// slot: the item is one of the few of history that may be under way.
	slot bool
}

// frontBatch is a decoded batch with the rows each keyed query wants of it, per worker.
type frontBatch struct {
	b *batch.Batch
	// valid lists the rows that count; the others were refused after decoding.
	valid []uint32
	keep  []uint32 // scratch behind valid
	// routed has one entry per keyed query's input with rows in this batch.
	routed []routed
	used   int // entries of routed in use; the rest keep their memory
	// pieces tell which bytes the rows were decoded from.
	pieces []piece
	// watermark is the stream's, after the batch; set by the orderer.
	watermark types.EventTime
}

type routed struct {
	q     *query
	input int
	// own are the rows where the query computed new ones from the stream's (own.Src tells which); nil: the batch itself.
	own   *batch.Batch
	parts []op.Part // per worker
	// as is 1 + the entry whose parts are this one's too: of a query with the same filter and keys.
	as int
}

// part is what a worker gets.
func (r *routed) part(fb *frontBatch, worker int) *op.Part {
	if r.as > 0 {
		r = &fb.routed[r.as-1]
	}
	return &r.parts[worker]
}

// batch is what the parts select from.
func (r *routed) batch(fb *frontBatch) *batch.Batch {
	if r.own != nil {
		return r.own
	}
	return fb.b
}

// piece is a stretch of a payload and the first row that came of it.
type piece struct {
	payload, from int
	row           int
}

// reject is a row for vigil.rejected.
type reject struct {
	stream uint64
	query  uint64 // 0: the decoder refused it
	raw    []byte
	err    error
}

// outRow is one encoded change of a result.
type outRow struct {
	op   batch.Op
	data []byte
	// step is the place in the epoch at which a worker brought the row out. Odd steps are those of a watermark: their rows
	// are put into one order over all workers, by time, which is their window_end, and bytes.
	step uint32
	time int64
}

// queryRow is one result row of a query.
type queryRow struct {
	q   *query
	row outRow
}

// failure is a query that broke a limit or failed as a whole.
type failure struct {
	q   *query
	err error
}

// payloadCount is the outcome of one payload, for its sender.
type payloadCount struct {
	from, to           int64
	accepted, rejected int64
}

// rejectBytesMax bounds the raw bytes of rejected rows kept per item, rejectEpochBytes and rejectEpochMax what is kept of all items of
// an epoch; beyond them rows are only counted.
const (
	rejectBytesMax   = 1 << 20
	rejectEpochBytes = 16 << 20
	rejectEpochMax   = 20_000
	// rejectWorkerMax are the rows that queries refuse, of a worker and epoch.
	rejectWorkerMax = 1000
)

func (it *item) reset() {
	it.changes, it.watermark = nil, types.MinTime
	it.stream, it.plan, it.epoch = nil, nil, nil
	clear(it.payloads)
	it.payloads = it.payloads[:0]
	it.batches = it.batches[:0]
	it.rejects, it.failed = it.rejects[:0], it.failed[:0]
	clear(it.full)
	it.full = it.full[:0]
	it.counts = it.counts[:0]
	it.rejected, it.rejectsSkipped, it.rowsIn, it.slot = 0, 0, 0, false
}

func (e *Engine) newItem(kind itemKind) *item {
	it, _ := e.items.Get().(*item)
	if it == nil {
		it = &item{ready: make(chan struct{}, 1), watermark: types.MinTime}
	}
	it.kind = kind
	return it
}

// release is called by each worker once; the last one recycles the item.
func (e *Engine) release(it *item) {
	if it.refs.Add(-1) > 0 {
		return
	}
	if it.stream != nil {
		for _, fb := range it.batches {
			it.stream.putBatch(fb)
		}
	}
	if it.slot {
		<-e.pastSlots
	}
	it.reset()
	e.items.Put(it)
}

// epoch is one epoch on its way through the pipeline. Fields are owned by the stage named; a later stage reads them
// because the channels order it.
type epoch struct {
	n      uint64
	clock  types.EventTime
	replay bool // results are known already: discard them
	// restarted: the server was down before this epoch; idle times begin anew.
	restarted bool
	// ended: no row will follow on any stream, so that all time is over.
	ended bool
	// sweep: costs are gathered as the epoch ends.
	sweep  bool
	ioc    *ioc.Set
	tables *table.View

	// Sequencer.
	changes []*change
	attach  []*query
	detach  []*query
	gates   []gate
	// succeed are the queries that go on under another text.
	succeed []succession
	// joins are the queries that have read their history.
	joins []*query
	// apart are queries that share windows no more.
	apart      []*query
	newStreams []*stream
	gone       []*stream
	runs       []run
	checkpoint *checkpointCut
	// ahead is what workers do with their state at the end; changed is told by them.
	ahead   aheadMode
	changed atomic.Int64

	// inspect are those who look at queries as the epoch ends.
	inspect []*Inspection
	// settled are told when the epoch is on disk.
	settled []settler

	// Orderer.
	order epochOut
	// watermarks by stream at the start of the epoch, of those that the clock moved.
	watermarks map[uint64]types.EventTime
	// silent are the streams without rows that hold no query back any more, as of the start of the epoch. The orderer's.
	silent []uint64
	// feeds are the results that other queries read, with their watermarks at the end of the epoch. The streams are the
	// sequencer's choice, the rest the orderer's.
	feeds []feed
	// Workers, one slot each.
	outs []epochOut
	// The committer's: the queries that broke a limit, what else is to be told of queries, those that went out of service, and the
	// objects written, by id.
	verdicts []verdict
	events   []queryEvent
	outages  []outage
	// broken are the users' functions that broke a limit, functions those that went out of service or came back.
	broken    []*expr.BrokenLimit
	functions []FunctionChange
	objects   map[uint64]meta.Object
	// done counts workers that have passed the end.
	done sync.WaitGroup
}

// epochOut is what one goroutine produced in an epoch.
type epochOut struct {
	rows []queryRow
	// rowBytes is about what rows take; aside are those that were too many.
	rowBytes int
	aside    map[*query][]sideRun
	// lists are rows of items, taken over from them.
	lists   []*rowList
	full    []*chunk
	rejects []reject
	late    []lateRow
	failed  []failure
	// The bytes of rejects and late rows, and how many were too many to be kept.
	rejectBytes, lateBytes      int
	rejectsSkipped, lateSkipped int64
	// spent is what the worker spent on queries, of an epoch that is swept.
	spent []spentReport
	// held is what the queries with a limit of their state hold, of those that had something to do.
	held []spentReport
	// refused are the rows of queries whose intake is shut.
	refused []refusal
}

// takeRejects takes over the rejected rows of an item, within bounds.
func (o *epochOut) takeRejects(it *item) {
	o.rejectsSkipped += it.rejectsSkipped
	for i := range it.rejects {
		r := &it.rejects[i]
		if len(o.rejects) >= rejectEpochMax || o.rejectBytes+len(r.raw) > rejectEpochBytes {
			o.rejectsSkipped += int64(len(it.rejects) - i)
			return
		}
		o.rejects, o.rejectBytes = append(o.rejects, *r), o.rejectBytes+len(r.raw)
	}
}

func (o *epochOut) add(q *query, row outRow) {
	o.rows, o.rowBytes = append(o.rows, queryRow{q, row}), o.rowBytes+len(row.data)+asideRow
}

// empty reports that the epoch need not be recorded: it consumed nothing and nobody could tell that it was.
func (ep *epoch) empty() bool {
	if len(ep.runs) > 0 || len(ep.changes)+len(ep.gates)+len(ep.joins) > 0 || ep.restarted || !ep.order.empty() {
		return false
	}
	for i := range ep.outs {
		if !ep.outs[i].empty() {
			return false
		}
	}
	return true
}

func (o *epochOut) empty() bool {
	return len(o.rows) == 0 && len(o.aside) == 0 && len(o.lists) == 0 && len(o.rejects) == 0 && len(o.failed) == 0 && len(o.late) == 0
}
