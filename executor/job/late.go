package job

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Late is a row that came too late for a query, as stored (JSON, see docs/formats/epochs.md).
type Late struct {
	Versioned
	Stream uint64 `json:"stream"`
	Query  uint64 `json:"query"`
	// At is the epoch's clock, Time the row's event time, Watermark what had passed it: microseconds.
	At        int64  `json:"at"`
	Epoch     uint64 `json:"epoch"`
	Time      int64  `json:"time"`
	Watermark int64  `json:"watermark"`
	// Raw are the bytes that the row was decoded from, with the codec and the column list they need; Codec "" is the
	// stream's format.
	Raw     []byte `json:"raw"`
	Codec   string `json:"codec,omitempty"`
	Columns []int  `json:"columns,omitempty"`
	// Arrival is when the bytes reached vigil.
	Arrival int64 `json:"arrival"`
}

// lateEpochMax and lateEpochBytes bound the late rows kept of one worker and epoch. All are counted.
const (
	lateEpochMax   = 10_000
	lateEpochBytes = 16 << 20
)

// lateRow is a late row with its bytes.
type lateRow struct {
	q   *query
	row Late
}

// lateRows gathers the late rows of an item; their bytes are looked up once per batch, because that takes decoding again.
type lateRows struct {
	list []lateRef
	dec  map[decoderKey]codec.Decoder
}

type lateRef struct {
	fb        *frontBatch
	row       uint32
	q         *query
	watermark types.EventTime
}

// add notes row of the batch in work; rows that a query computed count as the ones they come from.
func (l *lateRows) add(w *worker, row uint32, watermark types.EventTime) {
	s := w.item.stream
	if s.isResult || s.spec.LateDrop {
		return
	}
	if len(w.out.late)+len(l.list) >= lateEpochMax || w.out.lateBytes >= lateEpochBytes {
		w.out.lateSkipped++
		return
	}
	if own := w.routed.own; own != nil {
		row = own.Src[row]
	}
	l.list = append(l.list, lateRef{w.at, row, w.routed.q.owner, watermark})
}

// flush adds the rows to the epoch's output.
func (l *lateRows) flush(w *worker) {
	for len(l.list) > 0 {
		fb, n := l.list[0].fb, 0
		for n < len(l.list) && l.list[n].fb == fb {
			n++
		}
		l.batch(w, l.list[:n])
		l.list = l.list[n:]
	}
	l.list = l.list[:0]
}

// batch finds the bytes of late rows of one batch.
func (l *lateRows) batch(w *worker, refs []lateRef) {
	slices.SortStableFunc(refs, func(a, b lateRef) int { return int(a.row) - int(b.row) })
	it, fb := w.item, refs[0].fb
	for i := range fb.pieces {
		p := &fb.pieces[i]
		end := fb.b.N
		if i+1 < len(fb.pieces) {
			end = fb.pieces[i+1].row
		}
		n := 0
		for n < len(refs) && int(refs[n].row) < end {
			n++
		}
		if n > 0 {
			l.piece(w, it, p, refs[:n])
		}
		refs = refs[n:]
	}
}

