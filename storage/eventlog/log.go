// Package eventlog keeps the events of one stream that could not be had again: plain segment files, appended to with one
// write and one fsync for all that wait (group commit), read by any number of readers, trimmed by age and size. It knows
// bytes, not rows: payloads are opaque, times are microseconds since 1970 UTC. The bytes on disk: docs/formats/eventlog.md.
package eventlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Errors that callers tell apart. They arrive wrapped, with the directory and the cause.
var (
	ErrClosed = errors.New("event log is closed")
	// ErrUncertain: it is not known whether what could not be appended is in the log.
	ErrUncertain = errors.New("the events may be stored, or not")
	ErrDiskFull  = errors.New("no space left for the event log")
	ErrTooLarge  = errors.New("too large for the event log")
	ErrTrimmed   = errors.New("events are no longer retained")
	ErrFormat    = errors.New("unknown format of the event log")
	ErrNoLink    = errors.New("the file cannot have another name there")
)

const (
	segmentBytesDefault = 64 << 20
	segmentBytesMin     = 4 << 10
	keysMax             = 100_000   // idempotency keys remembered
	appendMax           = 128 << 20 // bytes of one Append
	queueMax            = 64 << 20  // bytes waiting to be written; more appenders wait outside
	batchMax            = 16 << 20  // bytes of one write, but always one append
)

// Options of Open.
type Options struct {
	// Dir is the log's own directory.
	Dir string
	// SegmentBytes is the size at which a new segment file is begun, default 64 MiB, at least 4 KiB.
	SegmentBytes int64
	// FS is where the files are, default the disk.
	FS FS
	// Logger gets what was found damaged; nil discards it (it is counted all the same).
	Logger *slog.Logger
}

// Entry is a record of the log.
type Entry struct {
	// Offset and Next are where the record begins and ends; the log sets them.
	Offset, Next int64
	// Arrival is when the payload came in, microseconds.
	Arrival int64
	// Codec names the format of the payload; at most 255 bytes.
	Codec string
	// Columns are the stream's columns that the payload has, in its order; nil: those of the stream.
	Columns []int
	// Key is the idempotency key of the append, at most 1,024 bytes, "" for none. It counts on the first entry only.
	Key string
	// Payload is at most 64 MiB.
	Payload []byte
}

// Span is the offsets [From, To).
type Span struct{ From, To int64 }

// Metrics are counts since Open, except where they say now.
type Metrics struct {
	Appends, Entries, Bytes, Duplicates int64
	// Syncs is the number of group commits, SyncMicros the time their write and fsync took.
	Syncs, SyncMicros int64
	// Corrupt is the number of damaged places met, TornBytes what was cut off at Open.
	Corrupt, TornBytes int64
	// Failures is the number of group commits that failed.
	Failures int64
	// TrimmedLarge and TrimmedOld are the bytes of records that Trim dropped because there were too many, and because of their age.
	TrimmedLarge, TrimmedOld int64
	// SidecarErrors is the number of sidecar files that could not be written; only speed is lost.
	SidecarErrors int64
	// Segments, SizeBytes and QueueBytes, of appends that wait to be written, are now.
	Segments   int
	SizeBytes  int64
	QueueBytes int64
}

// Log is the event log of one stream. It is safe for concurrent use. It has no goroutine: of those who wait in Append, one
// writes for all.
type Log struct {
	o Options

	// side serialises the writing of sidecars and Trim; it is taken before mu.
	side sync.Mutex

	mu         sync.Mutex
	segments   []*segment // oldest first; the last is the active one
	active     File       // of the last segment; used by the leader only
	mustRoll   bool       // the next write goes to a new segment; see roll. The leader's
	queue      []*request
	queueBytes int
	leading    bool          // someone is the leader
	room       chan struct{} // closed and renewed when the queue gets shorter
	wake       chan struct{} // closed and renewed when the end moves, or the log is closed
	keys       keyIndex
	pending    map[string]*request // appends with a key that are not durable yet
	err        error               // set once: the log is closed
	failing    error               // of the last append, if it failed, and not for want of room
	failed     time.Time           // when
	since      time.Time           // when the write that is under way began; zero: none
	metrics    Metrics

	// What Open found at the end of the last segment: tailDamaged says that acknowledged data of it is damaged, and nextBase is
	// behind everything that was ever given an offset.
	tail        scanned
	tailDamaged bool
	nextBase    int64
}

