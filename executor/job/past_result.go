package job

import (
	"context"
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/results"
)

// The history of another query's result is its changelog. With which watermarks its rows came is not kept: time stands still in such a
// history, and goes on to that of the result as the query joins it. Until then the result's stream goes on for the query's sake, read
// by nobody, so that it is known where it stands.

// resultRowBytes is what a row of a result counts where history is measured in bytes.
const resultRowBytes = 64

// resultHistory is where the history of another query's result begins.
func (e *Engine) resultHistory(in *task.Input, start *spec.Start) (int64, error) {
	e.mu.RLock()
	of := e.queries[in.Source]
	e.mu.RUnlock()
	from := e.results.Oldest(in.Source)
	switch {
	case of == nil:
		return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "start = '%s' needs query %q to run", start.Text, in.Name).
			WithHint("RESUME it, or COMMIT it, first.")
	case of.spec.Updates:
		return 0, sqlerr.NotSupported("start = '"+start.Text+"' over query "+in.Name+", which corrects its results",
			"Read the streams that query "+in.Name+" reads, or leave start out.")
	case start.At == types.MinTime:
		return from, nil
	}
	at := e.results.Next(in.Source)
	err := e.results.Scan(in.Source, from, 0, func(r results.Row) (bool, error) {
		if r.Clock >= int64(start.At) {
			at = r.Offset
			return false, nil
		}
		return true, nil
	})
	if err != nil {
		return 0, sqlerr.New(sqlerr.IOError, "could not read the results of query %q: %v", in.Name, err)
	}
	return at, nil
}

// resultInput is the query's input that reads a result; nil when none does.
func (q *query) resultInput(id uint64) *task.Input {
	for _, part := range q.all() {
		for i := range part.parts.Inputs {
			if in := &part.parts.Inputs[i]; in.IsResult && in.Source == id {
				return in
			}
		}
	}
	return nil
}

// liveOf is the stream whose history a query begins with; that of a result is made when nobody reads it yet. nil: it is gone.
func (e *Engine) liveOf(q *query, id uint64) *stream {
	e.mu.RLock()
	s := e.streams[id]
	e.mu.RUnlock()
	if in := q.resultInput(id); s == nil && in != nil {
		s = e.resultStream(in, q.from[id])
	}
	if s != nil && s.plan == nil {
		e.replan(s)
	}
	return s
}

// unread reports a result's stream that is there for nobody.
func (s *stream) unread() bool {
	return s.isResult && s.past == nil && len(s.attached) == 0 && len(s.followers) == 0
}

// readResult reads rows of a result from an offset on into an item of history: as many as fit, and at least one that is left. What was trimmed before
// the history was known of is no part of it: a run has all rows that it tells of.
func (e *Engine) readResult(it *item, s *stream, from, to int64) error {
	it.stream, it.split = s, 0
	size, next := 0, from
	err := e.results.Scan(s.spec.ID, from, 0, func(r results.Row) (bool, error) {
		if r.Offset >= to {
			return false, nil
		}
		if len(it.changes) == 0 {
			from = r.Offset
		}
		it.changes = append(it.changes, outRow{op: batch.Op(r.Op), data: append([]byte(nil), r.Data...)})
		size += len(r.Data) + 1
		next = r.Offset + 1
		return size < e.cfg.HistoryBytes || batch.Op(r.Op) == batch.UpdateBefore, nil
	})
	if err == nil && len(it.changes) == 0 { // all of it is gone
		from, next = to, to
	}
	if err == nil || len(it.changes) > 0 {
		it.payloads = append(it.payloads, connector.Payload{From: from, To: next})
	}
	return err
}

// startResultPast begins to read the history of a result.
func (e *Engine) startResultPast(ctx context.Context, q *query, s *stream) {
	done := make(chan struct{})
	s.past.wake = make(chan struct{}, 1)
	e.mu.Lock()
	s.stop, s.done = q.back.stop, done
	e.mu.Unlock()
	at := s.next[0]
	go func() {
		defer close(done)
		for e.readResults(ctx, q, s, &at) {
		}
	}()
}

// readResults gives the sequencer an item of a result's history, or waits until there is one; false when it is over.
func (e *Engine) readResults(ctx context.Context, q *query, s *stream, at *int64) bool {
	to := s.past.live.placed.Load()
	if *at >= to {
		e.resultWaits() // it can change over when the epoch ends
		select {
		case <-s.past.wake:
			return true
		case <-ctx.Done():
			return false
		}
	}
	select {
	case e.pastSlots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	it := e.newItem(itemData)
	it.slot = true
	err := e.readResult(it, s, *at, to)
	if err != nil || len(it.payloads) == 0 {
		e.discard(it)
		e.log.Error("history", "query", q.spec.Name, "result", s.spec.Name, "at", *at, "error", err)
		return false // it is left to the sequencer, which reads it again
	}
	*at = it.payloads[0].To
	select {
	case e.history <- it:
		return true
	case <-ctx.Done():
		e.discard(it)
		return false
	}
}

// catchUpResult gives what is left of a result's history its place.
func (e *Engine) catchUpResult(q *query, s *stream) {
	for to := s.past.live.next[0]; s.next[0] < to; {
		it := e.newItem(itemData)
		err := e.readResult(it, s, s.next[0], to)
		if len(it.payloads) == 0 {
			e.discard(it)
			e.log.Error("history", "query", q.spec.Name, "result", s.spec.Name, "at", s.next[0], "error", err)
			return // it is tried again as the next epoch ends
		}
		e.placePast(it)
	}
}

// wakeReaders tells those who read the history of a result that it went on. The sequencer's.
func (s *stream) wakeReaders() {
	for _, q := range s.followers {
		p := q.past(s.spec.ID)
		if p == nil || p.past.wake == nil {
			continue
		}
		select {
		case p.past.wake <- struct{}{}:
		default:
		}
	}
}

// resultGone says what retention has removed of a result.
func (p *past) resultGone() string {
	if n := p.from[0]; n > 0 && p.q.spec.Start != nil && p.q.spec.Start.At == types.MinTime {
		return fmt.Sprintf(" (the %d rows before are gone)", n)
	}
	return ""
}
