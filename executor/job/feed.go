package job

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/results"
)

// A query's result is an input of the queries that read it: what one epoch commits, with the query's watermark, becomes an
// item of a later epoch. The runtime of such an input is a stream without log or connector, made when the first reader comes
// and gone with the last.

// feed is what one epoch gives to the readers of a query.
type feed struct {
	stream *stream
	q      *query
	// watermark is the query's at the end of the epoch; moved tells that it is a newer one than the last. The orderer's.
	watermark types.EventTime
	moved     bool
	// first: somebody follows the stream who has to know where it stands.
	first bool
	// rows, from an offset on; or, of those that are not held, how many the store has from there on. The committer's.
	from   int64
	rows   []outRow
	stored int64
}

func (f *feed) count() int64 { return int64(len(f.rows)) + f.stored }

// settler waits for what was appended before to be committed, and for what follows from it; levels is how many levels of
// queries over queries it still has to pass.
type settler struct {
	done   chan error
	levels int
}

// levels is the length of the longest chain of queries over queries. The sequencer's.
func (e *Engine) levels() int {
	if e.seq.levelsKnown {
		return e.seq.levels
	}
	list, most := e.streamList(), 0
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, s := range list {
		if s.isResult {
			most = max(most, e.levelOf(s.spec.ID))
		}
	}
	e.seq.levels, e.seq.levelsKnown = most, true
	return most
}

// noteLevels is told of a query that comes or goes.
func (s *sequencer) noteLevels(q *query) {
	for i := range q.parts.Inputs {
		if q.parts.Inputs[i].IsResult {
			s.levelsKnown = false
		}
	}
}

// levelOf is how many results lie between the streams and the readers of a query's result; called with mu held.
func (e *Engine) levelOf(id uint64) int {
	q, below := e.queries[id], 0
	if q != nil {
		for i := range q.parts.Inputs {
			if in := &q.parts.Inputs[i]; in.IsResult {
				below = max(below, e.levelOf(in.Source))
			}
		}
	}
	return below + 1
}

// feedQueue holds what was committed until the sequencer gives it its place. It has no bound of its own: the rows of an
// epoch are in memory already, and the sequencer takes them before it takes anything else.
type feedQueue struct {
	mu      sync.Mutex
	feeds   []feed
	settled []settler
	wake    chan struct{}
}

func (f *feedQueue) put(feeds []feed, settled []settler) {
	f.mu.Lock()
	f.feeds = append(f.feeds, feeds...)
	f.settled = append(f.settled, settled...)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *feedQueue) take() ([]feed, []settler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	feeds, settled := f.feeds, f.settled
	f.feeds, f.settled = nil, nil
	return feeds, settled
}

// fromUnknown is the offset of a result whose reader came and has had no rows of it: recovery knows better from the reader's
// properties.
const fromUnknown = -1

// resultStream finds or makes the stream that is a query's result; next is where it begins when it is made.
func (e *Engine) resultStream(in *task.Input, next int64) *stream {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.streams[in.Source]; s != nil {
		return s
	}
	s := &stream{spec: &spec.Stream{ID: in.Source, Name: in.Name, Schema: *in.Schema, TimeCol: -1}, isResult: true,
		result: e.queries[in.Source], next: map[int32]int64{0: next}}
	s.progress.init()
	s.order.watermark = types.MinTime
	e.setStream(s)
	return s
}

// placeFeeds gives the results that wait their place in the order. It reports whether somebody waits for what follows.
func (e *Engine) placeFeeds() bool {
	feeds, settled := e.fed.take()
	for i := range feeds {
		f := &feeds[i]
		s := f.stream
		if s.plan == nil || e.streamGone(s) {
			continue
		}
		next := f.from + f.count()
		s.next[0] = next
		s.placed.Store(next)
		s.wakeReaders()
		e.seq.epoch.runs = append(e.seq.epoch.runs, run{stream: s.spec.ID, from: f.from, to: next, result: true, watermark: f.watermark})
		e.seq.dirty = true
		if err := e.sendResult(e.seq.epoch, f); err != nil {
			e.fail(err)
			break
		}
	}
	e.seq.epoch.settled = append(e.seq.epoch.settled, settled...)
	return len(settled) > 0
}

// sendResult puts a query's rows into the pipeline.
func (e *Engine) sendResult(ep *epoch, f *feed) error {
	if f.stored > 0 {
		return e.sendStored(ep, f)
	}
	for rows := f.rows; ; {
		size, n := 0, 0
		for n < len(rows) && size < itemBytesMax {
			size += len(rows[n].data)
			n++
		}
		e.sendRows(ep, f, rows[:n], n == len(rows))
		if rows = rows[n:]; len(rows) == 0 {
			return nil
		}
	}
}

// sendRows puts one item of a query's rows into the pipeline; the last one has the watermark.
func (e *Engine) sendRows(ep *epoch, f *feed, rows []outRow, last bool) {
	it := e.newItem(itemData)
	it.stream, it.epoch, it.plan = f.stream, ep, f.stream.plan
	it.changes, it.watermark = rows, types.MinTime
	if last {
		it.watermark = f.watermark
	}
	e.send(it)
}

