package job

import (
	"bytes"
	"errors"
	"sync"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// front is one goroutine of the front stage: it decodes items, evaluates the stateless half of every query attached to
// the stream, and routes the rows of keyed queries to their workers. All of that is a function of the item alone.
type front struct {
	// mu is held while an item is in work, so that others can look at the counts between items.
	mu       sync.Mutex
	e        *Engine
	ctx      expr.Ctx
	calls    caller
	decoders map[decoderKey]codec.Decoder
	queries  map[reader]*frontQuery
	plans    map[uint64]*frontPlan // by stream
	rejects  []codec.Reject
	// The item and batch in work, for the sinks, and the clock of the payload.
	it    *item
	clock types.EventTime
	fb    *frontBatch
	bad   []badRow
	cur   *frontQuery
	rows  rowArena
	block rowsTogether
	// columns are lists of columns by columnsKey, shared by queries.
	columns map[string][]int
	meter   frontMeter
	// seg is the segment in work, in the input of cur; processOne runs cur on in, bound once.
	seg *frontSegment
	// only are the queries of the rules that have rows, where a rule has one; fetched is made of what is asked for before it is needed,
	// so that it is not left out.
	only       []*frontQuery
	fetched    uint32
	in         op.Input
	rowError   func(row uint32, err error)
	processOne func() error
	matchOne   func() error
	// at is how far the segment in work is done, rule the one that is evaluated by itself.
	at          matching
	rule        int
	singleOne   func() error
	singleError func(row uint32, err error)
}

type decoderKey struct {
	stream  *stream
	codec   string
	columns string
}

// badRow is a row that failed in the evaluation of a query.
type badRow struct {
	row uint32
	q   *query
	err error
}

// frontPlan is a plan with this goroutine's evaluators.
type frontPlan struct {
	plan *plan
	// queries are those that read a result; the readers of other streams are in segments.
	queries  []*frontQuery
	segments []frontSegment
	sampler  *sampler
	// read is how much of the stream has come by here.
	read readCount
	// swept is the plan's count of removals when what is gone was last thrown away.
	swept int
}

// frontSegment is a segment with this goroutine's evaluators: of those of its readers that have had rows.
type frontSegment struct {
	planSegment
	m       *predindex.Matcher
	queries []*frontQuery       // by ordinal, nil: not opened yet
	singles []*predindex.Single // by rule, of a segment whose index broke
}

// frontQuery is the stateless half of one input of a query in one front goroutine, without the conditions that the index
// of the stream evaluates.
type frontQuery struct {
	// What is needed for a row that matches comes first, in one line of the cache.
	q    *query
	slot uint32 // the query's
	// direct: the result consists of columns of the stream's own batch, past the chain.
	direct bool
	// foreign: the input is not one of the query's own stages, so that its rows count as the query's.
	foreign bool
	// cols are the columns that result rows are made of.
	cols []int
	// rows and batches went past the chain since noted last added them to its counts.
	rows, batches int64
	spent         frontSpent

	f      *front
	input  int
	chain  *task.Chain
	router *op.Router
	_      [frontQueryPad]byte
}

// frontQueryPad makes a frontQuery as large as whole lines of the cache, so that it begins with one.
const frontQueryPad = 56

func newFront(e *Engine) *front {
	f := &front{e: e, decoders: map[decoderKey]codec.Decoder{}, queries: map[reader]*frontQuery{},
		plans: map[uint64]*frontPlan{}}
	f.rows.free = &e.chunks
	f.meter.now = e.costs.now
	if e.functions != nil {
		f.calls.f = e.functions
		f.ctx.UDF = &f.calls
	}
	f.rowError = func(row uint32, err error) { f.bad = append(f.bad, badRow{row, f.cur.q, err}) }
	f.ctx.RowError = f.rowError
	f.processOne = func() error { return f.cur.chain.Process(f.in) }
	f.singleOne = f.matchSingle
	f.singleError = func(row uint32, err error) { (*segmentConsumer)(f).RowError(f.rule, row, err) }
	f.matchOne = func() error {
		f.seg.m.Match(&f.ctx, f.fb.b, f.fb.valid, f.seg.skip, (*segmentConsumer)(f))
		return nil
	}
	return f
}

func (f *front) run() {
	defer f.e.wg.Done()
	for it := range f.e.fronts {
		f.mu.Lock()
		f.meter.begin()
		f.process(it)
		f.meter.keep()
		it.stream.stats.busy.Add(f.meter.own)
		f.mu.Unlock()
		it.ready <- struct{}{}
	}
}

func (f *front) process(it *item) {
	f.it = it
	f.ctx.Ctx = fn.Ctx{Now: it.epoch.clock}
	f.ctx.IOC = it.epoch.ioc
	f.ctx.Tables = it.epoch.tables
	f.calls.epoch = it.epoch.n
	f.fb = nil
	if it.rows == nil {
		if it.rows, _ = f.e.rowLists.Get().(*rowList); it.rows == nil {
			it.rows = &rowList{}
		}
	}
	f.rows.listed = false
	if it.stream.isResult {
		f.decodeChanges()
	} else {
		for i := range it.payloads {
			f.decode(i)
		}
	}
	f.finishBatch()
	f.noteTimes()
	f.it = nil
}

// decode turns payload i into rows of the current batch, starting new batches as they fill up.
func (f *front) decode(i int) {
	it := f.it
	p := &it.payloads[i]
	dec, err := f.decoder(p.Codec, p.Columns)
	count := payloadCount{from: p.From, to: p.To}
	f.clock = it.epoch.clock
	if it.stream.dated() {
		f.goBack(p.Arrival)
	}
	if t, ok := dec.(codec.Timed); ok {
		t.At(p.Arrival, f.clock)
	}
	if err != nil {
		f.reject(0, p.Bytes, err)
		count.rejected++
		it.counts = append(it.counts, count)
		return
	}
	rest := p.Bytes
	for len(rest) > 0 {
		if f.fb == nil {
			f.fb = it.stream.getBatch(it.plan.want)
			f.fb.valid = f.fb.keep[:0]
		}
		first := f.fb.b.N
		f.fb.pieces = append(f.fb.pieces, piece{payload: i, from: len(p.Bytes) - len(rest), row: first})
		f.rejects = f.rejects[:0]
		n := dec.Decode(rest, f.fb.b, batch.RowsMax, &f.rejects)
		for _, r := range f.rejects {
			f.reject(0, r.Raw, r.Err)
		}
		count.rejected += int64(len(f.rejects))
		added := f.admit(first, rest[:n], dec)
		count.accepted += added
		count.rejected += int64(f.fb.b.N-first) - added
		if n <= 0 && f.fb.b.N < batch.RowsMax {
			f.reject(0, rest, sqlerr.New(sqlerr.InternalError, "the decoder made no progress on these bytes"))
			count.rejected++
			break
		}
		rest = rest[n:]
		if f.fb.b.N >= batch.RowsMax {
			f.finishBatch()
		}
	}
	it.rejected += count.rejected
	it.rowsIn += count.accepted
	it.counts = append(it.counts, count)
}

// goBack sets the clock of history: what it was when it came, to the second for now(), whatever batches are made of it.
func (f *front) goBack(arrival types.EventTime) {
	f.clock = arrival
	if now := arrival - arrival%1e6; now != f.ctx.Now {
		f.finishBatch()
		f.ctx.Ctx = fn.Ctx{Now: now}
	}
}

// admit checks the new rows' event times against the clock and lists the good ones as valid.
func (f *front) admit(first int, raw []byte, dec codec.Decoder) int64 {
	s, fb := f.it.stream.spec, f.fb
	n := fb.b.N
	if s.TimeCol < 0 || s.MaxAhead <= 0 {
		fb.valid = append(fb.valid, batch.All(n)[first:]...)
		return int64(n - first)
	}
	limit := int64(f.clock) + s.MaxAhead
	ts := fb.b.Cols[s.TimeCol].I64
	before := len(fb.valid)
	var ahead []int
	for r := first; r < n; r++ {
		if ts[r] > limit {
			ahead = append(ahead, r-first)
			continue
		}
		fb.valid = append(fb.valid, uint32(r))
	}
	for i, rec := range recordsOf(s, f.it.plan.want, raw, dec, ahead) {
		at := string(types.AppendText(nil, types.NewTime(types.EventTime(ts[first+ahead[i]])), nil))
		f.reject(0, rec, sqlerr.New(sqlerr.EventTooFarAhead, "event time %s is more than the stream's MAX AHEAD beyond the clock", at).
			WithHint("Correct the sender's clock, or raise MAX AHEAD in the stream's WATERMARK clause."))
	}
	return int64(len(fb.valid) - before)
}

// recordsOf finds the raw bytes of the given rows (ascending, counted from the first row of raw) by decoding again one row
// at a time; only for rows that are rejected or late.
func recordsOf(s *spec.Stream, want []bool, raw []byte, dec codec.Decoder, rows []int) [][]byte {
	if len(rows) == 0 {
		return nil
	}
	out := make([][]byte, 0, len(rows))
	tmp := batch.New(&s.Schema, want)
	inner := dec
	if g, ok := dec.(*generatedDecoder); ok {
		inner = g.inner
	}
	_, binary := inner.(codec.Binary)
	var rej []codec.Reject
	for row := 0; len(raw) > 0 && len(out) < len(rows); {
		tmp.Reset(want)
		rej = rej[:0]
		n := dec.Decode(raw, tmp, 1, &rej)
		if n <= 0 {
			break
		}
		if tmp.N > 0 {
			if row == rows[len(out)] {
				out = append(out, recordIn(raw[:n], rej, binary))
			}
			row++
		}
		raw = raw[n:]
	}
	for len(out) < len(rows) {
		out = append(out, nil)
	}
	return out
}

// recordIn is the record that was decoded from raw, which begins with those that were rejected.
func recordIn(raw []byte, rejected []codec.Reject, binary bool) []byte {
	if binary {
		if n := len(rejected); n > 0 {
			last := rejected[n-1].Raw // a part of raw
			raw = raw[min(len(raw), cap(raw)-cap(last)+len(last)):]
		}
		return raw
	}
	raw = bytes.TrimSpace(raw)
	if len(rejected) > 0 {
		raw = raw[bytes.LastIndexByte(raw, '\n')+1:] // what comes before was rejected by itself
	}
	return raw
}

// reject keeps a row for vigil.rejected, within bounds.
func (f *front) reject(queryID uint64, raw []byte, err error) {
	it := f.it
	if queryID == 0 && it.stream.past != nil {
		return // it was told of when it came
	}
	kept := 0
	for i := range it.rejects {
		kept += len(it.rejects[i].raw)
	}
	if kept > rejectBytesMax || len(it.rejects) >= batch.RowsMax {
		it.rejectsSkipped++
		return
	}
	if len(raw) > codec.RawMax {
		raw = raw[:codec.RawMax]
	}
	it.rejects = append(it.rejects, reject{stream: it.stream.spec.ID, query: queryID, raw: bytes.Clone(raw), err: err})
}

func (f *front) decoder(name string, columns []int) (codec.Decoder, error) {
	s := f.it.stream
	if name == "" {
		name = s.spec.Format
	}
	key := decoderKey{stream: s, codec: name, columns: columnsKey(columns)}
	if s.past != nil {
		key.stream = s.past.live
	}
	if d := f.decoders[key]; d != nil {
		return d, nil
	}
	d, err := f.e.newDecoder(s.spec, name, columns)
	if err != nil {
		return nil, err
	}
	f.decoders[key] = d
	return d, nil
}

// finishBatch evaluates all queries on the batch in work and adds it to the item.
func (f *front) finishBatch() {
	fb := f.fb
	f.fb = nil
	if fb == nil {
		return
	}
	fb.keep = fb.valid
	f.it.batches = append(f.it.batches, fb)
	if len(fb.valid) == 0 {
		return
	}
	f.fb, f.bad = fb, f.bad[:0]
	plan := f.plan()
	plan.read.rows, plan.read.batches = plan.read.rows+int64(len(fb.valid)), plan.read.batches+1
	f.meter.keep()
	f.meter.start()
	f.in = op.Input{B: fb.b, Sel: fb.valid}
	for _, fq := range plan.queries {
		f.run1(fq)
	}
	for i := range plan.segments {
		f.seg = &plan.segments[i]
		f.match()
	}
	f.meter.pool()
	f.meter.settle(len(fb.valid))
	for _, bad := range f.bad {
		f.reject(bad.q.spec.ID, rowText(fb.b, int(bad.row)), bad.err)
	}
	f.block.cols = nil
	f.fb = nil
	f.sample(plan, fb)
}

// run1 passes the rows of in to a query.
func (f *front) run1(fq *frontQuery) {
	if fq.direct { // rows of one that broke are left out when they are gathered
		n := int64(len(f.in.Sel))
		fq.rows, fq.batches = fq.rows+n, fq.batches+1
		f.encode(fq, f.in.B, f.in.Sel)
		f.meter.chargeRows(fq, n)
		return
	}
	if fq.q.dead() {
		return
	}
	f.cur = fq
	err := guard(f.processOne)
	if err != nil && !errors.Is(err, op.ErrDone) {
		f.it.failed = append(f.it.failed, failure{fq.q, err})
	}
	f.meter.charge(fq)
}

// rowSink encodes the result rows of a stateless query.
type rowSink struct{ fq *frontQuery }

// Emit encodes rows into the item.
func (s rowSink) Emit(in op.Input) error {
	fq := s.fq
	if len(fq.cols) != len(in.B.Cols) {
		fq.cols = allColumns(len(in.B.Cols))
	}
	fq.f.encode(fq, in.B, in.Sel)
	return nil
}

func allColumns(n int) []int {
	cols := make([]int, n)
	for i := range cols {
		cols[i] = i
	}
	return cols
}

// routeSink splits the rows of a keyed query by the hash of their key.
type routeSink struct{ fq *frontQuery }

// Emit copies the selection and the keys into the batch, per worker. Rows that the query computed are copied with them: their
// memory is an operator's.
func (s routeSink) Emit(in op.Input) error {
	fq, fb := s.fq, s.fq.f.fb
	r := fb.route(fq, len(fq.f.e.workers))
	if in.B != fb.b {
		r.own = copyRows(in.B, in.Sel)
		in = op.Input{B: r.own, Sel: batch.All(r.own.N)}
	}
	return fq.router.Route(in, r.parts)
}

// copyRows makes a batch of the selected rows that owns its memory.
func copyRows(b *batch.Batch, sel []uint32) *batch.Batch {
	own := batch.New(b.Schema, nil)
	for c := range b.Cols {
		src, dst := &b.Cols[c], &own.Cols[c]
		if src.Absent {
			dst.Absent = true
			continue
		}
		for _, row := range sel {
			dst.AppendFrom(src, int(row))
		}
	}
	own.N = len(sel)
	own.Src = op.AppendSrc(nil, b, sel)
	if len(b.Ops) > 0 {
		for _, row := range sel {
			own.Ops = append(own.Ops, b.Ops[row])
		}
	}
	return own
}

// route returns a query's entry in the batch, reusing memory.
func (fb *frontBatch) route(fq *frontQuery, workers int) *routed {
	if fb.used == len(fb.routed) {
		fb.routed = append(fb.routed, routed{})
	}
	r := &fb.routed[fb.used]
	fb.used++
	r.q, r.input, r.own, r.as = fq.q, fq.input, nil, 0
	if len(r.parts) != workers {
		r.parts = make([]op.Part, workers)
	}
	return r
}
