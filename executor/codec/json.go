package codec

import (
	"bytes"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// JSONDepthMax is the deepest nesting of a JSON record; a deeper one is rejected.
const JSONDepthMax = 512

// RejectsMax is the number of rejects after which Decode returns early, so that a payload of rubbish cannot turn into
// many times its size in errors.
const RejectsMax = 1024

var jsonDef = Def{
	Name: "JSON",
	Doc: "One JSON object per line, or a payload that is one array of objects. Keys match column names exactly; other keys are " +
		"skipped; of a repeated key the last value counts.",
	New: newJSON,
}

// jsonSlot is a column that the records must be searched for.
type jsonSlot struct {
	cell
	index    int32      // its own place among the slots
	vec      *batch.Vec // nil: nobody reads the column, only its presence is checked
	gen      uint64     // the record that set it last
	col      int
	required bool
	bytes    int // bytes of the last batch's values, to size the next one
}

// jsonDecoder walks each record once. Objects of one source look alike, so it remembers which key followed which, with
// the exact bytes in between, and verifies that guess with wide compares (json_fast.go). Whatever does not fit the guess
// takes the general walk (json_walk.go), field by field, and teaches the next guess.
type jsonDecoder struct {
	schema  *types.Schema
	notNull []bool
	timeCol int

	slots  []jsonSlot
	byName map[string]int32 // column name -> slot
	want   []bool           // presence of b's columns when slots were built

	nodes  []jsonNode
	byKey  [2]map[string]int32 // key -> node; [1] for the first key of an object
	gen    uint64              // number of the current record
	set    int                 // slots set in it
	row    int
	bad    []slotError // values that could not be converted
	multi  bool        // newlines are white space: the payload is an array
	seenU0 bool        // the last skipped value had a \u0000
	why    syntaxError
	buf    []byte // unescaped strings
	rest   resume // of an array

	paths    *jsonPaths
	trees    []jsonTree
	restCol  int // the column of the fields that no other column takes; -1: none
	keepRest bool
	restBuf  []byte // the object of the record's other fields, without its closing brace
	restU0   bool   // there was a \u0000 in them
}

type slotError struct {
	slot int32
	err  error
}

// syntaxError is what is wrong with a record, and where in the payload.
type syntaxError struct {
	what string
	at   int
}

func newJSON(o Options) (Decoder, error) {
	if err := onlyParams("JSON", o.Params); err != nil {
		return nil, err
	}
	return newJSONDecoder(o, "JSON")
}

// newJSONDecoder makes the decoder of a format whose records are JSON objects.
func newJSONDecoder(o Options, format string) (*jsonDecoder, error) {
	d := &jsonDecoder{schema: o.Schema, timeCol: o.TimeCol, notNull: make([]bool, len(o.Schema.Cols))}
	var err error
	if d.paths, err = newJSONPaths(&o, format); err != nil {
		return nil, err
	}
	d.restCol = d.paths.restCol
	for i, c := range o.Schema.Cols {
		d.notNull[i] = c.NotNull || i == o.TimeCol
	}
	return d, nil
}

// prepare points the slots at b's vectors, building them anew when other columns are wanted than last time.
func (d *jsonDecoder) prepare(b *batch.Batch, limit int) {
	same := d.want != nil
	for i := range d.want {
		same = same && d.want[i] == !b.Cols[i].Absent
	}
	if !same {
		d.build(b)
	}
	for i := range d.slots {
		s := &d.slots[i]
		if s.vec != nil {
			s.vec = &b.Cols[s.col]
			reserve(s.vec, limit, s.bytes)
		}
	}
}

func (d *jsonDecoder) build(b *batch.Batch) {
	d.slots, d.byName, d.want = d.slots[:0], map[string]int32{}, make([]bool, len(b.Cols))
	slotOf := make([]int32, len(b.Cols))
	for i, c := range d.schema.Cols {
		d.want[i], slotOf[i] = !b.Cols[i].Absent, -1
		if i == d.restCol || !d.want[i] && !d.notNull[i] {
			continue
		}
		slotOf[i] = int32(len(d.slots))
		s := jsonSlot{cell: newCell(c), index: int32(len(d.slots)), col: i, required: d.notNull[i]}
		if d.want[i] {
			s.vec = &b.Cols[i]
		}
		d.slots = append(d.slots, s)
	}
	d.keepRest = d.restCol >= 0 && d.want[d.restCol]
	d.buildPaths(slotOf)
	d.forget()
}

// reserve makes room for a batch so that rows are appended without growing; bytes is what the last batch took.
func reserve(v *batch.Vec, rows, bytes int) {
	rows = min(rows, batch.RowsMax)
	switch v.Type.Phys() {
	case types.PhysInt:
		v.I64 = growTo(v.I64, rows)
	case types.PhysFloat:
		v.F64 = growTo(v.F64, rows)
	default:
		v.Off = growTo(v.Off, rows+1)
		v.Buf = growTo(v.Buf, bytes+bytes/8)
	}
}

func growTo[T any](s []T, n int) []T {
	if cap(s) >= n {
		return s
	}
	return append(make([]T, 0, n), s...)
}

// Decode implements Decoder.
func (d *jsonDecoder) Decode(payload []byte, b *batch.Batch, limit int, rej *[]Reject) int {
	if len(payload) == 0 {
		return 0
	}
	d.prepare(b, limit)
	cont := d.rest.is(payload)
	d.rest.set(nil)
	i, rejects := 0, len(*rej)+RejectsMax
	if !cont {
		i = skipSpace(payload, 0, true)
	}
	if cont || i < len(payload) && payload[i] == '[' {
		d.setMulti(true)
		return d.array(payload, b, arrayRun{limit: limit, cont: cont, rejects: rejects}, rej)
	}
	d.setMulti(false)
	i = 0
	for i < len(payload) && b.N < limit && len(*rej) < rejects {
		end := d.line(payload, i, b)
		if end < 0 {
			end = i + lineLen(payload[i:])
			*rej = append(*rej, Reject{Raw: clip(trimEOL(payload[i:end])), Err: d.reject(payload, i)})
		}
		i = end
	}
	d.remember()
	return i
}

// remember keeps the size of a full batch for reserve.
func (d *jsonDecoder) remember() {
	for i := range d.slots {
		if s := &d.slots[i]; s.vec != nil {
			s.bytes = max(s.bytes-s.bytes/16, len(s.vec.Buf))
		}
	}
}

// line decodes the record that starts at i and returns where the next line starts, or -1 when it is rejected. A blank line
// adds no row.
func (d *jsonDecoder) line(data []byte, i int, b *batch.Batch) int {
	if data[i] != '{' {
		if len(data)-i >= 3 && data[i] == 0xef && data[i+1] == 0xbb && data[i+2] == 0xbf {
			i += 3 // a byte order mark, as Windows tools write it
		}
		i = skipSpace(data, i, false)
		if i == len(data) {
			return i
		}
		if data[i] == '\n' {
			return i + 1
		}
		if data[i] != '{' {
			d.bad = d.bad[:0]
			return d.fail(i, "the record is not an object")
		}
	}
	end := d.object(data, i, b.N)
	if end < 0 {
		b.Truncate(b.N)
		return -1
	}
	if end < len(data) && data[end] != '\n' {
		end = skipSpace(data, end, false)
		if end < len(data) && data[end] != '\n' {
			b.Truncate(b.N)
			return d.fail(end, "there is text after the object")
		}
	}
	if !d.finish(b) {
		b.Truncate(b.N)
		return -1
	}
	b.N++
	return min(end+1, len(data))
}

// finish completes the record's row and reports whether it may stand.
func (d *jsonDecoder) finish(b *batch.Batch) bool {
	if len(d.bad) != 0 || d.set != len(d.slots) && !d.complete() {
		return false
	}
	if d.keepRest {
		if err := d.finishRest(b); err != nil {
			d.bad = append(d.bad, slotError{-1, err})
			return false
		}
	}
	return true
}

// complete gives the columns that the record did not mention their NULL, and reports whether they may be NULL.
func (d *jsonDecoder) complete() bool {
	for i := range d.slots {
		s := &d.slots[i]
		if s.gen == d.gen {
			continue
		}
		if s.required {
			d.bad = append(d.bad, slotError{int32(i), missing(d.schema.Cols[s.col], s.col == d.timeCol)})
			continue
		}
		s.vec.AppendNull()
	}
	return len(d.bad) == 0
}

// fail notes a syntax error at a place of the payload and returns -1.
func (d *jsonDecoder) fail(at int, what string) int {
	d.why = syntaxError{what: what, at: at}
	return -1
}

// reject is the error of the record that starts at start: malformed text first, then the first column in schema order.
func (d *jsonDecoder) reject(data []byte, start int) error {
	if d.why.what != "" {
		w := d.why
		d.why = syntaxError{}
		near := data[w.at:min(len(data), w.at+30)]
		if near = trimEOL(near[:lineLen(near)]); len(near) == 0 {
			w.what = "the record ends early"
		}
		return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type json: %s", w.what).
			WithDetail("At byte %d of the record: %q", w.at-start+1, near)
	}
	best := d.bad[0]
	if best.slot < 0 {
		return best.err
	}
	for _, e := range d.bad {
		if d.slots[e.slot].col < d.slots[best.slot].col {
			best = e
		}
	}
	return best.err
}

// lineLen is the length of the first line including its newline.
func lineLen(s []byte) int {
	if n := bytes.IndexByte(s, '\n'); n >= 0 {
		return n + 1
	}
	return len(s)
}

func trimEOL(s []byte) []byte { return bytes.TrimRight(s, "\r\n") }

// clip bounds the raw bytes of a reject.
func clip(s []byte) []byte { return s[:min(len(s), RawMax)] }
