package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// rowsVersion is the first byte of every row; docs/formats/rows.md tells the rest.
const rowsVersion = 1

var rowsDef = Def{
	Name: "ROWS",
	Doc:  "vigil's own binary rows: what INSERT writes to the event log and results are stored as. See docs/formats/rows.md.",
	New:  newRows,
}

// AppendRow appends one row in vigil's binary form. The values are in stored form, as types.Value holds them.
func AppendRow(dst []byte, row []types.Value) []byte {
	start := len(dst)
	dst, nulls := appendRowHead(dst, len(row))
	for i := range row {
		v := &row[i]
		if v.Null {
			dst[nulls+i/8] |= 1 << (i % 8)
			continue
		}
		switch v.Type.Phys() {
		case types.PhysInt:
			dst = binary.AppendVarint(dst, v.I)
		case types.PhysFloat:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F))
		default:
			dst = binary.AppendUvarint(dst, uint64(len(v.S)))
			dst = append(dst, v.S...)
		}
	}
	return endRow(dst, start)
}

// appendRowHead appends what comes before the values; nulls is where the bitmap is.
func appendRowHead(dst []byte, columns int) (out []byte, nulls int) {
	if columns <= 8 {
		return append(dst, rowsVersion, 0, 0, 0, 0, byte(columns), 0)[:len(dst)+6+(columns+7)/8], len(dst) + 6
	}
	dst = append(dst, rowsVersion, 0, 0, 0, 0)
	dst = binary.AppendUvarint(dst, uint64(columns))
	nulls = len(dst)
	for range (columns + 7) / 8 {
		dst = append(dst, 0)
	}
	return dst, nulls
}

// endRow fills in the length of the row that begins at start.
func endRow(dst []byte, start int) []byte {
	binary.LittleEndian.PutUint32(dst[start+1:], uint32(len(dst)-start-5))
	return dst
}

// AppendBatchRow appends row i of a batch in the form of AppendRow; cols are the columns that make it up, in order, none of them
// absent.
func AppendBatchRow(dst []byte, b *batch.Batch, cols []int, i int) []byte {
	start := len(dst)
	dst, nulls := appendRowHead(dst, len(cols))
	for at, c := range cols {
		v := &b.Cols[c]
		if v.IsNull(i) {
			dst[nulls+at/8] |= 1 << (at % 8)
			continue
		}
		switch v.Type.Phys() {
		case types.PhysInt:
			dst = appendVarint(dst, v.I64[i])
		case types.PhysFloat:
			dst = binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[i]))
		default:
			dst = appendPart(dst, v.Buf, v.Off[i], v.Off[i+1])
		}
	}
	return endRow(dst, start)
}

// appendPart appends the bytes of buf between two places, after their number. Most are few: where there is room, they are copied sixteen
// at a time, whatever comes behind them.
func appendPart(dst, buf []byte, from, to uint32) []byte {
	n, at := int(to-from), len(dst)
	if n > 16 || len(buf)-int(from) < 16 || cap(dst)-at < 17 {
		dst = binary.AppendUvarint(dst, uint64(n))
		return append(dst, buf[from:to]...)
	}
	dst = dst[:at+17]
	dst[at] = byte(n)
	*(*[16]byte)(dst[at+1:]) = [16]byte(buf[from:])
	return dst[:at+1+n]
}

// appendVarint is binary.AppendVarint; times, which take eight bytes, are not made byte by byte.
func appendVarint(dst []byte, x int64) []byte {
	u, at := uint64(x<<1)^uint64(x>>63), len(dst)
	if u < 1<<14 || u >= 1<<56 || cap(dst)-at < 8 {
		return binary.AppendUvarint(dst, u)
	}
	dst = dst[:at+8]
	binary.LittleEndian.PutUint64(dst[at:], spread7(u))
	return dst[:at+varintLen(u)]
}

// DecodeRow decodes the single row that b holds into values of the given types. It never panics; bytes that are not a row of
// that shape are an error (DataCorrupted).
func DecodeRow(ts []types.Type, b []byte) ([]types.Value, error) {
	body, end := rowBody(b, 0)
	if end != len(b) || body == nil {
		return nil, badFrame(b)
	}
	r, err := newRowReader(body, len(ts))
	if err != nil {
		return nil, err
	}
	row := make([]types.Value, len(ts))
	for i, t := range ts {
		if row[i], err = r.next(t); err != nil {
			return nil, err
		}
	}
	if len(r.body) != 0 {
		return nil, corrupt("bytes after the last value")
	}
	return row, nil
}

func corrupt(what string) *sqlerr.Error {
	return sqlerr.New(sqlerr.DataCorrupted, "malformed row: %s", what)
}

// badFrame says why data does not begin with a row.
func badFrame(data []byte) *sqlerr.Error {
	if len(data) > 0 && data[0] != rowsVersion {
		return corrupt(fmt.Sprintf("it has format version %d, this vigil reads version %d", data[0], rowsVersion))
	}
	return corrupt("bad frame")
}

