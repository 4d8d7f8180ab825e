package job

import (
	"sync"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// orderState is the part of a stream that depends on the order of rows. The orderer owns it.
type orderState struct {
	tracker *task.Tracker // nil for results
	// watermark of a query's result, as its readers have it.
	watermark types.EventTime
	readCount
}

// readCount is how much of a stream has come by.
type readCount struct{ rows, batches int64 }

// newTracker makes the tracker of a stream of the catalogue. What its event log will hold is one split, which is there from the
// beginning; connectors announce theirs.
func (s *stream) newTracker() *task.Tracker {
	t := task.NewTracker(s.spec.Delay, s.spec.IdleAfter)
	if s.log != nil {
		t.Announce(0, s.spec.Created)
	}
	return t
}

// silent reports that the stream has no time and holds nobody back.
func (o *orderState) silent() bool { return o.tracker != nil && o.tracker.Silent() }

// now is the stream's watermark.
func (o *orderState) now() types.EventTime {
	if o.tracker != nil {
		return o.tracker.Watermark()
	}
	return o.watermark
}

// progress remembers the outcome of a stream's recent payloads for those who appended them.
type progress struct {
	mu   sync.Mutex
	cond *sync.Cond
	ring []payloadCount
	next int   // slot of ring that is written next
	upTo int64 // offset up to which payloads have been processed
	gone bool  // the stream was dropped, or the engine stopped
}

const progressRing = 1 << 14

func (p *progress) init() { p.cond = sync.NewCond(&p.mu) }

// begin tells up to where payloads were processed before the engine began to count.
func (p *progress) begin(upTo int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.upTo = upTo
}

func (p *progress) add(counts []payloadCount) {
	if len(counts) == 0 {
		return
	}
	p.mu.Lock()
	for _, c := range counts {
		if len(p.ring) < progressRing {
			p.ring = append(p.ring, c)
		} else {
			p.ring[p.next] = c
		}
		p.next = (p.next + 1) % progressRing
		p.upTo = max(p.upTo, c.to)
	}
	p.mu.Unlock()
	p.cond.Broadcast()
}

func (p *progress) end() {
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.cond.Broadcast()
}

// orderLoop sees all items in their order, after the front stage: it moves the watermarks, marks the rows behind them,
// and hands every item to every worker.
func (e *Engine) orderLoop() {
	defer e.wg.Done()
	defer func() {
		for _, w := range e.workers {
			close(w.in)
		}
	}()
	for it := range e.ordered {
		switch it.kind {
		case itemStart:
			e.orderStart(it.epoch)
		case itemData:
			<-it.ready
			e.orderData(it)
		case itemEnd:
			e.orderEnd(it.epoch)
		}
		it.refs.Store(int32(len(e.workers)))
		for _, w := range e.workers {
			w.in <- it
		}
	}
}

// orderStart applies the epoch's clock to all streams. The workers learn the watermarks from the epoch.
func (e *Engine) orderStart(ep *epoch) {
	for _, s := range ep.newStreams {
		if !s.isResult {
			s.order.tracker = s.newTracker()
		}
	}
	e.noteReaders(ep.attach)
	ep.orderSucceed()
	e.orderJoins(ep)
	ep.watermarks = make(map[uint64]types.EventTime)
	for _, s := range e.streamList() {
		t := s.order.tracker
		if t == nil || s.past != nil { // the time of results and of history comes with their rows
			continue
		}
		if ep.restarted {
			t.Touch(ep.clock)
		}
		if s.spec.TimeCol < 0 {
			continue
		}
		before := t.Watermark()
		wm := t.Tick(ep.clock)
		if ep.ended {
			wm = t.End()
		}
		if wm > before {
			ep.watermarks[s.spec.ID] = wm
			s.stats.Watermark.Store(int64(wm))
		}
		if t.Silent() {
			ep.silent = append(ep.silent, s.spec.ID)
		}
	}
}

// noteReaders notes how much of their streams came before the queries that begin.
func (e *Engine) noteReaders(list []*query) {
	if len(list) == 0 {
		return
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, q := range list {
		q.readFrom = make([]readCount, len(q.parts.Inputs))
		for i := range q.parts.Inputs {
			if s := e.streams[q.begun[i]]; s != nil {
				q.readFrom[i] = s.order.readCount
			}
		}
	}
}

func (e *Engine) orderData(it *item) {
	s, ep := it.stream, it.epoch
	s.stats.Rows.Add(it.rowsIn)
	s.stats.Rejected.Add(it.rejected)
	if s.order.tracker != nil {
		it.announce(ep.clock)
	}
	for _, fb := range it.batches {
		if s.isResult {
			fb.b.Behind, fb.watermark = fb.b.Behind[:0], s.order.watermark
		} else if s.spec.TimeCol >= 0 && s.order.tracker != nil {
			fb.b.Behind = s.order.tracker.Observe(it.split, ep.clock, fb.b.Cols[s.spec.TimeCol].I64, fb.valid, fb.b.Behind[:0])
			fb.watermark = s.order.tracker.Watermark()
		} else {
			fb.b.Behind, fb.watermark = fb.b.Behind[:0], types.MinTime
		}
		if s.past != nil {
			s.clip(fb)
		}
		fb.markOwn()
		if n := len(fb.valid); n > 0 {
			s.order.rows, s.order.batches = s.order.rows+int64(n), s.order.batches+1
		}
	}
	if s.isResult {
		s.order.watermark = max(s.order.watermark, it.watermark)
		it.watermark = s.order.watermark
	}
	if len(it.batches) > 0 {
		s.stats.Watermark.Store(int64(it.batches[len(it.batches)-1].watermark))
	}
	out := &ep.order
	wasEmpty := out.empty()
	out.full = append(out.full, it.full...)
	if it.rows != nil && len(it.rows.runs) > 0 { // those of queries that broke are left out as they are gathered
		out.lists = append(out.lists, it.rows)
		it.rows = nil
	}
	out.takeRejects(it)
	for _, f := range it.failed {
		if !f.q.dead() {
			f.q.fail(ep.n)
			out.failed = append(out.failed, f)
		}
	}
	if wasEmpty && !out.empty() {
		e.resultWaits()
	}
	if !ep.replay && s.past == nil {
		s.progress.add(it.counts)
	}
}

// announce makes the splits known that are there and have nothing yet. A history waits for those that its stream waits for: one that has
// been silent for as long as it may be is told of by its first row.
func (it *item) announce(clock types.EventTime) {
	s := it.stream
	for i := range it.payloads {
		if p := &it.payloads[i]; p.From != p.To || s.past != nil && !s.past.live.order.tracker.Waits(it.split) {
			continue
		}
		s.order.tracker.Announce(it.split, clock)
	}
}

// orderEnd completes what a checkpoint must know of time.
func (e *Engine) orderEnd(ep *epoch) {
	e.orderFeeds(ep)
	for _, x := range ep.inspect {
		x.atOrderer(e)
	}
	for _, s := range ep.gone {
		s.order.tracker = nil
	}
	if ep.checkpoint == nil {
		return
	}
	for _, s := range e.streamList() {
		c := ep.checkpoint.stream(s.id())
		switch {
		case c == nil:
		case s.isResult:
			c.watermark = s.order.watermark
		case s.order.tracker != nil:
			c.watermark, c.splits = s.order.tracker.Watermark(), s.order.tracker.Splits()
		}
	}
}

// markOwn gives the rows that queries computed the marks of the rows they come from.
func (fb *frontBatch) markOwn() {
	if len(fb.b.Behind) == 0 {
		return
	}
	for i := range fb.routed[:fb.used] {
		own := fb.routed[i].own
		if own == nil {
			continue
		}
		next := 0
		for row, src := range own.Src {
			for next < len(fb.b.Behind) && fb.b.Behind[next].Row < src {
				next++
			}
			if next < len(fb.b.Behind) && fb.b.Behind[next].Row == src {
				own.Behind = append(own.Behind, batch.Behind{Row: uint32(row), Watermark: fb.b.Behind[next].Watermark})
			}
		}
	}
}

// resultWaits tells the sequencer that the epoch has something to publish.
func (e *Engine) resultWaits() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// getBatch takes a batch from the stream's pool.
func (s *stream) getBatch(want []bool) *frontBatch {
	fb, _ := s.batches.Get().(*frontBatch)
	if fb == nil {
		return &frontBatch{b: batch.New(&s.spec.Schema, want)}
	}
	fb.b.Reset(want)
	return fb
}

func (s *stream) putBatch(fb *frontBatch) {
	fb.used, fb.valid, fb.pieces = 0, nil, fb.pieces[:0]
	s.batches.Put(fb)
}
