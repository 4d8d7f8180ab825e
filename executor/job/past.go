package job

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// A query WITH (start = 'earliest') reads what its streams retain before it joins them: docs/design/0009-live-change.md. Each stream
// has a past then, a stream of its own that only this query reads: with positions, a plan, a watermark, and runs in the epoch
// records under an id of its own, so that checkpoints and recovery need to know no more of it. Where the past ends, at the position of
// the stream, the query changes over at the start of an epoch.

// past is what makes a stream one of history.
type past struct {
	id   uint64
	q    *query
	live *stream
	// from are the offsets of live at which it begins.
	from connector.Offsets
	// at is the offset up to which it has been given its place, for those who ask, the sum of those of a source's splits; seen that up to
	// which there is nothing more to be read of a log, when that is known.
	at, seen atomic.Int64
	// chase is of a connector's stream, wake of a result; wake has capacity 1.
	chase
	wake chan struct{}
}

// pastBit is set in the ids of pasts, which are of a query and the n-th of its streams.
const pastBit = 1 << 59

func pastID(query uint64, n int) uint64 { return query | uint64(n)<<40 | pastBit }

// id is what the stream is known by within the engine, spec.ID what its rows belong to.
func (s *stream) id() uint64 {
	if s.past != nil {
		return s.past.id
	}
	return s.spec.ID
}

// backfill is the history of a query. of is fixed before the query is attached, by the sequencer or by recovery.
type backfill struct {
	// wanted are the offsets from which on history is wanted, by stream.
	wanted map[uint64]connector.Offsets
	of     []*stream
	// caughtUp: all of it has been given its place. joined: the query reads the streams. Both are set by the sequencer.
	caughtUp, joined atomic.Bool
	wake             chan struct{} // capacity 1: a stream went on
	stop             context.CancelFunc
}

// past is the past of a stream that the query begins with, nil when it begins with the stream.
func (q *query) past(stream uint64) *stream {
	for _, s := range q.owner.back.of {
		if s.spec.ID == stream {
			return s
		}
	}
	return nil
}

// backfilling reports that the query has not joined its streams.
func (q *query) backfilling() bool { return len(q.owner.back.of) > 0 && !q.owner.back.joined.Load() }

// sources are what the inputs of a part read: its streams, or their pasts.
func (q *query) sources(pasts bool) []uint64 {
	ids := make([]uint64, len(q.parts.Inputs))
	for i := range ids {
		ids[i] = q.parts.Inputs[i].Source
		if s := q.past(ids[i]); pasts && s != nil {
			ids[i] = s.id()
		}
	}
	return ids
}

// wantHistory finds out from where on a new query wants history, and refuses what has none.
func (e *Engine) wantHistory(q *query, coming map[uint64]*stream) error {
	if q.spec.Start == nil {
		return nil
	}
	q.back.wanted = map[uint64]connector.Offsets{}
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			in := &part.parts.Inputs[i]
			e.mu.RLock()
			s := e.streams[in.Source]
			e.mu.RUnlock()
			switch _, known := q.back.wanted[in.Source]; {
			case known, coming[in.Source] != nil, in.IsResult && spec.StageOwner(in.Source) == q.spec.ID:
			case in.IsResult:
				from, err := e.resultHistory(in, q.spec.Start)
				if err != nil {
					return err
				}
				q.back.wanted[in.Source] = connector.Offsets{0: from}
			case s == nil: // it was dropped in the same breath; attaching the query tells
			case s.log == nil:
				from, err := e.beginnings(s, q.spec.Start)
				if err != nil {
					return err
				}
				q.back.wanted[in.Source] = from
			default:
				from, err := e.offsetAt(s, q.spec.Start.At)
				if err != nil {
					return err
				}
				q.back.wanted[in.Source] = connector.Offsets{0: from}
			}
		}
	}
	return nil
}

// offsetAt is where the first entry begins that arrived at a time or later.
func (e *Engine) offsetAt(s *stream, arrival types.EventTime) (int64, error) {
	from := s.log.Start()
	if arrival == types.MinTime {
		return from, nil
	}
	r := e.newPastReader([]*pastHead{{s: s, r: s.log.ReadRange(from, s.log.End()), upTo: func() int64 { return s.log.End() }}})
	defer r.close()
	for {
		h, err := r.head()
		if err != nil {
			return 0, sqlerr.New(sqlerr.IOError, "could not read the history of stream %q: %v", s.spec.Name, err)
		}
		if h == nil {
			return s.log.End(), nil
		}
		if h.entry.Arrival >= int64(arrival) {
			return h.entry.Offset, nil
		}
		h.full = false
	}
}

