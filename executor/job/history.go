package job

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// ScanStats tells what a scan of history cost.
type ScanStats struct {
	// Bytes of the log that were read, Skipped those that its time index left out.
	Bytes, Skipped int64
	// Narrow counts the entries of which only the wanted columns were decoded, Full those decoded in every column.
	Narrow, Full int64
	// Refused counts the records that were passed over.
	Refused int64
	// Damaged are the places of the log that cannot be read; their rows are missing.
	Damaged []*eventlog.CorruptError
}

// ScanStream decodes a stream's retained history for a bounded query, oldest first; n.Want are the columns that emit gets, and
// rows with times outside of n.Within may be left out. Records that cannot be decoded in every column are passed over, whichever
// columns are wanted: count(*) and SELECT * must agree on the rows that there are. So the first scan of a stretch of the
// log decodes all columns, and notes where that went well: later ones decode there what they want. It also notes times that
// the log's index lacks, after a crash say. What retention drops meanwhile is passed over.
func (e *Engine) ScanStream(ctx context.Context, n *spec.StreamScan, emit func(*batch.Batch) error) (st ScanStats, err error) {
	e.mu.RLock()
	s := e.streams[n.StreamID]
	e.mu.RUnlock()
	if s == nil {
		return st, sqlerr.New(sqlerr.UndefinedTable, "the stream does not exist any more")
	}
	if s.log == nil {
		return st, sqlerr.NotSupported("SELECT from a stream with a connector", "Its history is where it came from; CREATE CONTINUOUS QUERY keeps what matters.")
	}
	h := newHistory(e, s, emit)
	if n.Want != nil {
		h.narrow = withSources(s.spec, n.Want)
	}
	all := eventlog.Span{From: s.log.Start(), To: s.log.End()}
	spans := []eventlog.Span{all}
	if n.Within != nil && s.spec.TimeCol >= 0 {
		spans = s.log.Ranges(n.Within.Min, n.Within.Max)
	}
	h.stats.Skipped = all.To - all.From
	defer h.note()
	defer func() { st.Refused = h.rejected }()
	for _, span := range spans {
		h.stats.Skipped -= span.To - span.From
		if err := h.span(ctx, span); err != nil {
			return h.stats, err
		}
	}
	return h.stats, h.flush()
}

// withSources adds the columns that wanted generated columns are computed from.
func withSources(d *spec.Stream, want []bool) []bool {
	want = append([]bool(nil), want...)
	for _, g := range d.Generated {
		if g.X != nil && want[g.Col] {
			expr.Walk(g.X, func(x expr.Expr) bool {
				if c, ok := x.(*expr.Column); ok {
					want[c.Index] = true
				}
				return true
			})
		}
	}
	return want
}

// Decode gives the rows of one entry that is in no log yet, and how many of its records are none.
func (e *Engine) Decode(d *spec.Stream, entry eventlog.Entry, emit func(*batch.Batch) error) (rejected int64, err error) {
	h := newHistory(e, &stream{spec: d}, emit)
	if err = h.decode(entry); err == nil {
		err = h.flush()
	}
	return h.rejected, err
}

// history is one scan of a stream's log.
type history struct {
	e        *Engine
	s        *stream
	emit     func(*batch.Batch) error
	decoders map[decoderKey]codec.Decoder
	rejects  []codec.Reject
	rejected int64
	// b gathers rows of any number of entries; want are its columns, narrow those of the scan (nil: all).
	b            *batch.Batch
	want, narrow []bool
	stats        ScanStats
	// What is known of the entries of seen, all decoded in full, since the last note.
	seen     eventlog.Span
	min, max int64
	clean    bool
}

func newHistory(e *Engine, s *stream, emit func(*batch.Batch) error) *history {
	h := &history{e: e, s: s, emit: emit, decoders: map[decoderKey]codec.Decoder{}, b: batch.New(&s.spec.Schema, nil)}
	h.forget()
	return h
}

func (h *history) forget() {
	h.seen, h.min, h.max, h.clean = eventlog.Span{}, math.MaxInt64, math.MinInt64, true
}

