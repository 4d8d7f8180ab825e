package job

import (
	"context"
	"errors"
	"io"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/meta"
)

// ScanStream decodes a stream's retained history for a bounded query, oldest first. Records that cannot be decoded in every
// column are passed over, whichever columns are wanted: count(*) and SELECT * must agree on the rows that there are.
func (e *Engine) ScanStream(ctx context.Context, id uint64, emit func(*batch.Batch) error) error {
	e.mu.RLock()
	s := e.streams[id]
	e.mu.RUnlock()
	if s == nil {
		return sqlerr.New(sqlerr.UndefinedTable, "the stream does not exist any more")
	}
	if s.log == nil {
		return sqlerr.NotSupported("SELECT from a stream with a connector", "Its history is where it came from; CREATE CONTINUOUS QUERY keeps what matters.")
	}
	h := &history{e: e, s: s, emit: emit, decoders: map[decoderKey]codec.Decoder{}}
	r := s.log.NewReader(s.log.Start())
	defer r.Close()
	end := s.log.End()
	for ctx.Err() == nil && r.Offset() < end {
		entry, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return sqlerr.New(sqlerr.IOError, "could not read the history of stream %q: %v", s.spec.Name, err)
		}
		if err := h.decode(entry); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// history is one scan of a stream's log.
type history struct {
	e        *Engine
	s        *stream
	emit     func(*batch.Batch) error
	decoders map[decoderKey]codec.Decoder
	rejects  []codec.Reject
	rejected int64
}

// decode gives the rows of one entry. The clock of the epoch that processed it is not known any more: its arrival stands in.
func (h *history) decode(entry eventlog.Entry) error {
	name, columns, rest := entry.Codec, entry.Columns, entry.Payload
	if name == "" {
		name = h.s.spec.Format
	}
	key := decoderKey{stream: h.s, codec: name, columns: columnsKey(columns)}
	dec := h.decoders[key]
	if dec == nil {
		var err error
		if dec, err = h.e.newDecoder(h.s.spec, name, columns); err != nil {
			return err
		}
		h.decoders[key] = dec
	}
	if t, ok := dec.(timedDecoder); ok {
		t.At(types.EventTime(entry.Arrival), types.EventTime(entry.Arrival))
	}
	for len(rest) > 0 {
		b := batch.New(&h.s.spec.Schema, nil)
		h.rejects = h.rejects[:0]
		n := dec.Decode(rest, b, batch.RowsMax, &h.rejects)
		h.rejected += int64(len(h.rejects))
		if b.N > 0 {
			if err := h.emit(b); err != nil {
				return err
			}
		}
		if n <= 0 {
			return nil
		}
		rest = rest[n:]
	}
	return nil
}

// Decode gives the rows of one entry that is in no log yet, and how many of its records are none.
func (e *Engine) Decode(d *spec.Stream, entry eventlog.Entry, emit func(*batch.Batch) error) (rejected int64, err error) {
	h := &history{e: e, s: &stream{spec: d}, emit: emit, decoders: map[decoderKey]codec.Decoder{}}
	err = h.decode(entry)
	return h.rejected, err
}

// IOCEntries reads the entries of a list, as of the last committed epoch.
func (e *Engine) IOCEntries(listID uint64, fn func(value string, meta []byte) error) error {
	return e.meta.ScanIOC(listID, e.Committed(), func(x meta.IOCEntry) (bool, error) { return true, fn(string(x.Value), x.Meta) })
}

// persistIOC writes the entries that a change adds and drops.
func (e *Engine) persistIOC(b batchKV, ep *epoch, c *change) error {
	for _, x := range c.IOC {
		for _, v := range x.Drop {
			if err := e.endIOC(b, x.ListID, v, ep.n); err != nil {
				return err
			}
		}
		for _, a := range x.Add {
			// An entry that is there is replaced: its source and confidence may have changed.
			if err := e.endIOC(b, x.ListID, a.Value, ep.n); err != nil {
				return err
			}
			e.meta.PutIOC(b, x.ListID, meta.IOCEntry{Value: []byte(a.Value), Added: ep.n, Meta: a.Meta})
		}
	}
	return nil
}

// endIOC ends an entry's membership at an epoch, if it is a member.
func (e *Engine) endIOC(b batchKV, listID uint64, value string, epoch uint64) error {
	old, ok, err := e.meta.IOC(listID, epoch, []byte(value))
	if err != nil || !ok {
		return err
	}
	old.Deleted = epoch
	e.meta.PutIOC(b, listID, old)
	return nil
}

// NextID gives a new object its id, which is never given again.
func (e *Engine) NextID() (uint64, error) {
	b := e.kv.NewBatch()
	id := e.meta.NextID(b)
	return id, b.Commit(false)
}

// StreamStatus is what vigil.streams shows.
type StreamStatus struct {
	Rows, Rejected, Late, Bytes int64
	// Watermark is event time in microseconds; types.MinTime before the first row.
	Watermark int64
	// Pending is how many bytes of the log wait to be processed.
	Pending   int64
	LastError string
	Status    string
}

// Stream reports a stream's counters; ok is false when there is no such stream.
func (e *Engine) Stream(id uint64) (st StreamStatus, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	s := e.streams[id]
	if s == nil {
		return st, false
	}
	st = StreamStatus{Rows: s.stats.Rows.Load(), Rejected: s.stats.Rejected.Load(), Bytes: s.stats.Bytes.Load(),
		Watermark: s.stats.Watermark.Load(), Status: "running"}
	for _, r := range s.attached {
		st.Late += r.q.owner.stats.Late.Load()
	}
	if p := s.stats.LastError.Load(); p != nil {
		st.LastError, st.Status = *p, "failing"
	}
	switch x, ok := s.src.(statuser); {
	case s.stop == nil:
		st.Status = "waiting for the first query"
	case ok && st.LastError == "":
		st.Status = x.Status()
	}
	if s.log != nil {
		s.progress.mu.Lock()
		st.Pending = max(0, s.log.End()-max(s.progress.upTo, s.log.Start()))
		s.progress.mu.Unlock()
	}
	return st, true
}

// QueryStatus is what vigil.queries shows beside the catalogue.
type QueryStatus struct{ RowsOut, Late int64 }

// Query reports a query's counters; ok is false when it does not run.
func (e *Engine) Query(id uint64) (st QueryStatus, ok bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	q := e.queries[id]
	if q == nil {
		return st, false
	}
	return QueryStatus{RowsOut: q.stats.RowsOut.Load(), Late: q.stats.Late.Load()}, true
}

// Epochs lists the epoch records that are kept, oldest first: number, clock, how many input runs, whether the server had
// been down before.
func (e *Engine) Epochs(fn func(n uint64, clock types.EventTime, inputs int, restarted bool) error) error {
	return e.meta.Epochs(0, func(n uint64, data []byte) (bool, error) {
		rec, err := decodeEpoch(data)
		if err != nil {
			return false, err
		}
		return true, fn(n, rec.clock, len(rec.runs), rec.restarted)
	})
}
