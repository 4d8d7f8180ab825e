package codec

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
)

// jsonOp says what follows a predicted key.
type jsonOp uint8

const (
	opAny        jsonOp = iota // a value of any kind, wanted when the node has a slot
	opSkipString               // the rest of a string that nobody wants
	opSkipNumber
	opText // the rest of a string for a text column
	opTime
	opInet
	opString // the rest of a string for a column of another type
	opInt    // a number for an integer column
	opOther  // a value that is not just one column's
)

const (
	separatorMax = 96  // longer keys are not predicted
	nodesMax     = 512 // more keys than this: learn anew
	nodeStart    = 0   // stands before the first key; no separator, only a successor
	nodeNone     = 1   // stands for a key that is not predicted
	objectEnd    = -1
)

// jsonNode is one key as it was last seen: the bytes from the end of the value before it to its own value, a string's opening
// quote included (`,"user":"`), so that one compare proves key, punctuation, white space and kind of value at once.
type jsonNode struct {
	lo, hi   uint64 // the first 16 bytes of the separator
	mlo, mhi uint64 // which of them there are
	tail     []byte // the others
	size     int    // of the separator
	next     int32  // the node that came after this one
	slot     int32  // -1: skipped
	key      []byte // as it was written; kept for opOther only
	op       jsonOp
}

// never is a separator that no bytes match.
var never = jsonNode{lo: 1, slot: -1}

// forget drops what was learned.
func (d *jsonDecoder) forget() {
	d.nodes = append(d.nodes[:0], never, never)
	d.byKey = [2]map[string]int32{{}, {}}
}

// setMulti says whether newlines are white space. Separators are learned for one of the two only.
func (d *jsonDecoder) setMulti(m bool) {
	if d.multi != m {
		d.multi = m
		d.forget()
	}
}

// object decodes the object at data[i] == '{' into row and returns the place behind it, or -1 with d.why set. Values that
// cannot be converted are noted in d.bad. Nothing behind the record's newline is accepted, but up to 15 bytes may be looked at.
func (d *jsonDecoder) object(data []byte, i, row int) int {
	d.gen++
	d.set, d.row, d.bad = 0, row, d.bad[:0]
	d.restBuf, d.restU0 = d.restBuf[:0], false
	cur, nodes := int32(nodeStart), d.nodes
	n := &nodes[nodeStart]
	for {
		next := n.next
		n = &nodes[next]
		if rest := data[i:]; len(rest) < 16 || binary.LittleEndian.Uint64(rest)&n.mlo != n.lo ||
			binary.LittleEndian.Uint64(rest[8:])&n.mhi != n.hi ||
			len(n.tail) != 0 && !bytes.HasPrefix(rest[16:], n.tail) {
			if i, cur = d.field(data, i, cur); i < 0 || cur == objectEnd {
				return i
			}
			nodes = d.nodes // learning may have moved them
			n = &nodes[cur]
		} else {
			i, cur = i+n.size, next
			switch n.op {
			case opSkipString:
				i = d.skipString(data, i)
			case opSkipNumber: // the separator does not prove the kind
				if end := shortNumber(data, i); end > 0 {
					i = end
				} else {
					i = d.skip(data, i)
				}
			case opText:
				i = d.text(data, i, d.begin(n.slot))
			case opTime:
				i = d.timestamp(data, i, n.slot)
			case opInet:
				i = d.inet(data, i, n.slot)
			case opString:
				i = d.stringValue(data, i, n.slot)
			case opInt:
				i = d.integer(data, i, n.slot)
			case opOther:
				i = d.other(data, i, n.slot, n.key)
			default:
				i = d.value(data, i, n.slot)
			}
			if i < 0 {
				return -1
			}
		}
		if i < len(data) && data[i] == '}' {
			return i + 1
		}
	}
}

// shortNumber returns the end of a whole number of one to seven digits that a comma or a brace follows, else 0.
func shortNumber(data []byte, i int) int {
	rest := data[i:]
	if len(rest) < 8 {
		return 0
	}
	k := markIndex(notDigit(binary.LittleEndian.Uint64(rest)))
	if k-1 > 6 || k == 0 || rest[k] != ',' && rest[k] != '}' || rest[0] == '0' && k > 1 {
		return 0
	}
	return i + k
}

// begin starts a value of the record; a second one for the same column takes the first one back.
func (d *jsonDecoder) begin(slot int32) *jsonSlot {
	s := &d.slots[slot]
	if s.gen == d.gen {
		d.again(slot)
		return s
	}
	s.gen = d.gen
	d.set++
	return s
}

func (d *jsonDecoder) again(slot int32) {
	if v := d.slots[slot].vec; v != nil {
		v.Truncate(d.row)
	}
	kept := d.bad[:0]
	for _, e := range d.bad {
		if e.slot != slot {
			kept = append(kept, e)
		}
	}
	d.bad = kept
}

