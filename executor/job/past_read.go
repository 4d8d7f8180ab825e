package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vigil-sql/vigil/storage/eventlog"
)

// History is read beside the streams, whose events come first: of all histories together pastItems items are under way, they are
// small, and while events wait there are pastEvery of their items to one of history.
const (
	pastItems = 2
	pastEvery = 3
	// historyBytesDefault is Config.HistoryBytes, joinWithinDefault Config.JoinWithin where it is not set.
	historyBytesDefault = 64 << 10
	joinWithinDefault   = 256 << 10
)

// pastReader reads the histories of a query's streams in the order in which their entries arrived.
type pastReader struct {
	heads []*pastHead
	bytes int // of an item
}

// pastHead is where one of them has come to.
type pastHead struct {
	s *stream
	r *eventlog.Reader
	// upTo is where reading ends for now.
	upTo func() int64
	// entry is the next one, while full.
	entry eventlog.Entry
	full  bool
}

func (e *Engine) newPastReader(heads []*pastHead) *pastReader {
	return &pastReader{heads, e.cfg.HistoryBytes}
}

func (r *pastReader) close() {
	for _, h := range r.heads {
		_ = h.r.Close() // it was only read from
	}
}

// load reads the next entry, unless there is none yet. What cannot be read any more is passed over.
func (h *pastHead) load() error {
	for !h.full && h.r.Offset() < h.upTo() {
		entry, err := h.r.Next()
		if _, damaged := errors.AsType[*eventlog.CorruptError](err); damaged {
			continue // the stream has told of it
		}
		switch {
		case err == nil:
			h.entry, h.full = entry, true
		case errors.Is(err, eventlog.ErrTrimmed):
			h.r.SkipTrimmed()
		case errors.Is(err, io.EOF):
			return nil
		default:
			return err
		}
	}
	return nil
}

// head is the stream whose entry is next; nil when there is none.
func (r *pastReader) head() (*pastHead, error) {
	var first *pastHead
	for _, h := range r.heads {
		if err := h.load(); err != nil {
			return nil, fmt.Errorf("stream %s: %w", h.s.spec.Name, err)
		}
		if h.full && (first == nil || h.entry.Arrival < first.entry.Arrival) {
			first = h
		}
	}
	return first, nil
}

// fill reads entries into an item until it is large enough, the next one is another stream's, or there are none for now.
func (r *pastReader) fill(it *item) error {
	it.stream = nil // of one that was given back unused it may be any
	for size := 0; size < r.bytes; {
		h, err := r.head()
		if err != nil || h == nil || size > 0 && it.stream != h.s {
			return err
		}
		it.stream, it.split = h.s, 0
		it.payloads = append(it.payloads, logPayload(h.entry))
		size += max(1, len(h.entry.Payload))
		h.full = false
	}
	return nil
}

// seen notes how far there is nothing more to be read.
func (r *pastReader) seen() {
	for _, h := range r.heads {
		if !h.full {
			h.s.past.seen.Store(h.r.Offset())
		}
	}
}

// startBackfill begins to read the history of a query.
func (e *Engine) startBackfill(q *query) {
	ctx, cancel := context.WithCancel(e.ctx)
	done := make(chan struct{})
	q.back.stop = cancel
	var heads []*pastHead
	for _, s := range q.back.of {
		switch live := s.past.live; {
		case live.isResult:
			e.startResultPast(ctx, q, s)
			continue
		case live.log == nil:
			e.startSourcePast(ctx, q, s)
			continue
		}
		e.mu.Lock()
		s.stop, s.done = q.back.stop, done
		e.mu.Unlock()
		live := s.past.live
		heads = append(heads, &pastHead{s: s, r: live.log.NewReader(s.next[0]), upTo: live.placed.Load})
		if !slices.Contains(live.followers, q) {
			live.followers = append(live.followers, q)
		}
	}
	if len(heads) == 0 {
		return
	}
	go func() {
		defer close(done)
		e.readHistory(ctx, q, e.newPastReader(heads))
	}()
}

// readHistory feeds the sequencer with a query's history, as far as the streams have come.
func (e *Engine) readHistory(ctx context.Context, q *query, r *pastReader) {
	defer r.close()
	for {
		select {
		case e.pastSlots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		it := e.newItem(itemData)
		err := r.fill(it)
		if err != nil && ctx.Err() == nil {
			q.back.of[0].past.live.setError(fmt.Errorf("read the history for query %s: %w", q.spec.Name, err))
			e.log.Error("history", "query", q.spec.Name, "error", err)
		}
		if len(it.payloads) == 0 {
			e.items.Put(it)
			<-e.pastSlots
			if err != nil {
				return
			}
			r.seen()
			e.resultWaits()
			select {
			case <-q.back.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		it.slot = true
		select {
		case e.history <- it:
		case <-ctx.Done():
			<-e.pastSlots
			return
		}
	}
}

// wakeFollowers tells those who read the history of a stream that it went on. The sequencer's.
func (s *stream) wakeFollowers() {
	for _, q := range s.followers {
		select {
		case q.back.wake <- struct{}{}:
		default:
		}
	}
}

// discard gives an item back that nobody will see.
func (e *Engine) discard(it *item) {
	if it.slot {
		<-e.pastSlots
	}
	it.reset()
	e.items.Put(it)
}
