package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
)

// CorruptError tells of a damaged place that a reader came to. The reader has moved on: the next call of Next goes on at Resume.
type CorruptError struct {
	Segment        string // file
	Offset, Resume int64
	Reason         error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("event log segment %s is damaged at offset %d: %v; reading goes on at offset %d",
		e.Segment, e.Offset, e.Reason, e.Resume)
}

// Unwrap returns the reason.
func (e *CorruptError) Unwrap() error { return e.Reason }

// Reader reads entries in order. Any number of readers may read while the log is appended to; one Reader is for one goroutine.
type Reader struct {
	l       *Log
	off, to int64
	// The segment being read: its file, and how far it is known to be durable.
	base, end int64
	w         window
	codec     string
}

// NewReader returns a reader from offset from on: a record's Offset or Next, or an end of a span that the log gave. Before Start
// it begins at Start; compare Offset to notice.
func (l *Log) NewReader(from int64) *Reader { return l.ReadRange(from, math.MaxInt64) }

// ReadRange is NewReader that ends with io.EOF at offset to.
func (l *Log) ReadRange(from, to int64) *Reader {
	return &Reader{l: l, off: max(from, l.Start()), to: to, base: -1}
}

// Offset is where the next entry will begin, or the damaged place is.
func (r *Reader) Offset() int64 { return r.off }

// Next returns the next durable entry, and io.EOF at the present end (later calls may find more). The entry is the caller's:
// nothing in it is used again. A *CorruptError tells what is skipped; ErrTrimmed that the place was dropped by Trim. After any
// other error the call can be repeated.
func (r *Reader) Next() (Entry, error) {
	if r.off >= r.to {
		return Entry{}, io.EOF
	}
	if r.base < 0 || r.off >= r.end {
		if err := r.advance(); err != nil {
			return Entry{}, err
		}
	}
	rec, err := r.w.record(headerBytes+r.off-r.base, headerBytes+r.end-r.base, true)
	var b body
	if err == nil {
		b, err = decodeRecord(rec)
	}
	if errors.Is(err, errTorn) {
		return Entry{}, r.skip(err)
	}
	if err != nil {
		return Entry{}, err
	}
	if string(b.codec) != r.codec {
		r.codec = string(b.codec)
	}
	e := Entry{
		Offset: r.off, Next: r.off + int64(len(rec)), Arrival: b.arrival, Codec: r.codec,
		Columns: b.columnList(), Key: string(b.key), Payload: b.payload,
	}
	r.off = e.Next
	return e, nil
}

// advance finds the segment of r.off and how far it can be read.
func (r *Reader) advance() error {
	base, end, err := r.l.locate(r.off)
	if err != nil {
		return err
	}
	if base != r.base {
		if err := r.Close(); err != nil {
			return err
		}
		f, err := r.l.o.FS.OpenRead(filepath.Join(r.l.o.Dir, segmentName(base)))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: offset %d: %w", r.l.o.Dir, r.off, ErrTrimmed)
		}
		if err != nil {
			return fmt.Errorf("read event log: %w", err)
		}
		r.w = window{f: f, buf: r.w.buf}
		r.base = base
		r.end = end
		if err := checkHeader(f, base); errors.Is(err, errTorn) {
			return r.skip(err)
		} else if err != nil {
			return errors.Join(err, r.Close())
		}
	}
	r.end = end
	return nil
}

// locate returns the segment that holds off and its durable end; io.EOF when off is at the log's end.
func (l *Log) locate(off int64) (base, end int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, ErrClosed) {
		return 0, 0, l.err
	}
	if off < l.segments[0].base {
		return 0, 0, fmt.Errorf("%s: offset %d: %w", l.o.Dir, off, ErrTrimmed)
	}
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		if off < s.base {
			continue
		}
		if off < s.end() {
			return s.base, s.end(), nil
		}
		if i+1 < len(l.segments) {
			// A file that is shorter than the next one's base says: the rest is missing. Reading there reports it.
			return s.base, l.segments[i+1].base, nil
		}
		return 0, 0, io.EOF
	}
	return 0, 0, io.EOF
}

// skip moves behind the damaged segment and reports it.
func (r *Reader) skip(reason error) error {
	l := r.l
	l.mu.Lock()
	l.metrics.Corrupt++
	resume := l.last().end()
	for _, s := range l.segments {
		if s.base > r.base {
			resume = s.base
			break
		}
	}
	l.mu.Unlock()
	e := &CorruptError{Segment: segmentName(r.base), Offset: r.off, Resume: resume, Reason: reason}
	r.off = resume
	l.warn("event log is damaged", "segment", e.Segment, "offset", e.Offset, "resume", e.Resume, "reason", reason)
	return e
}

// SkipTrimmed moves on to what is still there, after ErrTrimmed.
func (r *Reader) SkipTrimmed() {
	r.l.mu.Lock()
	defer r.l.mu.Unlock()
	next := r.l.last().end()
	for _, s := range r.l.segments {
		if s.base > r.off { // also where the file of r.off is gone, and its segment is still listed
			next = s.base
			break
		}
	}
	r.off = max(r.off, next)
}

// Close gives the file back. The reader can still be used; it opens the file anew.
func (r *Reader) Close() error {
	if r.base < 0 || r.w.f == nil {
		return nil
	}
	err := r.w.f.Close()
	r.w.f, r.w.n, r.base = nil, 0, -1
	if err != nil {
		return fmt.Errorf("close event log segment: %w", err)
	}
	return nil
}