// span reads a part of the log.
func (h *history) span(ctx context.Context, span eventlog.Span) error {
	log := h.s.log
	r := log.ReadRange(span.From, span.To)
	defer func() { _ = r.Close() }() // it was only read from
	checked := log.Checked(span)
	for ctx.Err() == nil {
		entry, err := r.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, eventlog.ErrTrimmed):
			r.SkipTrimmed()
			continue
		}
		if damage, ok := errors.AsType[*eventlog.CorruptError](err); ok { // the rest is served
			h.stats.Damaged = append(h.stats.Damaged, damage)
			continue
		}
		if err != nil {
			return sqlerr.New(sqlerr.IOError, "could not read the history of stream %q: %v", h.s.spec.Name, err)
		}
		for len(checked) > 0 && checked[0].To <= entry.Offset {
			checked = checked[1:]
		}
		h.stats.Bytes += entry.Next - entry.Offset
		if h.narrow != nil && len(checked) > 0 && checked[0].From <= entry.Offset && entry.Next <= checked[0].To {
			h.stats.Narrow++
			if err := h.switchTo(h.narrow); err != nil {
				return err
			}
			if err := h.decode(entry); err != nil {
				return err
			}
			continue
		}
		h.stats.Full++
		if err := h.full(entry); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// noteBytes is about how much of the log one note covers.
const noteBytes = 256 << 10

// full decodes an entry in every column, and learns from it.
func (h *history) full(entry eventlog.Entry) error {
	if err := h.switchTo(nil); err != nil {
		return err
	}
	if h.seen.To != entry.Offset || h.seen.To-h.seen.From >= noteBytes {
		h.note()
		h.seen.From = entry.Offset
	}
	if err := h.decode(entry); err != nil {
		h.forget()
		return err
	}
	h.seen.To = entry.Next
	return nil
}

// note tells the log what was learned.
func (h *history) note() {
	if h.seen.From < h.seen.To {
		if h.s.spec.TimeCol >= 0 {
			h.s.log.Index(h.seen.From, h.seen.To, h.min, h.max)
		}
		if h.clean {
			h.s.log.Check(h.seen.From, h.seen.To)
		}
	}
	h.forget()
}

// switchTo makes room for rows with other columns.
func (h *history) switchTo(want []bool) error {
	if (want == nil) == (h.want == nil) {
		return nil
	}
	err := h.flush()
	h.want = want
	h.b.Reset(want)
	return err
}

// decode adds the rows of one entry. The clock of the epoch that processed it is not known any more: its arrival stands in.
func (h *history) decode(entry eventlog.Entry) error {
	dec, err := h.decoder(entry.Codec, entry.Columns)
	if err != nil {
		return err
	}
	if t, ok := dec.(codec.Timed); ok {
		t.At(types.EventTime(entry.Arrival), types.EventTime(entry.Arrival))
	}
	for rest := entry.Payload; len(rest) > 0; {
		if h.b.N >= batch.RowsMax {
			if err := h.flush(); err != nil {
				return err
			}
		}
		h.rejects = h.rejects[:0]
		first := h.b.N
		n := dec.Decode(rest, h.b, batch.RowsMax, &h.rejects)
		h.learn(first)
		if n <= 0 {
			h.clean = false
			return nil
		}
		rest = rest[n:]
	}
	return nil
}

// learn takes in the rows from first on and the rejects.
func (h *history) learn(first int) {
	h.clean = h.clean && len(h.rejects) == 0
	h.rejected += int64(len(h.rejects))
	if h.want != nil || h.s.spec.TimeCol < 0 {
		return
	}
	for _, t := range h.b.Cols[h.s.spec.TimeCol].I64[first:h.b.N] {
		h.min, h.max = min(h.min, t), max(h.max, t)
	}
}

func (h *history) decoder(name string, columns []int) (codec.Decoder, error) {
	if name == "" {
		name = h.s.spec.Format
	}
	key := decoderKey{stream: h.s, codec: name, columns: columnsKey(columns)}
	if dec := h.decoders[key]; dec != nil {
		return dec, nil
	}
	dec, err := h.e.newDecoder(h.s.spec, name, columns)
	if err == nil {
		h.decoders[key] = dec
	}
	return dec, err
}

// flush gives the rows away.
func (h *history) flush() error {
	if h.b.N == 0 {
		return nil
	}
	err := h.emit(h.b)
	h.b.Reset(h.want)
	return err
}

// noteTimes tells the log of the event times of an item that came from it. The time of a generated column may depend on the
// clock of the epoch, which history does not know: it is left to those who read history.
func (f *front) noteTimes() {
	it := f.it
	s := it.stream
	if s.log == nil || s.spec.TimeCol < 0 || len(it.payloads) == 0 {
		return
	}
	for _, g := range s.spec.Generated {
		if g.Col == s.spec.TimeCol {
			return
		}
	}
	lo, hi := int64(math.MaxInt64), int64(math.MinInt64)
	for _, fb := range it.batches {
		for _, t := range fb.b.Cols[s.spec.TimeCol].I64[:fb.b.N] {
			lo, hi = min(lo, t), max(hi, t)
		}
	}
	s.log.Index(it.payloads[0].From, it.payloads[len(it.payloads)-1].To, lo, hi)
}
