package codec

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// RestPath is the FROM of a json or jsonb column that takes the fields which no other column takes.
const RestPath = "*"

// namedSlot is a column that is filled from fields.
type namedSlot struct {
	cell
	vec      *batch.Vec // nil: nobody reads the column, only its presence is checked
	gen      uint64     // the record that set it last
	col      int
	required bool
}

// noEntry stands for a field that no column takes.
const noEntry = -1

// entry is a column that takes a field; a field may have several.
type entry struct {
	slot, next int32
}

// fieldNode is a field name as it was seen in records, with the columns that take it and the name that came after it.
type fieldNode struct {
	name  []byte
	entry int32
	next  int32
}

// fieldNodesMax bounds the names that are remembered, fieldNameMax their length in bytes.
const (
	fieldNodesMax = 1024
	fieldNameMax  = 128
)

// named writes rows whose fields carry names: syslog, CEF, LEEF, KV, Zeek, patterns. A field goes to the columns of its name, or
// whose FROM is its name, whatever the case of the letters. Records of one source look alike, so it remembers which name followed which.
type named struct {
	schema  *types.Schema
	timeCol int
	times   logTime
	sources [][]string // by column: the field names that it is filled from
	restCol int        // -1: none

	slots   []namedSlot
	entries []entry
	byName  map[string]int32 // lower case -> first entry; noEntry for the columns that nobody reads
	want    []bool
	nodes   []fieldNode
	byKey   map[string]int32 // name as it was written -> node
	cur     int32
	gen     uint64
	set     int
	row     int
	err     error // the row's first
	bytes   []int // per column, size of the last batch's values

	keepRest bool
	restCell cell
	rest     []byte // the object of the record's other fields, without its closing brace
	fold     []byte // scratch
}

// newNamed makes a writer; alias gives the other names of a field, both in lower case, and may be nil.
func newNamed(o Options, format string, alias func(name string) []string) (named, error) {
	n := named{schema: o.Schema, timeCol: o.TimeCol, restCol: -1, bytes: make([]int, len(o.Schema.Cols)), sources: make([][]string, len(o.Schema.Cols))}
	var err error
	if n.times, err = newLogTime(o.Params); err != nil {
		return n, err
	}
	for i, c := range o.Schema.Cols {
		from := o.from(i)
		switch {
		case from == RestPath && c.Type.Kind != types.JSON && c.Type.Kind != types.JSONB:
			return n, sqlerr.New(sqlerr.DatatypeMismatch, "column %q takes the other fields and must be of type jsonb, not %s", c.Name, c.Type)
		case from == RestPath && n.restCol >= 0:
			return n, sqlerr.New(sqlerr.InvalidTableDefinition, "columns %q and %q both take the other fields", o.Schema.Cols[n.restCol].Name, c.Name)
		case from == RestPath:
			n.restCol, n.restCell = i, newCell(c)
		case from != "":
			n.sources[i] = withAliases(from, alias)
		default:
			n.sources[i] = append(withAliases(c.Name, alias), o.ecsFields(format, c.Name)...)
		}
	}
	return n, nil
}

// withAliases is a field's name and its other ones, in lower case.
func withAliases(name string, alias func(string) []string) []string {
	names := []string{strings.ToLower(name)}
	if alias != nil {
		names = append(names, alias(names[0])...)
	}
	return names
}

// At tells when the payload came that is decoded next: timestamps without a year need it.
func (n *named) At(arrival, _ types.EventTime) { n.times.at(arrival) }

// prepare points the slots at b's vectors and reports whether they are other columns than last time.
func (n *named) prepare(b *batch.Batch, limit int) (changed bool) {
	same := n.want != nil
	for i := range n.want {
		same = same && n.want[i] == !b.Cols[i].Absent
	}
	if !same {
		n.build(b)
	}
	for i := range n.slots {
		if s := &n.slots[i]; s.vec != nil {
			s.vec = &b.Cols[s.col]
			reserve(s.vec, limit, n.bytes[s.col])
		}
	}
	return !same
}

