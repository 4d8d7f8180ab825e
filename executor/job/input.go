package job

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// recordBytesMax is the largest event log record; longer appends are cut between lines.
const recordBytesMax = 1 << 20

// statuser is a source that can tell how it is doing.
type statuser interface{ Status() string }

// startInput begins to read a stream from its positions. Log-fed streams begin when they are created, those with a connector
// when the first query reads them.
func (e *Engine) startInput(s *stream) {
	ctx, cancel := context.WithCancel(e.ctx)
	e.mu.Lock()
	s.stop, s.done = cancel, make(chan struct{})
	e.mu.Unlock()
	from := maps.Clone(s.next) // the sequencer goes on writing to next
	if s.log != nil {
		go e.readLog(ctx, s, max(from[0], s.log.Start()))
		return
	}
	go e.readSource(ctx, s, from)
}

// readLog feeds the sequencer from the stream's event log.
func (e *Engine) readLog(ctx context.Context, s *stream, from int64) {
	defer close(s.done)
	r := s.log.NewReader(from)
	defer r.Close()
	failed, caughtUp := 0, false
	for {
		it := e.newItem(itemData)
		it.stream, it.split = s, 0
		err := fill(it, r)
		if !caughtUp && len(it.payloads) == 0 { // also when it cannot be read: changes need not wait for a disk
			caughtUp = true
			if !e.submit(ctx, it) {
				return
			}
			it = e.newItem(itemData)
			it.stream, it.split = s, 0
		}
		if err != nil && len(it.payloads) == 0 {
			e.items.Put(it)
			if failed++; !e.readAgain(ctx, s, failed, err) {
				return
			}
			continue
		}
		if failed > 0 && err == nil {
			failed = 0
			s.setError(nil)
		}
		if len(it.payloads) == 0 {
			e.items.Put(it)
			if err := s.log.Wait(ctx, r.Offset()); err != nil {
				return
			}
			continue
		}
		if !e.submit(ctx, it) {
			return
		}
	}
}

// readAgain waits before the event log is read again after an error, ever longer; false when that is useless.
func (e *Engine) readAgain(ctx context.Context, s *stream, failed int, err error) bool {
	if ctx.Err() != nil || errors.Is(err, eventlog.ErrClosed) {
		return false
	}
	pause := min(50*time.Millisecond<<min(failed-1, 8), 5*time.Second)
	s.setError(fmt.Errorf("read event log of stream %s: %w", s.spec.Name, err))
	e.log.Error("the event log cannot be read; nothing is lost, it is tried again", "stream", s.spec.Name, "error", err, "in", pause)
	select {
	case <-time.After(pause):
		return true
	case <-ctx.Done():
		return false
	}
}

// fill reads log records into an item until it is large enough or there are none for now. A damaged place is told of as the stream's
// last error; reading goes on behind it.
func fill(it *item, r *eventlog.Reader) error {
	for size := 0; size < itemBytesMax; {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if damage, ok := errors.AsType[*eventlog.CorruptError](err); ok {
			it.stream.setError(damage)
			continue
		}
		if err != nil {
			return err
		}
		it.payloads = append(it.payloads, logPayload(entry))
		size += len(entry.Payload)
	}
	return nil
}

func logPayload(entry eventlog.Entry) connector.Payload {
	return connector.Payload{From: entry.Offset, To: entry.Next, Bytes: entry.Payload, Codec: entry.Codec,
		Columns: entry.Columns, Arrival: types.EventTime(entry.Arrival)}
}

// submit hands an item to the sequencer; false when the stream or the engine ends.
func (e *Engine) submit(ctx context.Context, it *item) bool {
	select {
	case e.inbox <- it:
		return true
	case <-ctx.Done():
		return false
	}
}