// piece decodes one stretch of bytes again, a row at a time.
func (l *lateRows) piece(w *worker, it *item, p *piece, refs []lateRef) {
	s, payload := it.stream, &it.payloads[p.payload]
	key := decoderKey{stream: s, codec: payload.Codec, columns: columnsKey(payload.Columns)}
	dec := l.dec[key]
	if dec == nil {
		var err error
		name := payload.Codec
		if name == "" {
			name = s.spec.Format
		}
		if dec, err = w.e.newDecoder(s.spec, name, payload.Columns); err != nil {
			return
		}
		if l.dec == nil {
			l.dec = map[decoderKey]codec.Decoder{}
		}
		l.dec[key] = dec
	}
	var rows []int
	for _, r := range refs {
		if n := len(rows); n == 0 || rows[n-1] != int(r.row)-p.row {
			rows = append(rows, int(r.row)-p.row)
		}
	}
	if t, ok := dec.(codec.Timed); ok {
		clock := it.epoch.clock
		if s.dated() {
			clock = payload.Arrival
		}
		t.At(payload.Arrival, clock)
	}
	raw := recordsOf(s.spec, it.plan.want, payload.Bytes[p.from:], dec, rows)
	for _, r := range refs {
		i, _ := slices.BinarySearch(rows, int(r.row)-p.row)
		if w.out.lateBytes += len(raw[i]); w.out.lateBytes > lateEpochBytes {
			w.out.lateSkipped++
			continue
		}
		w.out.late = append(w.out.late, lateRow{r.q, Late{Stream: s.spec.ID, Query: r.q.spec.ID, Watermark: int64(r.watermark),
			Time: r.fb.b.Cols[s.spec.TimeCol].I64[r.row], Raw: bytes.Clone(raw[i]), Codec: payload.Codec, Columns: payload.Columns,
			Arrival: int64(payload.Arrival)}})
	}
}

func (e *Engine) putLate(b batchKV, ep *epoch) error {
	for i := range ep.outs {
		for _, l := range ep.outs[i].late {
			if l.q.dead() {
				continue
			}
			l.row.At, l.row.Epoch = int64(ep.clock), ep.n
			data, err := json.Marshal(&l.row)
			if err != nil {
				return err
			}
			e.meta.Late.Add(b, l.row.At, data)
		}
		e.meta.Late.Skip(ep.outs[i].lateSkipped)
	}
	return nil
}

// LateRows decodes the late rows of a stream that are kept, oldest first: row is valid during the call.
func (e *Engine) LateRows(streamID uint64, fn func(l *Late, row []types.Value) error) error {
	e.mu.RLock()
	s := e.streams[streamID]
	e.mu.RUnlock()
	if s == nil {
		return sqlerr.New(sqlerr.UndefinedTable, "the stream does not exist any more")
	}
	decoders := map[decoderKey]codec.Decoder{}
	var rejects []codec.Reject
	return e.meta.Late.Scan(0, func(_ uint64, data []byte) (bool, error) {
		l, err := decodeLate(data)
		if err != nil {
			return false, err
		}
		if l.Stream != streamID {
			return true, nil
		}
		name := l.Codec
		if name == "" {
			name = s.spec.Format
		}
		key := decoderKey{stream: s, codec: name, columns: columnsKey(l.Columns)}
		dec := decoders[key]
		if dec == nil {
			var err error
			if dec, err = e.newDecoder(s.spec, name, l.Columns); err != nil {
				return false, err
			}
			decoders[key] = dec
		}
		if t, ok := dec.(codec.Timed); ok {
			t.At(types.EventTime(l.Arrival), types.EventTime(l.At))
		}
		b := batch.New(&s.spec.Schema, nil)
		rejects = rejects[:0]
		if dec.Decode(l.Raw, b, 1, &rejects); b.N == 0 {
			return true, nil // its other columns cannot be decoded
		}
		return true, fn(&l, b.Row(nil, 0))
	})
}

// countLate adds the rows that were late since the last call to those of the query and of its streams.
func (wq *workerQuery) countLate() {
	if wq.tree == nil {
		return
	}
	var late int64
	for _, o := range wq.tree.Ops() {
		if l, ok := o.(op.LateCounter); ok {
			late += l.LateRows()
		}
	}
	more := late - wq.late
	if more == 0 {
		return
	}
	wq.late = late
	wq.q.owner.stats.Late.Add(more)
	e := wq.w.e
	e.mu.RLock()
	defer e.mu.RUnlock()
	ids := wq.q.sources(false)
	for i, id := range ids {
		if s := e.streams[id]; s != nil && !slices.Contains(ids[:i], id) {
			s.stats.Late.Add(more)
		}
	}
}