// openPasts makes the pasts of a query that begins; those of streams without history are left out. Of one that recovery attaches it
// is recorded which there were.
func (e *Engine) openPasts(ep *epoch, q *query) {
	for _, id := range slices.Sorted(maps.Keys(q.back.wanted)) {
		live := e.liveOf(q, id)
		if live == nil {
			continue
		}
		from := q.back.wanted[id]
		if !ep.replay && live.log != nil {
			begin := max(from[0], live.log.Start())
			if from = (connector.Offsets{0: begin}); begin >= live.next[0] {
				continue
			}
		}
		s := e.openPast(q, live, from)
		ep.newStreams = append(ep.newStreams, s)
		e.replan(s)
	}
	if len(q.back.of) > 0 {
		q.back.wake = make(chan struct{}, 1)
		e.seq.backfills = append(e.seq.backfills, q)
	}
}

func (e *Engine) openPast(q *query, live *stream, from connector.Offsets) *stream {
	p := &past{id: pastID(q.spec.ID, len(q.back.of)), q: q, live: live, from: from}
	s := &stream{spec: live.spec, past: p, next: maps.Clone(from), isResult: live.isResult}
	if s.isResult {
		s.order.watermark = types.MinTime
		live.followers = append(live.followers, q)
	} else {
		s.rules = newRuleset(&live.spec.Schema)
	}
	s.progress.init()
	p.at.Store(sum(from))
	q.back.of = append(q.back.of, s)
	e.mu.Lock()
	e.setStream(s)
	e.mu.Unlock()
	return s
}

// closePasts forgets the pasts of a query that joined its streams, or goes.
func (e *Engine) closePasts(ep *epoch, q *query) {
	if !slices.Contains(e.seq.backfills, q) {
		return
	}
	e.seq.backfills = slices.DeleteFunc(e.seq.backfills, func(x *query) bool { return x == q })
	for _, s := range q.back.of {
		if s.stop != nil {
			s.stop()
		}
		live := s.past.live
		live.followers = slices.DeleteFunc(live.followers, func(x *query) bool { return x == q })
		if live.unread() {
			e.mu.Lock()
			e.dropStream(live.spec.ID)
			e.mu.Unlock()
			delete(e.seq.replan, live)
		}
		s.plan = nil
		delete(e.seq.replan, s)
		e.mu.Lock()
		e.dropStream(s.id())
		e.mu.Unlock()
		ep.gone = append(ep.gone, s)
	}
}

// placePast gives an item of history its place in the order.
func (e *Engine) placePast(it *item) {
	s := it.stream
	if s.plan == nil || e.streamGone(s) || it.payloads[0].From < s.next[it.split] {
		e.discard(it) // the query left, or the sequencer has read that already
		return
	}
	ep := e.seq.epoch
	it.epoch, it.plan = ep, s.plan
	for i := range it.payloads {
		p := &it.payloads[i]
		ep.addRun(run{stream: s.id(), split: it.split, from: p.From, to: p.To, result: s.isResult, watermark: types.MinTime})
	}
	to := it.payloads[len(it.payloads)-1].To
	s.next[it.split] = to
	s.past.at.Store(sum(connector.Offsets(s.next)))
	e.seq.dirty = true
	e.send(it)
	if e.near(s.past.q) {
		e.resultWaits() // it can change over when the epoch ends
	}
}

// behind is how far, in bytes, the pasts of a query are behind its streams.
func (q *query) behind() int64 {
	left := int64(0)
	for _, s := range q.back.of {
		left += s.left()
	}
	return left
}

// near reports that little is left to be read.
func (e *Engine) near(q *query) bool {
	left := int64(0)
	for _, s := range q.back.of {
		switch live := s.past.live; {
		case live.log != nil:
			left += max(0, live.next[0]-max(s.next[0], s.past.seen.Load()))
		case live.isResult:
			if live.next[0] < 0 {
				return false // where it stands is not known yet
			}
			left += resultRowBytes * s.left()
		case !s.reached():
			return false
		}
	}
	return left <= e.cfg.JoinWithin
}

// catchUp ends the histories that are almost read: what is left goes into the epoch that is about to end. The streams go on meanwhile, so
// that nobody else could.
func (e *Engine) catchUp() {
	for _, q := range e.seq.backfills {
		for _, s := range q.back.of {
			if s.past.live.src != nil {
				e.followSource(s)
			}
		}
		if !e.near(q) {
			continue
		}
		var heads []*pastHead
		for _, s := range q.back.of {
			if s.past.live.isResult {
				e.catchUpResult(q, s)
			}
			if s.past.live.log == nil {
				continue
			}
			to := s.past.live.next[0]
			heads = append(heads, &pastHead{s: s, r: s.past.live.log.ReadRange(s.next[0], to), upTo: func() int64 { return to }})
		}
		r := e.newPastReader(heads)
		for {
			it := e.newItem(itemData)
			err := r.fill(it)
			if err != nil {
				q.back.of[0].past.live.setError(fmt.Errorf("read the history for query %s: %w", q.spec.Name, err))
				e.log.Error("history", "query", q.spec.Name, "error", err)
			}
			if len(it.payloads) == 0 {
				e.items.Put(it)
				break
			}
			e.placePast(it)
		}
		r.settle() // what cannot be read is passed over, as it was when it came
		q.back.caughtUp.Store(q.behind() == 0)
	}
}