// rowBody returns the body of the row framed at data[i:] and where it ends, nil and len(data) when there is no frame.
func rowBody(data []byte, i int) ([]byte, int) {
	if len(data)-i < 5 || data[i] != rowsVersion {
		return nil, len(data)
	}
	n := binary.LittleEndian.Uint32(data[i+1:])
	if uint64(n) > uint64(len(data)-i-5) {
		return nil, len(data)
	}
	end := i + 5 + int(n)
	return data[i+5 : end : end], end
}

// rowReader reads the values of one row body in order.
type rowReader struct {
	body  []byte // what is left
	nulls []byte
	field int
}

func newRowReader(body []byte, columns int) (rowReader, error) {
	n, w := binary.Uvarint(body)
	if w <= 0 || n != uint64(columns) {
		return rowReader{}, corrupt("another number of columns")
	}
	size := (columns + 7) / 8
	if len(body)-w < size {
		return rowReader{}, corrupt("it ends early")
	}
	return rowReader{body: body[w+size:], nulls: body[w : w+size]}, nil
}

// next reads a value of a type; its bytes are copied.
func (r *rowReader) next(t types.Type) (types.Value, error) {
	v := types.Value{Type: t}
	raw, i, null, err := r.raw(t)
	switch {
	case err != nil:
		return v, err
	case null:
		v.Null = true
	case t.Phys() == types.PhysInt:
		v.I = i
	case t.Phys() == types.PhysFloat:
		v.F = math.Float64frombits(uint64(i))
	default:
		v.S = string(raw)
	}
	return v, nil
}

// raw reads a value: bytes that alias the body, or an integer, or a float's bits.
func (r *rowReader) raw(t types.Type) (s []byte, i int64, null bool, err error) {
	f := r.field
	r.field++
	if r.nulls[f/8]&(1<<(f%8)) != 0 {
		return nil, 0, true, nil
	}
	switch t.Phys() {
	case types.PhysInt:
		v, w := binary.Varint(r.body)
		if w <= 0 || !inRange(t.Kind, v) || t.Kind == types.Bool && v>>1 != 0 {
			return nil, 0, false, corrupt("bad " + t.String())
		}
		r.body = r.body[w:]
		return nil, v, false, nil
	case types.PhysFloat:
		if len(r.body) < 8 {
			return nil, 0, false, corrupt("it ends early")
		}
		u := binary.LittleEndian.Uint64(r.body)
		r.body = r.body[8:]
		return nil, int64(u), false, nil
	}
	n, w := binary.Uvarint(r.body)
	if w <= 0 || n > uint64(len(r.body)-w) {
		return nil, 0, false, corrupt("it ends early")
	}
	s, r.body = r.body[w:w+int(n)], r.body[w+int(n):]
	if !storedForm(t.Kind, s) {
		return nil, 0, false, corrupt("bad " + t.String())
	}
	return s, 0, false, nil
}

// storedForm checks what other code relies on without looking: fixed lengths and UTF-8.
func storedForm(k types.Kind, s []byte) bool {
	switch k {
	case types.Inet, types.CIDR:
		return len(s) == 5 && s[0] <= 32 || len(s) == 17 && s[0] <= 128
	case types.UUID, types.Interval:
		return len(s) == 16
	case types.Bytea, types.Array, types.Record:
		return true
	}
	return utf8.Valid(s)
}

type rowsDecoder struct{ positional }

func newRows(o Options) (Decoder, error) {
	if err := onlyParams("ROWS", o.Params); err != nil {
		return nil, err
	}
	p, err := newPositional(o)
	return &rowsDecoder{p}, err
}

// Binary implements Binary.
func (d *rowsDecoder) Binary() {}

// Decode implements Decoder. A row with a good frame and a bad body loses only itself; a bad frame loses what follows.
func (d *rowsDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	d.prepare(b, limit)
	i := 0
	for rejects := len(*rej) + RejectsMax; i < len(payload) && b.N < limit && len(*rej) < rejects; {
		body, end := rowBody(payload, i)
		var err error
		if body != nil {
			err = d.row(body, b)
		} else {
			err = badFrame(payload[i:])
		}
		if err != nil {
			b.Truncate(b.N)
			*rej = append(*rej, Reject{Raw: clip(payload[i:end]), Err: err})
		}
		i = end
	}
	d.remember(b)
	return i
}

func (d *rowsDecoder) row(body []byte, b *batch.Batch) error {
	r, err := newRowReader(body, len(d.columns))
	if err != nil {
		return err
	}
	d.begin()
	for _, c := range d.columns {
		s, i, null, err := r.raw(d.schema.Cols[c].Type)
		if err != nil {
			return err
		}
		d.fields++
		v := &b.Cols[c]
		switch {
		case null && d.required(c):
			return missing(d.schema.Cols[c], c == d.timeCol)
		case v.Absent:
		case null:
			v.AppendNull()
		case s == nil && v.Type.Phys() == types.PhysInt:
			v.AppendInt(i)
		case s == nil && v.Type.Phys() == types.PhysFloat:
			v.AppendFloat(math.Float64frombits(uint64(i)))
		default:
			v.AppendBytes(s)
		}
	}
	if len(r.body) != 0 {
		return corrupt("bytes after the last value")
	}
	return d.finish(b)
}