func (n *named) build(b *batch.Batch) {
	n.slots, n.entries, n.byName, n.want = n.slots[:0], n.entries[:0], map[string]int32{}, make([]bool, len(b.Cols))
	n.keepRest = false
	for i, c := range n.schema.Cols {
		n.want[i] = !b.Cols[i].Absent
		required := c.NotNull || i == n.timeCol
		if i == n.restCol {
			n.keepRest = n.want[i]
			continue
		}
		if !n.want[i] && !required {
			for _, name := range n.sources[i] {
				if _, known := n.byName[name]; !known {
					n.byName[name] = noEntry // not one of the other fields
				}
			}
			continue
		}
		s := namedSlot{cell: newCell(c), col: i, required: required}
		if n.want[i] {
			s.vec = &b.Cols[i]
		}
		for _, name := range n.sources[i] {
			next, known := n.byName[name]
			if !known {
				next = noEntry
			}
			n.byName[name] = int32(len(n.entries))
			n.entries = append(n.entries, entry{slot: int32(len(n.slots)), next: next})
		}
		n.slots = append(n.slots, s)
	}
	n.forget()
}

func (n *named) forget() {
	n.nodes, n.byKey = append(n.nodes[:0], fieldNode{entry: noEntry}), map[string]int32{}
	n.cur = 0
}

// remember keeps the sizes of a decoded batch for prepare.
func (n *named) remember(b *batch.Batch) {
	for i := range b.Cols {
		n.bytes[i] = max(n.bytes[i]-n.bytes[i]/16, len(b.Cols[i].Buf))
	}
}

// field is the entry of a field that the format itself names, noEntry when no column takes it.
func (n *named) field(name string) int32 {
	if e, ok := n.byName[name]; ok {
		return e
	}
	return noEntry
}

// begin starts a record, the batch's row-th.
func (n *named) begin(row int) {
	n.gen++
	n.set, n.row, n.err, n.cur, n.rest = 0, row, nil, 0, n.rest[:0]
}

// put gives a field of the record to the columns of its name.
func (n *named) put(name, value []byte) {
	var e int32
	if len(name) > fieldNameMax {
		e = n.resolve(name)
	} else {
		id := n.nodes[n.cur].next
		if id == 0 || !bytes.Equal(n.nodes[id].name, name) {
			id = n.learn(name)
		}
		n.cur, e = id, n.nodes[id].entry
	}
	if e == restEntry {
		n.addRest(name, value)
		return
	}
	n.store(e, value)
}

// restEntry stands for a field of the rest column.
const restEntry = -2

// learn finds or makes the node of a name, which came after the current one.
func (n *named) learn(name []byte) int32 {
	id, known := n.byKey[string(name)]
	if !known {
		if len(n.nodes) >= fieldNodesMax {
			n.forget()
		}
		id = int32(len(n.nodes))
		n.nodes = append(n.nodes, fieldNode{name: bytes.Clone(name), entry: n.resolve(name)})
		n.byKey[string(name)] = id
	}
	n.nodes[n.cur].next = id
	return id
}

// resolve finds the columns of a name.
func (n *named) resolve(name []byte) int32 {
	n.fold = lowered(n.fold[:0], name)
	e, ok := n.byName[string(n.fold)]
	switch {
	case ok:
		return e
	case n.keepRest:
		return restEntry
	}
	return noEntry
}

