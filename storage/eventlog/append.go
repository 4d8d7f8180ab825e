package eventlog

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// request is an append, or a task that must run while nobody writes. Fields below done are set before done is closed.
type request struct {
	buf     []byte
	entries int
	key     string
	arrival int64        // the largest
	task    func() error // instead of buf
	// lead makes its waiter the leader; capacity 1, sent to at most once, under Log.mu.
	lead  chan struct{}
	taken bool // guarded by Log.mu: the leader has it, or it is the leader itself
	done  chan struct{}

	from, to int64
	err      error
}

// Append writes entries as one unit: after a crash all of them are there or none. It returns when they are durable, with
// the offsets [from, to) they have. If the key of the first entry was seen before (among the last 100,000), nothing is written
// and the offsets are those of the first time. The entries are not retained.
//
// When ctx ends while the append waits for its turn nothing was written; once it is being written, Append waits for the outcome.
// After an error nothing of the entries is in the log, unless it is ErrUncertain: then they may be there when the log is reopened, and not before. The next
// append is tried as if nothing had been.
func (l *Log) Append(ctx context.Context, entries []Entry) (from, to int64, duplicate bool, err error) {
	if len(entries) == 0 {
		end := l.End()
		return end, end, false, nil
	}
	req, err := encode(entries)
	if err != nil {
		return 0, 0, false, err
	}
	for {
		first, err := l.enqueue(ctx, req)
		if err != nil {
			return 0, 0, false, err
		}
		if first == req {
			break
		}
		select { // the same key is on its way, or was here
		case <-first.done:
		case <-ctx.Done():
			return 0, 0, false, ctx.Err()
		}
		if first.err == nil {
			return first.from, first.to, true, nil
		}
	}
	l.await(ctx, req)
	return req.from, req.to, false, req.err
}

// encode makes the request of an append.
func encode(entries []Entry) (*request, error) {
	size := 0
	for i := range entries {
		if err := checkEntry(&entries[i]); err != nil {
			return nil, err
		}
		size += recordHeader + 32 + len(entries[i].Codec) + 5*len(entries[i].Columns) + len(entries[i].Payload)
	}
	key := entries[0].Key
	if size += len(key); size > appendMax {
		return nil, fmt.Errorf("%w: one append of %d bytes, the limit is %d; send it in parts", ErrTooLarge, size, appendMax)
	}
	r := &request{
		buf: make([]byte, 0, size), entries: len(entries), key: key, arrival: entries[0].Arrival,
		lead: make(chan struct{}, 1), done: make(chan struct{}),
	}
	for i := range entries {
		kind, recordKey := byte(kindMore), ""
		if i == 0 {
			recordKey = key
		}
		if i == len(entries)-1 {
			kind = kindLast
		}
		r.buf = appendRecord(r.buf, &entries[i], kind, recordKey)
		r.arrival = max(r.arrival, entries[i].Arrival)
	}
	return r, nil
}

// enqueue puts req into the queue and returns it; or it returns the request that had the same key before. It waits while
// the queue is full.
func (l *Log) enqueue(ctx context.Context, req *request) (*request, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		if req.key != "" {
			if span, ok := l.keys.spans[req.key]; ok {
				l.metrics.Duplicates++
				return &request{done: closedChan, from: span.From, to: span.To}, nil
			}
			if first := l.pending[req.key]; first != nil {
				l.metrics.Duplicates++
				return first, nil
			}
		}
		if l.err != nil {
			return nil, l.err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(l.queue) == 0 || l.queueBytes+len(req.buf) <= queueMax {
			break
		}
		room := l.room
		l.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
		}
		l.mu.Lock()
	}
	if req.key != "" {
		l.pending[req.key] = req
	}
	l.push(req)
	return req, nil
}

var closedChan = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// push is called with mu held. If nobody leads, req's waiter will.
func (l *Log) push(req *request) {
	l.queue = append(l.queue, req)
	l.queueBytes += len(req.buf)
	if !l.leading {
		l.leading = true
		req.taken = true
		req.lead <- struct{}{}
	}
}

// await returns when req is done. If it is req's turn, the caller becomes the leader: it writes a batch for all that wait, its
// own request first, and passes the lead on.
func (l *Log) await(ctx context.Context, req *request) {
	select {
	case <-req.done:
		return
	case <-req.lead:
		l.lead()
		return
	case <-ctx.Done():
	}
	l.mu.Lock()
	if req.taken {
		l.mu.Unlock()
		l.await(context.Background(), req)
		return
	}
	for i, q := range l.queue {
		if q == req {
			l.queue = append(l.queue[:i], l.queue[i+1:]...)
			l.queueBytes -= len(req.buf)
			break
		}
	}
	l.finish(req, ctx.Err())
	l.mu.Unlock()
}

// exclusive runs task while nobody writes.
func (l *Log) exclusive(task func() error) error {
	req := &request{task: task, lead: make(chan struct{}, 1), done: make(chan struct{})}
	l.mu.Lock()
	l.push(req)
	l.mu.Unlock()
	l.await(context.Background(), req)
	return req.err
}

// finish is called with mu held.
func (l *Log) finish(req *request, err error) {
	if req.key != "" {
		delete(l.pending, req.key)
	}
	req.err = err
	close(req.done)
}