// text decodes the rest of a string, i being behind its opening quote, into a text column; a string with an escape or near
// the payload's end takes the careful way.
func (d *jsonDecoder) text(data []byte, i int, s *jsonSlot) int {
	k, high := scanString(data[i:])
	end := i + k
	if end >= len(data) || data[end] != '"' {
		return d.escapedString(data, i, s)
	}
	if high != 0 && !utf8.Valid(data[i:end]) {
		d.bad = append(d.bad, slotError{s.index, s.badUTF8(data[i:end])})
		return end + 1
	}
	v := s.vec
	n := len(v.Buf)
	if cap(v.Buf)-n >= 32 && len(data)-i >= 32 && k <= 32 {
		// A copy of fixed size is two moves, not a call.
		buf := v.Buf[:n+32]
		*(*[32]byte)(buf[n:]) = *(*[32]byte)(data[i:])
		v.Buf = buf[:n+k]
	} else {
		v.Buf = append(v.Buf, data[i:end]...)
	}
	v.Off = append(v.Off, uint32(n+k))
	v.N++
	if len(v.Nulls) != 0 && len(v.Nulls)*64 < v.N {
		v.Nulls = append(v.Nulls, 0)
	}
	return end + 1
}

// timestamp decodes the rest of a string into a timestamptz column.
func (d *jsonDecoder) timestamp(data []byte, i int, slot int32) int {
	s := d.begin(slot)
	t, n := s.time.parse(data[i:])
	if n == 0 || i+n >= len(data) || data[i+n] != '"' {
		return d.escapedString(data, i, s)
	}
	pushInt(s.vec, t)
	return i + n + 1
}

// pushInt is AppendInt, inlined for the usual case.
func pushInt(v *batch.Vec, x int64) {
	if len(v.Nulls) != 0 {
		v.AppendInt(x)
		return
	}
	v.I64 = append(v.I64, x)
	v.N++
}

// inet decodes the rest of a string into an inet column.
func (d *jsonDecoder) inet(data []byte, i int, slot int32) int {
	s := d.begin(slot)
	end := plainEnd(data, i)
	if end < len(data) && data[end] == '"' {
		if a, ok := parseIPv4(data[i:end]); ok {
			s.vec.AppendBytes(a[:])
			return end + 1
		}
	}
	return d.escapedString(data, i, s)
}

// stringValue decodes the rest of a string into a column of any type.
func (d *jsonDecoder) stringValue(data []byte, i int, slot int32) int {
	return d.escapedString(data, i, d.begin(slot))
}

// integer decodes a number of up to seven digits that ends at a comma or brace; anything else takes the general way.
func (d *jsonDecoder) integer(data []byte, i int, slot int32) int {
	if end := shortNumber(data, i); end > 0 {
		v := int64(digits8(load(data, i) << (64 - 8*(end-i))))
		s := d.begin(slot)
		if inRange(s.typ.Kind, v) {
			pushInt(s.vec, v)
			return end
		}
	}
	return d.value(data, i, slot)
}

// learn remembers that key came after node cur with the given separator, at data[from:value]. It returns the key's node.
func (d *jsonDecoder) learn(data []byte, from, value int, key []byte, cur int32) int32 {
	first := 0
	if cur == nodeStart {
		first = 1
	}
	id, known := d.byKey[first][string(key)]
	if !known {
		if len(d.nodes) >= nodesMax {
			d.forget()
			cur = nodeNone
		}
		id = int32(len(d.nodes))
		d.nodes = append(d.nodes, never)
		d.byKey[first][string(key)] = id
		d.nodes[id].slot = -1
		if slot, ok := d.byName[string(key)]; ok {
			d.nodes[id].slot = slot
		} else if d.keepRest {
			d.nodes[id].slot = slotRest
		}
		if d.nodes[id].slot <= slotRest {
			d.nodes[id].key = bytes.Clone(key)
		}
	}
	d.nodes[cur].next = id
	n := &d.nodes[id]
	op := d.opFor(data, value, n.slot)
	switch {
	case known && n.size > 0 && n.op != op:
		op = opAny // the kind of value changes: no guess
	case op != opAny && op != opOther && data[value] == '"':
		value++
	}
	n.op = op
	n.setSeparator(data[from:value])
	return id
}

// opFor chooses the guess for a value that begins at data[i].
func (d *jsonDecoder) opFor(data []byte, i int, slot int32) jsonOp {
	switch {
	case slot <= slotRest:
		return opOther
	case i >= len(data):
		return opAny
	}
	isString, isNumber := data[i] == '"', data[i] == '-' || data[i]-'0' <= 9
	if slot < 0 {
		switch {
		case isString:
			return opSkipString
		case isNumber:
			return opSkipNumber
		}
		return opAny
	}
	s := &d.slots[slot]
	switch {
	case s.vec == nil:
		return opAny
	case isNumber && s.conv == convInt:
		return opInt
	case !isString || s.conv == convJSON:
		return opAny
	case s.conv == convText:
		return opText
	case s.conv == convTime:
		return opTime
	case s.conv == convInet:
		return opInet
	}
	return opString
}

func (n *jsonNode) setSeparator(sep []byte) {
	if len(sep) > separatorMax {
		n.lo, n.mlo, n.hi, n.mhi, n.tail, n.size = never.lo, 0, 0, 0, nil, 0
		return
	}
	var b, m [16]byte
	for i := range min(16, len(sep)) {
		b[i], m[i] = sep[i], 0xff
	}
	n.lo, n.hi, n.mlo, n.mhi = load(b[:], 0), load(b[:], 8), load(m[:], 0), load(m[:], 8)
	n.tail = append(n.tail[:0], sep[min(16, len(sep)):]...)
	n.size = len(sep)
}
