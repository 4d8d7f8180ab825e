package op

import (
	"bytes"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// matchOutput collects the matches of one Advance, so that they leave in an order that does not depend on how keys are spread
// over workers: by the time of the last row, then the bytes of the key, then their number.
type matchOutput struct {
	rows    *batch.Batch // rows of the input with references
	matches []matchRecord
	b       *batch.Batch
	keys    []*batch.Vec
	vecs    []*batch.Vec // of the measures, over all rows
	bad     []bool
}

// matchRecord is a match: its rows in matchOutput.rows.
type matchRecord struct {
	end     types.EventTime
	gid     uint32
	first   int32
	n       int32
	ordinal uint64
}

func (o *matchOutput) init(schema, rows *types.Schema) {
	o.b, o.rows = batch.New(schema, nil), batch.New(rows, nil)
}

// renumber follows keys that have got other numbers; it is called with nothing collected.
func (o *matchOutput) renumber(to []uint32) {
	for i := range o.matches {
		o.matches[i].gid = to[o.matches[i].gid] - 1
	}
}

// emitMatch collects the match in m.path.
func (m *Match) emitMatch(gid uint32, number uint64) error {
	o := &m.out
	if len(o.matches) == 0 {
		o.rows.Reset(m.wantOut)
	}
	last := len(m.path) - 1
	rec := matchRecord{end: m.rows.time(m.path[last].row), gid: gid, first: int32(o.rows.N), ordinal: number}
	from := last
	if m.spec.AllRows {
		from = 0
	}
	for at := from; at <= last; at++ {
		if err := m.extend(o.rows, m.wantOut, at, number); err != nil {
			return err
		}
	}
	rec.n = int32(o.rows.N) - rec.first
	o.matches = append(o.matches, rec)
	return nil
}

// flush sends what was collected.
func (o *matchOutput) flush(m *Match, out Emitter) error {
	if len(o.matches) == 0 {
		return nil
	}
	slices.SortFunc(o.matches, func(a, b matchRecord) int {
		switch {
		case a.end != b.end:
			return cmpTime(a.end, b.end)
		case a.gid != b.gid:
			return bytes.Compare(m.table.Key(a.gid), m.table.Key(b.gid))
		case a.ordinal < b.ordinal:
			return -1
		}
		return 1
	})
	if err := o.evalMeasures(m); err != nil {
		return err
	}
	o.b.Reset(nil)
	for _, rec := range o.matches {
		for row := rec.first; row < rec.first+rec.n; row++ {
			if o.bad[row] {
				continue
			}
			if err := o.row(m, rec.gid, int(row)); err != nil {
				return err
			}
			if o.b.N == batch.RowsMax {
				if err := o.send(out); err != nil {
					return err
				}
			}
		}
	}
	o.matches = o.matches[:0]
	if o.b.N == 0 {
		return nil
	}
	return o.send(out)
}

func cmpTime(a, b types.EventTime) int {
	if a < b {
		return -1
	}
	return 1
}

func (o *matchOutput) send(out Emitter) error {
	err := out.Emit(Input{B: o.b, Sel: batch.All(o.b.N)})
	o.b.Reset(nil)
	return err
}

// evalMeasures computes the measures of all rows; those that fail are bad.
func (o *matchOutput) evalMeasures(m *Match) error {
	o.bad = append(o.bad[:0], make([]bool, o.rows.N)...)
	old := m.ctx.RowError
	defer func() { m.ctx.RowError = old }()
	m.ctx.RowError = nil
	if m.Failed != nil {
		m.ctx.RowError = func(row uint32, err error) {
			if !o.bad[row] {
				o.bad[row] = true
				m.Failed(m.watermark, err)
			}
		}
	}
	o.vecs = o.vecs[:0]
	for _, ev := range m.measures {
		v, err := ev.Eval(m.ctx, o.rows, batch.All(o.rows.N))
		if err != nil {
			return err
		}
		o.vecs = append(o.vecs, v)
	}
	return nil
}

// row appends one row to the output.
func (o *matchOutput) row(m *Match, gid uint32, row int) error {
	cols := o.b.Cols
	if m.spec.AllRows {
		for i := range m.rowCols {
			cols[i].AppendFrom(&o.rows.Cols[i], row)
		}
		cols = cols[m.rowCols:]
	} else {
		o.keys = o.keys[:0]
		for i := range m.keyType {
			o.keys = append(o.keys, &cols[i])
		}
		if _, err := batch.DecodeKey(m.table.Key(gid), o.keys); err != nil {
			return err
		}
		cols = cols[len(m.keyType):]
	}
	for i, v := range o.vecs {
		cols[i].AppendFrom(v, row)
	}
	o.b.N++
	return nil
}