// lead does one batch. The leader's own request is the first of the queue.
func (l *Log) lead() {
	l.mu.Lock()
	batch := l.take()
	err := l.err
	l.mu.Unlock()
	switch {
	case batch[0].task != nil:
		err = batch[0].task()
	case err == nil:
		err = l.write(batch)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, req := range batch {
		l.finish(req, err)
	}
	close(l.room)
	l.room = make(chan struct{})
	if len(l.queue) == 0 {
		l.leading = false
		return
	}
	l.queue[0].taken = true
	l.queue[0].lead <- struct{}{}
}

// take removes from the queue what is written together: a task alone; else appends, as many as fit into the segment the first
// one goes to. It is called with mu held.
func (l *Log) take() []*request {
	n, bytes := 1, len(l.queue[0].buf)
	if l.queue[0].task == nil {
		room := l.o.SegmentBytes
		if used := l.last().size; !l.mustRoll && used+int64(bytes) <= room {
			room -= used
		}
		room = min(room, batchMax)
		for n < len(l.queue) && l.queue[n].task == nil && int64(bytes+len(l.queue[n].buf)) <= room {
			bytes += len(l.queue[n].buf)
			n++
		}
	}
	batch := append([]*request(nil), l.queue[:n]...)
	for _, req := range batch {
		req.taken = true
	}
	l.queue = append(l.queue[:0], l.queue[n:]...)
	l.queueBytes -= bytes
	return batch
}

// write makes a batch durable. Only the leader calls it, so that it alone touches active and the last segment's size. A write or a sync that
// failed is tried once more, in a new segment.
func (l *Log) write(batch []*request) error {
	buf := batch[0].buf
	if len(batch) > 1 {
		buf = make([]byte, 0, totalBytes(batch))
		for _, req := range batch {
			buf = append(buf, req.buf...)
		}
	}
	started := time.Now()
	err := l.put(buf)
	if errors.Is(err, errMovedOn) {
		err = l.put(buf)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.metrics.Failures++
		if !errors.Is(err, ErrDiskFull) {
			l.failing, l.failed = err, time.Now()
		}
		return err
	}
	l.failing = nil
	segment := l.last()
	l.metrics.Syncs++
	l.metrics.SyncMicros += time.Since(started).Microseconds()
	for _, req := range batch {
		req.from = segment.end()
		segment.size += int64(len(req.buf))
		req.to = segment.end()
		segment.lastArrival = max(segment.lastArrival, req.arrival)
		if req.key != "" {
			l.keys.add(req.key, Span{req.from, req.to})
		}
		l.metrics.Appends++
		l.metrics.Entries += int64(req.entries)
		l.metrics.Bytes += int64(len(req.buf))
	}
	segment.dirty = true
	l.wakeAll()
	return nil
}

// put writes and syncs bytes behind the last record, in a new segment if it must.
func (l *Log) put(buf []byte) error {
	segment := l.activeSegment()
	if l.mustRoll || segment.size > 0 && segment.size+int64(len(buf)) > l.o.SegmentBytes {
		if err := l.roll(segment.end()); err != nil {
			return err
		}
		segment = l.activeSegment()
	}
	l.syncing(time.Now())
	defer l.syncing(time.Time{})
	if _, err := l.active.WriteAt(buf, headerBytes+segment.size); err != nil {
		return l.undo(segment, fmt.Errorf("write event log %s: %w", l.o.Dir, err), isFull(err))
	}
	if err := l.active.Sync(); err != nil {
		return l.undo(segment, fmt.Errorf("sync event log %s: %w", l.o.Dir, err), false)
	}
	return nil
}

// syncing notes since when a write and its sync have lasted; zero: there is none.
func (l *Log) syncing(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since = since
}

func (l *Log) activeSegment() *segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last()
}

func totalBytes(batch []*request) (n int) {
	for _, req := range batch {
		n += len(req.buf)
	}
	return n
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// errMovedOn tells that what could not be written is certainly not in the log, which goes on in a new segment.
var errMovedOn = errors.New("nothing was written")

// undo sees to it that what a failed write left is neither read nor found again. On a full disk it is cut off. After any other failure
// nobody knows what the disk holds, and a second sync may claim success for bytes that were dropped: the segment ends where it did, for good once
// there is a next one.
func (l *Log) undo(s *segment, cause error, full bool) error {
	cutErr := l.active.Truncate(headerBytes + s.size)
	if full && cutErr == nil {
		return fmt.Errorf("%w: %w", ErrDiskFull, cause)
	}
	l.warn("event log: a write failed; a new segment is begun", "segment", segmentName(s.base), "error", cause)
	if err := l.roll(s.end()); err != nil {
		return fmt.Errorf("%w: %w, then %v", ErrUncertain, cause, err)
	}
	return fmt.Errorf("%w: %w", errMovedOn, cause)
}

// roll begins a new segment at base, which is the log's end. Until it has succeeded nothing may be written to the old one: its
// file might already exist, and offsets must not overlap.
func (l *Log) roll(base int64) error {
	l.mustRoll = true
	f, err := createSegment(l.o, base)
	if isFull(err) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	if err != nil {
		return err
	}
	old := l.active
	l.mu.Lock()
	l.active, l.mustRoll = f, false
	if n := len(l.segments); n > 0 && l.segments[n-1].base == base {
		l.segments = l.segments[: n-1 : n-1] // it was empty: nobody reads it, and its file is gone
	}
	l.segments = append(l.segments, &segment{base: base})
	l.mu.Unlock()
	if old != nil {
		_ = old.Close() // all of it was synced, or is given up
	}
	// A sidecar only saves work later; it is not worth failing an append for, and is counted.
	l.side.Lock()
	defer l.side.Unlock()
	_ = l.writeSidecars()
	return nil
}