// lowered appends s with the letters A to Z in lower case.
func lowered(dst, s []byte) []byte {
	for _, c := range s {
		if c-'A' < 26 {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// store gives a value to the columns of an entry.
func (n *named) store(e int32, value []byte) {
	for ; e >= 0; e = n.entries[e].next {
		if n.err != nil {
			return
		}
		if s := n.slot(e); s != nil {
			if err := n.storeText(s, value); err != nil {
				n.err = err
			}
		}
	}
}

// storeObject gives JSON that is well-formed but for its UTF-8 to the columns of an entry.
func (n *named) storeObject(e int32, value []byte) {
	for ; e >= 0 && n.err == nil; e = n.entries[e].next {
		s := n.slot(e)
		switch {
		case s == nil:
		case s.conv == convJSON && utf8.Valid(value):
			s.vec.AppendBytes(value)
		default:
			n.err = n.storeText(s, value)
		}
	}
}

// storeTime gives a point in time to the columns of an entry; text is how the record writes it.
func (n *named) storeTime(e int32, micros int64, text []byte) {
	for ; e >= 0 && n.err == nil; e = n.entries[e].next {
		s := n.slot(e)
		switch {
		case s == nil:
		case s.conv == convTime:
			s.vec.AppendInt(micros)
		default:
			n.err = n.storeText(s, text)
		}
	}
}

// storeCode gives a number that has a name to the columns of an entry: text columns get the name.
func (n *named) storeCode(e int32, code int, names []string) {
	for ; e >= 0 && n.err == nil; e = n.entries[e].next {
		s := n.slot(e)
		switch {
		case s == nil:
		case s.conv == convText && code < len(names):
			s.vec.AppendString(names[code])
		case s.conv == convInt:
			s.vec.AppendInt(int64(code))
		default:
			n.fold = appendInt(n.fold[:0], code)
			n.err = n.storeText(s, n.fold)
		}
	}
}

// slot begins a value of an entry's column; nil when the record gave it one before: the first counts, because what an attacker can
// write into a log tends to come last.
func (n *named) slot(e int32) *namedSlot {
	s := &n.slots[n.entries[e].slot]
	if s.gen == n.gen {
		return nil
	}
	s.gen = n.gen
	n.set++
	if s.vec == nil {
		return nil
	}
	return s
}

// storeText appends a value's text. An empty one is NULL where it is no text.
func (n *named) storeText(s *namedSlot, value []byte) error {
	switch {
	case len(value) == 0 && !s.typ.Kind.IsText() && s.typ.Kind != types.Bytea:
		if s.required {
			return missing(n.schema.Cols[s.col], s.col == n.timeCol)
		}
		s.vec.AppendNull()
		return nil
	case s.conv == convTime:
		if t, k := n.times.parse(value); k == len(value) && k > 0 {
			s.vec.AppendInt(t)
			return nil
		}
		if t, ok := epochTime(value); ok {
			s.vec.AppendInt(int64(t))
			return nil
		}
	}
	return s.appendText(s.vec, value)
}

// addRest adds a field to the rest, as a string.
func (n *named) addRest(name, value []byte) {
	if n.err == nil && (bytes.IndexByte(value, 0) >= 0 || bytes.IndexByte(name, 0) >= 0) {
		n.err = n.restCell.nul()
	}
	if len(n.rest) == 0 {
		n.rest = append(n.rest, '{')
	} else {
		n.rest = append(n.rest, ',')
	}
	n.rest = append(appendJSONString(n.rest, name), ':')
	n.rest = appendJSONString(n.rest, value)
}

// appendJSONString appends s in quotes; bytes that are no UTF-8 stay as they are.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for {
		k := plainEnd(s, 0)
		dst = append(dst, s[:k]...)
		if k == len(s) {
			return append(dst, '"')
		}
		switch c := s[k]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		s = s[k+1:]
	}
}

const hexDigits = "0123456789abcdef"

func appendInt(dst []byte, i int) []byte {
	if i >= 10 {
		dst = appendInt(dst, i/10)
	}
	return append(dst, byte('0'+i%10))
}

// end finishes the record that begin began, of which text is the line: as a row, or, where err or what it holds says so, as a reject.
func (n *named) end(b *batch.Batch, text []byte, err error, rej *[]Reject) {
	if err == nil {
		err = n.finish(b)
	} else {
		b.Truncate(b.N)
	}
	if err != nil {
		*rej = append(*rej, Reject{Raw: clip(text), Err: err})
	}
}

// finish completes the row with NULLs for the columns that had no field, or takes it back and says why.
func (n *named) finish(b *batch.Batch) error {
	if n.err == nil && n.set != len(n.slots) {
		n.complete()
	}
	if n.err == nil && n.keepRest {
		n.err = n.finishRest(b)
	}
	if n.err != nil {
		b.Truncate(b.N)
		return n.err
	}
	b.N++
	return nil
}

func (n *named) complete() {
	for i := range n.slots {
		s := &n.slots[i]
		switch {
		case s.gen == n.gen:
		case s.required:
			n.err = missing(n.schema.Cols[s.col], s.col == n.timeCol)
			return
		default:
			s.vec.AppendNull()
		}
	}
}

// finishRest appends the other fields, NULL when there are none.
func (n *named) finishRest(b *batch.Batch) error {
	v := &b.Cols[n.restCol]
	if len(n.rest) == 0 {
		if n.schema.Cols[n.restCol].NotNull {
			v.AppendString("{}")
		} else {
			v.AppendNull()
		}
		return nil
	}
	if !utf8.Valid(n.rest) {
		return n.restCell.badUTF8(n.rest)
	}
	v.AppendBytes(append(n.rest, '}'))
	return nil
}

// line returns the line at i without its end, and where the next one starts.
func line(payload []byte, i int) (text []byte, next int) {
	next = i + lineLen(payload[i:])
	return trimEOL(payload[i:next]), next
}

// from is what a column's FROM says, "" when there is none.
func (o *Options) from(col int) string {
	if col < len(o.From) {
		return o.From[col]
	}
	return ""
}

// knownParams is what onlyParams is told of a format with timestamps.
func knownParams(own ...string) []string { return append(slices.Clone(own), logTimeParams...) }