// sendStored is sendResult for rows that the store has: they are read piece by piece, as the pipeline takes them.
func (e *Engine) sendStored(ep *epoch, f *feed) error {
	for sent := int64(0); ; {
		var rows []outRow
		size := 0
		err := e.results.Scan(f.stream.spec.ID, f.from+sent, 0, func(r results.Row) (bool, error) {
			if r.Offset != f.from+sent+int64(len(rows)) {
				return false, nil // it is not there any more
			}
			rows = append(rows, outRow{op: batch.Op(r.Op), data: append([]byte(nil), r.Data...)})
			size += len(r.Data)
			return size < itemBytesMax && sent+int64(len(rows)) < f.stored, nil
		})
		if err == nil && len(rows) == 0 {
			err = fmt.Errorf("%d of %d result rows are left", sent, f.stored)
		}
		if err != nil {
			return fmt.Errorf("read the result of query %s: %w", f.stream.spec.Name, err)
		}
		sent += int64(len(rows))
		if e.sendRows(ep, f, rows, sent == f.stored); sent == f.stored {
			return nil
		}
	}
}

// decodeChanges turns the rows of a query's result into batches.
func (f *front) decodeChanges() {
	it := f.it
	ts := make([]types.Type, len(it.stream.spec.Schema.Cols))
	for i := range ts {
		ts[i] = it.stream.spec.Schema.Cols[i].Type
	}
	for i := range it.changes {
		c := &it.changes[i]
		if f.fb == nil {
			f.fb = it.stream.getBatch(nil)
			f.fb.valid = f.fb.keep[:0]
		}
		row, err := codec.DecodeRow(ts, c.data)
		if err != nil {
			f.reject(0, c.data, err)
			continue
		}
		b := f.fb.b
		b.AppendRow(row)
		f.fb.valid = append(f.fb.valid, uint32(b.N-1))
		if c.op != batch.Insert || len(b.Ops) > 0 {
			for len(b.Ops) < b.N-1 {
				b.Ops = append(b.Ops, batch.Insert)
			}
			b.Ops = append(b.Ops, c.op)
		}
		if b.N >= batch.RowsMax && c.op != batch.UpdateBefore {
			f.finishBatch()
		}
	}
}

// feedsOf lists the results that are read, for an epoch that begins.
func (e *Engine) feedsOf() []feed {
	var feeds []feed
	for _, s := range e.streamList() {
		if s.result != nil {
			feeds = append(feeds, feed{stream: s, q: s.result, first: len(s.followers) > 0 && s.next[0] < 0})
		}
	}
	return feeds
}

// orderFeeds notes the watermarks of the results that are read, at the end of an epoch.
func (e *Engine) orderFeeds(ep *epoch) {
	for i := range ep.feeds {
		f := &ep.feeds[i]
		f.watermark = e.resultWatermark(f.q)
		if f.moved = f.watermark > f.q.handed; f.moved {
			f.q.handed = f.watermark
		}
	}
}

// resultWatermark is the watermark of a query's result: the least of its inputs, less what its operators hold back.
func (e *Engine) resultWatermark(q *query) types.EventTime {
	least, some := types.MaxTime, false
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i := range q.parts.Inputs {
		s := e.streams[q.timed[i]]
		if s == nil {
			return types.MinTime
		}
		if !s.order.silent() {
			least, some = min(least, earlier(s.order.now(), q.parts.Inputs[i].Delay)), true
		}
	}
	if !some {
		return types.MinTime
	}
	return earlier(least, q.outDelay)
}

// earlier subtracts a duration without wrapping below MinTime.
func earlier(t types.EventTime, d int64) types.EventTime {
	if t < types.MinTime+types.EventTime(d) {
		return types.MinTime
	}
	return t - types.EventTime(d)
}

// pendingFeeds queues, after recovery, the rows that were committed and not yet read.
func (e *Engine) pendingFeeds() {
	for _, s := range e.streamList() {
		if !s.isResult || s.past != nil {
			continue
		}
		f := feed{stream: s, q: s.result, from: max(s.next[0], e.results.Oldest(s.spec.ID))}
		f.stored = max(0, e.results.Next(s.spec.ID)-f.from)
		f.watermark = s.order.watermark
		if f.q != nil { // it is in service
			f.watermark = e.resultWatermark(f.q)
			f.q.handed = f.watermark
		}
		if f.stored > 0 || f.watermark > s.order.watermark {
			e.fed.put([]feed{f}, nil)
		}
	}
}

// rerunResult runs a stretch of a query's result again.
func (e *Engine) rerunResult(ep *epoch, s *stream, x run) error {
	s.next[0] = x.to
	if s.past != nil {
		s.past.at.Store(x.to)
	}
	return e.sendResult(ep, &feed{stream: s, from: x.from, stored: x.to - x.from, watermark: x.watermark})
}

// propReads prefixes the properties of a query's object that tell from which offset of another query's result it reads.
const propReads = "reads."

// readsFrom adds, to the properties of a query that is being created or resumed, where its inputs begin.
func (e *Engine) readsFrom(props map[string]string, q *query) {
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			if in := &part.parts.Inputs[i]; in.IsResult {
				props[propReads+strconv.FormatUint(in.Source, 10)] = strconv.FormatInt(e.results.Next(in.Source), 10)
			}
		}
	}
}

// readsOffset is what readsFrom noted.
func readsOffset(props map[string]string, source uint64) int64 {
	n, _ := strconv.ParseInt(props[propReads+strconv.FormatUint(source, 10)], 10, 64) // absent: 0
	return n
}