// settle moves the positions of the pasts behind places that could not be read.
func (r *pastReader) settle() {
	for _, h := range r.heads {
		if to := h.upTo(); !h.full && h.r.Offset() >= to {
			h.s.next[0] = to
			h.s.past.at.Store(to)
		}
	}
	r.close()
}

// joinStreams has the queries that have caught up read their streams, from the epoch that begins on.
func (e *Engine) joinStreams(ep *epoch) {
	for _, q := range slices.Clone(e.seq.backfills) {
		if q.behind() == 0 {
			e.join(ep, q)
		}
	}
}

func (e *Engine) join(ep *epoch, q *query) {
	for _, part := range q.all() {
		ids := part.sources(false)
		for i, id := range ids {
			if id == part.reads[i] {
				continue
			}
			s := e.streams[id]
			e.mu.Lock()
			s.join(reader{part, i})
			e.mu.Unlock()
			if s.rules != nil {
				e.seq.unsettled[s] = true
			}
			e.markReplan(s)
		}
		part.reads = ids
	}
	q.back.caughtUp.Store(true)
	q.back.joined.Store(true)
	e.closePasts(ep, q)
	ep.joins = append(ep.joins, q)
}

// orderJoins is the orderer's part of join. It knows what came by in the past, and what of the streams came before.
func (e *Engine) orderJoins(ep *epoch) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, q := range ep.joins {
		for _, part := range q.all() {
			ids := part.sources(false)
			for i, id := range ids {
				old, s := q.past(id), e.streams[id]
				if id == part.timed[i] || old == nil || s == nil || len(part.readFrom) == 0 {
					continue
				}
				part.readFrom[i] = readCount{s.order.rows - old.order.rows, s.order.batches - old.order.batches}
			}
			part.timed = ids
		}
	}
}

// clip holds the time of a past to that of its stream, which has seen the same rows and more: a row may have been too far ahead of the
// clock by then, which is known to a second here.
func (s *stream) clip(fb *frontBatch) {
	most := s.past.live.order.now()
	if fb.watermark <= most {
		return
	}
	fb.watermark = most
	ts := fb.b.Cols[s.spec.TimeCol].I64
	fb.b.Behind = slices.DeleteFunc(fb.b.Behind, func(x batch.Behind) bool { return types.EventTime(ts[x.Row]) >= most })
	for i := range fb.b.Behind {
		fb.b.Behind[i].Watermark = min(fb.b.Behind[i].Watermark, most)
	}
}

// join is a worker's part: the query's operators go on with the time of the streams.
func (w *worker) join(q *query) {
	for _, part := range q.all() {
		wq := w.queries[part]
		if wq == nil {
			continue
		}
		if wq.tree != nil && !wq.several {
			w.rouse(wq) // by the time that it had
		}
		old := wq.inputs
		wq.inputs[0].deadlines.set(&wq.timer, types.MaxTime)
		wq.read(part.sources(false))
		for _, ws := range old {
			ws.several = without(ws.several, wq)
		}
		wq.listen()
		if wq.dead || wq.tree == nil {
			continue
		}
		w.touch(wq)
		w.advancing = true
		if wq.several {
			wq.reached = max(wq.reached, wq.watermark())
			w.advanceQuery(wq, wq.reached)
		} else {
			w.advanceQuery(wq, earlier(wq.inputs[0].watermark, part.parts.Inputs[0].Delay))
		}
		w.advancing = false
	}
	for _, s := range q.back.of {
		delete(w.streams, s.id())
	}
}

// read sets the streams of the query's inputs.
func (wq *workerQuery) read(ids []uint64) {
	wq.inputs, wq.several = nil, false
	for i, id := range ids {
		ws := wq.w.stream(id)
		wq.several = wq.several || i > 0 && ws != wq.inputs[0]
		wq.inputs = append(wq.inputs, ws)
	}
}

// listen has a query over several streams told of the time of each.
func (wq *workerQuery) listen() {
	if !wq.several {
		return
	}
	for i, ws := range wq.inputs {
		if !slices.Contains(wq.inputs[:i], ws) {
			ws.several = append(ws.several, wq)
		}
	}
}