// readSource feeds the sequencer from a connector that can replay by itself. Errors are retried with growing pauses.
func (e *Engine) readSource(ctx context.Context, s *stream, from connector.Offsets) {
	defer close(s.done)
	const pauseMin, pauseMax = 100 * time.Millisecond, 10 * time.Second
	pause := pauseMin
	open := false
	var got []connector.Payload
	for ctx.Err() == nil {
		err := e.noRoom() // what is not read is not lost
		if !open && err == nil {
			if err = s.src.Open(ctx, from); err == nil {
				open = true
			}
		}
		if open && err == nil {
			got, err = s.src.Poll(ctx, got[:0], itemBytesMax)
			if len(got) > 0 {
				pause = pauseMin
				if !e.submitPayloads(ctx, s, got) {
					return
				}
			}
		}
		switch {
		case err == nil:
			s.setError(nil)
			continue
		case errors.Is(err, io.EOF) || ctx.Err() != nil:
			return
		}
		s.setError(err)
		e.log.Warn("source", "stream", s.spec.Name, "error", err, "retry_in", pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause = min(2*pause, pauseMax)
	}
}

// submitPayloads sends payloads in items of one split each.
func (e *Engine) submitPayloads(ctx context.Context, s *stream, got []connector.Payload) bool {
	for len(got) > 0 {
		it := e.newItem(itemData)
		it.stream, it.split = s, got[0].Split
		size, n := 0, 0
		for n < len(got) && got[n].Split == it.split && size < itemBytesMax {
			size += len(got[n].Bytes)
			n++
		}
		it.payloads = append(it.payloads, got[:n]...)
		got = got[n:]
		if !e.submit(ctx, it) {
			return false
		}
	}
	return true
}

func (s *stream) setError(err error) {
	if err == nil {
		s.stats.LastError.Store(nil)
		return
	}
	text := err.Error()
	s.stats.LastError.Store(&text)
}

// NoteInput tells of what goes wrong where a stream's events are received, nil: nothing any more.
func (e *Engine) NoteInput(streamID uint64, err error) {
	e.mu.RLock()
	s := e.streams[streamID]
	e.mu.RUnlock()
	if s != nil {
		s.setError(err)
	}
}

// Outcome tells what became of appended payloads.
type Outcome struct {
	Accepted, Rejected int64
	// Duplicate: the idempotency key had been seen, nothing was appended.
	Duplicate bool
}

// Append makes payloads of a log-fed stream durable and waits until they are decoded. The entries' payloads are taken
// over. When it returns without error the events survive a crash, and count exactly once.
func (e *Engine) Append(ctx context.Context, streamID uint64, entries []eventlog.Entry) (Outcome, error) {
	if err := e.Loaded(ctx); err != nil {
		return Outcome{}, err
	}
	s, err := e.appendable(streamID)
	if err != nil {
		return Outcome{}, err
	}
	if err := e.noRoom(); err != nil {
		return Outcome{}, err
	}
	now := int64(e.cfg.Clock())
	for i := range entries {
		entries[i].Arrival = now
	}
	from, to, duplicate, err := s.log.Append(ctx, entries)
	if errors.Is(err, eventlog.ErrDiskFull) {
		return Outcome{}, diskFull(fmt.Sprintf("could not write to the event log of stream %q: %v", s.spec.Name, err))
	}
	if err != nil {
		hint := "Nothing of this request is stored; send it again."
		if errors.Is(err, eventlog.ErrUncertain) {
			hint = "It is not known whether the events are stored: send them again with the same Idempotency-Key only."
		}
		return Outcome{}, sqlerr.New(sqlerr.IOError, "could not write to the event log of stream %q: %v", s.spec.Name, err).WithHint("%s", hint)
	}
	out, err := s.progress.wait(ctx, from, to, &e.room.stuck)
	out.Duplicate = duplicate
	return out, err
}

// Appended reports that a payload with an idempotency key, unless that is "", was appended to a stream before.
func (e *Engine) Appended(streamID uint64, key string) bool {
	if key == "" {
		return false
	}
	e.mu.RLock()
	s := e.streams[streamID]
	e.mu.RUnlock()
	return s != nil && s.log != nil && s.log.Seen(key)
}

// Settle waits until everything that was appended before the call is committed and its results are visible, so that one
// who inserts and then selects sees what follows from it. It ends the open epoch.
func (e *Engine) Settle(ctx context.Context) error { return e.settle(ctx, settle{}) }

func (e *Engine) settle(ctx context.Context, x settle) error {
	if err := e.Loaded(ctx); err != nil {
		return err
	}
	done := make(chan error, 1)
	x.done = done
	if err := e.stalled(); err != nil {
		return err
	}
	select {
	case e.settles <- x:
	case <-e.ctx.Done():
		return shuttingDown()
	case <-e.closing:
		return shuttingDown()
	case <-ctx.Done():
		return ctx.Err()
	}
	look := time.NewTicker(stallEvery)
	defer look.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-e.ctx.Done():
			return shuttingDown()
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if err := e.stalled(); err != nil {
				return err
			}
		}
	}
}

func (e *Engine) appendable(streamID uint64) (*stream, error) {
	if err := e.Err(); err != nil {
		return nil, err
	}
	e.mu.RLock()
	s := e.streams[streamID]
	e.mu.RUnlock()
	if s == nil {
		return nil, sqlerr.New(sqlerr.UndefinedTable, "the stream does not exist any more")
	}
	if s.log == nil {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "stream %q is fed by its connector %q", s.spec.Name, s.spec.Connector).
			WithHint("Rows can be added to streams without connector only.")
	}
	return s, nil
}

// wake has those who wait look again.
func (p *progress) wake() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cond.Broadcast()
}

// wait blocks until the payloads of [from, to) have been decoded and sums their outcome.
func (p *progress) wait(ctx context.Context, from, to int64, stuck *atomic.Bool) (Outcome, error) {
	stop := context.AfterFunc(ctx, p.wake)
	defer stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.upTo < to && !p.gone && ctx.Err() == nil && !stuck.Load() {
		p.cond.Wait()
	}
	var out Outcome
	if p.upTo < to && stuck.Load() {
		return out, sqlerr.New(sqlerr.DiskFull, "the events are stored, but cannot be processed before there is room on the disk of the data directory").
			WithHint("They count: send them again with the same Idempotency-Key only, or not at all.")
	}
	if p.upTo < to {
		return out, sqlerr.New(sqlerr.AdminShutdown, "the events are stored, but the server stopped waiting for their processing")
	}
	for i := range p.ring {
		c := &p.ring[(p.next-1-i+2*len(p.ring))%len(p.ring)]
		if c.to <= from {
			break
		}
		if c.from >= from && c.to <= to {
			out.Accepted += c.accepted
			out.Rejected += c.rejected
		}
	}
	return out, nil
}

// stopInput ends a stream's input goroutine and waits for it.
func (e *Engine) stopInput(s *stream) {
	e.mu.RLock()
	stop, done := s.stop, s.done
	e.mu.RUnlock()
	if stop != nil {
		stop()
		<-done
	}
}
