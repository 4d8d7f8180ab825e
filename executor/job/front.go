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
	decoders map[decoderKey]codec.Decoder
	queries  map[reader]*frontQuery
	plans    map[uint64]*frontPlan // by stream
	rejects  []codec.Reject
	// The item and batch in work, for the sinks.
	it    *item
	fb    *frontBatch
	bad   []badRow
	cur   *frontQuery
	meter frontMeter
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
	version uint64
	queries []*frontQuery
}

// frontQuery is the stateless half of one input of a query in one front goroutine.
type frontQuery struct {
	f      *front
	q      *query
	input  int
	chain  *task.Chain
	router *op.Router
	rowIn  []types.Value
	spent  frontSpent
}

func newFront(e *Engine) *front {
	f := &front{e: e, decoders: map[decoderKey]codec.Decoder{}, queries: map[reader]*frontQuery{},
		plans: map[uint64]*frontPlan{}}
	f.ctx.UDF, f.meter.now = e.cfg.UDF, e.costs.now
	f.ctx.RowError = func(row uint32, err error) { f.bad = append(f.bad, badRow{row, f.cur.q, err}) }
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
	f.fb = nil
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
	if t, ok := dec.(timedDecoder); ok {
		t.At(p.Arrival, it.epoch.clock)
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

// admit checks the new rows' event times against the clock and lists the good ones as valid.
func (f *front) admit(first int, raw []byte, dec codec.Decoder) int64 {
	s, fb := f.it.stream.spec, f.fb
	n := fb.b.N
	if s.TimeCol < 0 || s.MaxAhead <= 0 {
		fb.valid = append(fb.valid, batch.All(n)[first:]...)
		return int64(n - first)
	}
	limit := int64(f.it.epoch.clock) + s.MaxAhead
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
	kept := 0
	for i := range it.rejects {
		kept += len(it.rejects[i].raw)
	}
	if kept > rejectBytesMax || len(it.rejects) >= batch.RowsMax {
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
	queries := f.plan().queries
	f.meter.keep()
	for _, fq := range queries {
		if fq.q.dead() {
			continue
		}
		f.cur = fq
		err := guard(func() error { return fq.chain.Process(op.Input{B: fb.b, Sel: fb.valid}) })
		if err != nil && !errors.Is(err, op.ErrDone) {
			f.it.failed = append(f.it.failed, failure{fq.q, err})
		}
		f.meter.charge(fq)
	}
	f.meter.settle(len(fb.valid))
	for _, bad := range f.bad {
		f.reject(bad.q.spec.ID, rowText(fb.b, int(bad.row)), bad.err)
	}
	f.fb = nil
}

// plan returns the item's plan with this goroutine's evaluators.
func (f *front) plan() *frontPlan {
	p := f.it.plan
	fp := f.plans[p.stream.spec.ID]
	if fp != nil && fp.version == p.version {
		return fp
	}
	next := &frontPlan{version: p.version, queries: make([]*frontQuery, 0, len(p.readers))}
	old := map[reader]bool{}
	if fp != nil {
		for _, fq := range fp.queries {
			old[reader{fq.q, fq.input}] = true
		}
	}
	for _, r := range p.readers {
		delete(old, r)
		fq := f.queries[r]
		if fq == nil {
			var err error
			if fq, err = f.open(r); err != nil {
				f.it.failed = append(f.it.failed, failure{r.q, err})
				continue
			}
			f.queries[r] = fq
		}
		next.queries = append(next.queries, fq)
	}
	for r := range old {
		f.meter.leave(f.queries[r])
		delete(f.queries, r)
	}
	f.plans[p.stream.spec.ID] = next
	return next
}

func (f *front) open(r reader) (*frontQuery, error) {
	fq := &frontQuery{f: f, q: r.q, input: r.input}
	in := &r.q.parts.Inputs[r.input]
	fq.spent.foreign = !in.IsResult || spec.StageOwner(in.Source) != r.q.owner.spec.ID
	var sink op.Emitter = rowSink{fq}
	if in.Exchange != nil {
		router, err := op.NewRouter(in.Exchange)
		if err != nil {
			return nil, err
		}
		router.Open(&f.ctx)
		fq.router, sink = router, routeSink{fq}
	}
	chain, err := task.NewChain(&f.ctx, in.Front, sink)
	fq.chain = chain
	return fq, err
}

// rowSink encodes the result rows of a stateless query.
type rowSink struct{ fq *frontQuery }

// Emit encodes rows into the item.
func (s rowSink) Emit(in op.Input) error {
	fq := s.fq
	for _, r := range in.Sel {
		fq.rowIn = in.B.Row(fq.rowIn[:0], int(r))
		fq.f.it.rows = append(fq.f.it.rows, queryRow{fq.q, outRow{op: in.B.Op(int(r)), data: codec.AppendRow(nil, fq.rowIn)}})
	}
	return nil
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
	r.q, r.input, r.own = fq.q, fq.input, nil
	if len(r.parts) != workers {
		r.parts = make([]op.Part, workers)
	}
	return r
}
