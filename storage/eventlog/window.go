package eventlog

import (
	"fmt"
	"io"
)

// windowBytes is how much is read at once.
const windowBytes = 256 << 10

// window reads a file in large pieces. Its methods know no offsets of the log, only positions in the file.
type window struct {
	f   File
	buf []byte
	at  int64 // position of buf[0]
	n   int   // valid bytes
	big []byte
}

// peek returns n <= windowBytes bytes at pos, valid until the next call. Less than n before limit is errTorn.
func (w *window) peek(pos int64, n int, limit int64) ([]byte, error) {
	if pos+int64(n) > limit {
		return nil, torn("%d bytes are left, %d are needed", max(0, limit-pos), n)
	}
	if pos < w.at || pos+int64(n) > w.at+int64(w.n) {
		if w.buf == nil {
			w.buf = make([]byte, windowBytes)
		}
		w.n = 0
		w.at = pos
		got, err := w.f.ReadAt(w.buf[:min(windowBytes, limit-pos)], pos)
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read event log: %w", err)
		}
		if w.n = got; got < n {
			return nil, torn("the file ends %d bytes early", n-got)
		}
	}
	from := int(pos - w.at)
	return w.buf[from : from+n], nil
}

// record returns the bytes of the record at pos, unchecked but for their length. fresh: they are the caller's; else they are
// valid until the next call.
func (w *window) record(pos, limit int64, fresh bool) ([]byte, error) {
	header, err := w.peek(pos, recordHeader, limit)
	if err != nil {
		return nil, err
	}
	n, err := bodyLength(header)
	if err != nil {
		return nil, err
	}
	n += recordHeader
	if pos+int64(n) > limit {
		return nil, torn("record of %d bytes where %d are left", n, limit-pos)
	}
	if n <= windowBytes/4 {
		rec, err := w.peek(pos, n, limit)
		if err == nil && fresh {
			rec = append(make([]byte, 0, n), rec...)
		}
		return rec, err
	}
	rec := w.big
	if fresh {
		rec = make([]byte, n)
	} else if cap(rec) < n {
		rec = make([]byte, n)
		w.big = rec
	}
	rec = rec[:n]
	have := copy(rec, w.buf[pos-w.at:w.n])
	if have < n {
		got, err := w.f.ReadAt(rec[have:], pos+int64(have))
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read event log: %w", err)
		}
		if have+got < n {
			return nil, torn("the file ends %d bytes early", n-have-got)
		}
	}
	return rec, nil
}