// The properties of a query's object that tell of its history: from which offset of a stream it reads, and the epoch at whose start it
// joined its streams.
const (
	propHistory = "history."
	PropJoined  = "history_joined"
)

// notePasts adds, to the properties of a query that is being created, where its history begins.
func notePasts(props map[string]string, q *query) {
	for _, s := range q.back.of {
		props[propHistory+strconv.FormatUint(s.spec.ID, 10)] = offsetsText(s.past.from)
	}
}

// historyOf reads what notePasts noted of a query that, after an epoch, had not joined its streams.
func historyOf(props map[string]string, after uint64) map[uint64]connector.Offsets {
	if n, err := strconv.ParseUint(props[PropJoined], 10, 64); err == nil && n <= after {
		return nil
	}
	var out map[uint64]connector.Offsets
	for k, v := range props {
		name, ok := strings.CutPrefix(k, propHistory)
		if !ok {
			continue
		}
		id, err := strconv.ParseUint(name, 10, 64)
		from, err2 := parseOffsets(v)
		if err == nil && err2 == nil {
			if out == nil {
				out = map[uint64]connector.Offsets{}
			}
			out[id] = from
		}
	}
	return out
}

// offsetsText writes offsets down: one alone is that of split 0, others are SPLIT:OFFSET with spaces between.
func offsetsText(o connector.Offsets) string {
	if at, ok := o[0]; ok && len(o) == 1 {
		return strconv.FormatInt(at, 10)
	}
	var words []string
	for _, split := range slices.Sorted(maps.Keys(o)) {
		words = append(words, fmt.Sprintf("%d:%d", split, o[split]))
	}
	return strings.Join(words, " ")
}

func parseOffsets(text string) (connector.Offsets, error) {
	o := connector.Offsets{}
	for _, word := range strings.Fields(text) {
		split, at, several := strings.Cut(word, ":")
		if !several {
			split, at = "0", word
		}
		n, err := strconv.ParseInt(split, 10, 32)
		if err != nil {
			return nil, err
		}
		if o[int32(n)], err = strconv.ParseInt(at, 10, 64); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// dropHistory forgets the history of a query that goes out of service, or comes back with fresh state: from then on.
func dropHistory(props map[string]string) {
	maps.DeleteFunc(props, func(k, _ string) bool { return strings.HasPrefix(k, propHistory) || k == PropJoined })
}

// putJoins records the queries that joined their streams.
func (e *Engine) putJoins(b batchKV, ep *epoch) error {
	for _, q := range ep.joins {
		o, err := e.object(ep, q.spec.ID)
		if err != nil {
			return err
		}
		o.Props = withReads(o.Props, map[string]string{PropJoined: strconv.FormatUint(ep.n, 10)})
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "backfilled", Reason: q.historyText()}); err != nil {
			return err
		}
	}
	return nil
}

// Backfill is how far a query has come with the history of its streams, in bytes of their event logs, or in records of sources, where it
// reads Sources. Ended: it has read it.
type Backfill struct {
	Done, Total    int64
	Ended, Sources bool
}

// progress tells of the history that the query reads; nil when there is none.
func (q *query) progress() *Backfill {
	if q.back.of == nil {
		return nil
	}
	b := &Backfill{Ended: q.back.caughtUp.Load()}
	for _, s := range q.back.of {
		from := sum(s.past.from)
		b.Done += max(0, s.past.at.Load()-from)
		b.Total += max(0, s.past.live.placed.Load()-from)
		b.Sources = b.Sources || s.past.live.log == nil
	}
	if b.Total = max(b.Total, b.Done); b.Ended {
		b.Total = b.Done
	}
	return b
}

// wantedText says how much there is to be read.
func (q *query) wantedText() string {
	var words []string
	for _, s := range q.back.of {
		words = append(words, s.past.amount(s.past.live.placed.Load()))
	}
	return "reads " + strings.Join(words, ", ")
}

// historyText says how much was read.
func (q *query) historyText() string {
	var words []string
	for _, s := range q.back.of {
		words = append(words, s.past.amount(s.past.at.Load()))
	}
	return "read " + strings.Join(words, ", ")
}

// amount is the history up to a place in words.
func (p *past) amount(to int64) string {
	unit := "bytes"
	switch {
	case p.live.isResult:
		return fmt.Sprintf("%d rows of query %s", max(0, to-p.from[0]), p.live.spec.Name) + p.resultGone()
	case p.live.log == nil:
		unit = "records"
	}
	return fmt.Sprintf("%d %s of stream %s", max(0, to-sum(p.from)), unit, p.live.spec.Name) + p.goneText()
}