// segment is one file. All fields but base are guarded by Log.mu.
type segment struct {
	base int64
	size int64 // durable bytes of records
	// lastArrival is the largest arrival in a sealed segment; in the active one, so far.
	lastArrival int64
	times       timeIndex
	checked     spanSet // what decodes in every column
	dirty       bool    // the sidecar lacks something
}

func (s *segment) end() int64 { return s.base + s.size }

func (l *Log) last() *segment { return l.segments[len(l.segments)-1] }

// Start is the first offset still retained.
func (l *Log) Start() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.segments[0].base
}

// End is the durable end: where the next append will begin.
func (l *Log) End() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last().end()
}

// Seen reports that an append with an idempotency key is in the log, among the last 100,000 with a key.
func (l *Log) Seen(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.keys.spans[key]
	return ok
}

// Metrics returns the figures of now.
func (l *Log) Metrics() Metrics {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.metrics
	m.Segments, m.QueueBytes = len(l.segments), int64(l.queueBytes)
	for _, s := range l.segments {
		m.SizeBytes += s.size
	}
	return m
}

// Wait returns when End is beyond after, or with the error of ctx, or with the reason why nothing will come.
func (l *Log) Wait(ctx context.Context, after int64) error {
	for {
		l.mu.Lock()
		end, err, wake := l.last().end(), l.err, l.wake
		l.mu.Unlock()
		if end > after {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wakeAll is called with mu held.
func (l *Log) wakeAll() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// failingFor is how long a failed append says something about the disk: where no other follows, nobody knows.
const failingFor = 10 * time.Second

// Health tells how writing goes: why the last append failed, nil when it did not, was long ago, or the disk was full; and how long the write has
// lasted that is under way.
func (l *Log) Health() (failing error, writing time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		writing = time.Since(l.since)
	}
	if l.failing != nil && time.Since(l.failed) < failingFor {
		failing = l.failing
	}
	return failing, writing
}

// Sync writes the sidecars that are behind. Appended entries need no Sync.
func (l *Log) Sync() error {
	l.side.Lock()
	defer l.side.Unlock()
	l.mu.Lock()
	closed := errors.Is(l.err, ErrClosed)
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return l.writeSidecars()
}

// Close waits for the appends that are under way, refuses all others and closes the files. Closing twice is harmless.
// Readers fail with ErrClosed from then on.
func (l *Log) Close() error {
	return l.exclusive(func() error {
		l.mu.Lock()
		if errors.Is(l.err, ErrClosed) {
			l.mu.Unlock()
			return nil
		}
		l.err = fmt.Errorf("%s: %w", l.o.Dir, ErrClosed)
		l.wakeAll()
		l.mu.Unlock()
		l.side.Lock()
		defer l.side.Unlock()
		err := l.writeSidecars()
		if closeErr := l.active.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("close event log %s: %w", l.o.Dir, closeErr))
		}
		return err
	})
}

// warn reports damage that was met and survived.
func (l *Log) warn(message string, args ...any) {
	if l.o.Logger != nil {
		l.o.Logger.Warn(message, append([]any{"dir", l.o.Dir}, args...)...)
	}
}

// keyIndex remembers the last keysMax idempotency keys and where their appends are.
type keyIndex struct {
	spans map[string]Span
	order []keySpan // oldest first, from head on
	head  int
}

type keySpan struct {
	key string
	Span
}

func (k *keyIndex) add(key string, s Span) {
	if k.spans == nil {
		k.spans = map[string]Span{}
	}
	if _, ok := k.spans[key]; ok {
		return
	}
	k.spans[key] = s
	k.order = append(k.order, keySpan{key, s})
	if len(k.order)-k.head > keysMax {
		delete(k.spans, k.order[k.head].key)
		k.order[k.head] = keySpan{}
		if k.head++; k.head > keysMax/4 {
			k.order = append([]keySpan(nil), k.order[k.head:]...)
			k.head = 0
		}
	}
}

// within returns a copy of the keys of appends that begin in [from, to).
func (k *keyIndex) within(from, to int64) []keySpan {
	var list []keySpan
	for _, e := range k.order[k.head:] {
		if e.From >= from && e.From < to {
			list = append(list, e)
		}
	}
	return list
}
