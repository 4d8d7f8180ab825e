package codec

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// value decodes the value at data[i], perhaps after white space, into a slot (-1: nobody wants it) and returns the place
// behind it or -1.
func (d *jsonDecoder) value(data []byte, i int, slot int32) int {
	if slot < 0 {
		return d.skip(data, i)
	}
	i = skipSpace(data, i, d.multi)
	if i < len(data) && data[i] == '"' && d.slots[slot].conv != convJSON && d.slots[slot].vec != nil {
		s := d.begin(slot)
		if s.conv == convText {
			return d.text(data, i+1, s)
		}
		return d.escapedString(data, i+1, s)
	}
	d.seenU0 = false
	end := d.skip(data, i)
	if end < 0 {
		return -1
	}
	s := d.begin(slot)
	if err := d.store(s, data[i:end]); err != nil {
		d.bad = append(d.bad, slotError{slot, err})
	}
	return end
}

// escapedString decodes the rest of a string, i being behind its opening quote, into any column but JSON ones.
func (d *jsonDecoder) escapedString(data []byte, i int, s *jsonSlot) int {
	end := plainEnd(data, i)
	raw := data[i:end]
	var err error
	if end < len(data) && data[end] == '"' {
		end++
	} else {
		if end = d.skipString(data, end); end < 0 {
			return -1
		}
		if what := d.unescape(data, i, end-1-i); what != "" {
			err = s.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire, "unsupported Unicode escape sequence: %s", what))
		}
		raw = d.buf
	}
	if err == nil {
		err = s.appendText(s.vec, raw)
	}
	if err != nil {
		d.bad = append(d.bad, slotError{s.index, err})
	}
	return end
}

// store converts a checked value that is not a string, or any value for a JSON column.
func (d *jsonDecoder) store(s *jsonSlot, raw []byte) error {
	if raw[0] == 'n' {
		if s.required {
			return missing(d.schema.Cols[s.col], s.col == d.timeCol)
		}
		s.vec.AppendNull()
		return nil
	}
	if s.vec == nil {
		return nil
	}
	isNumber := raw[0] == '-' || raw[0]-'0' <= 9
	switch {
	case s.conv == convJSON:
		return d.storeJSON(s, raw)
	case s.conv == convText:
		return s.appendText(s.vec, raw)
	case s.conv == convBool && !isNumber && raw[0] != '{' && raw[0] != '[':
		appendBool(s.vec, raw[0] == 't')
		return nil
	case raw[0] == '[' && s.typ.Kind == types.Array:
		literal, err := appendArrayLiteral(nil, raw, s.typ.Elem, 0)
		if err != nil {
			return s.badValue(raw)
		}
		return s.appendText(s.vec, literal)
	case raw[0] == '{' || raw[0] == '[':
		if s.typ.Kind.IsText() {
			return s.appendText(s.vec, raw)
		}
		return s.badValue(raw)
	case !isNumber:
		return s.appendText(s.vec, raw)
	}
	return s.storeNumber(raw)
}

// storeJSON keeps a subtree's text as it came.
func (d *jsonDecoder) storeJSON(s *jsonSlot, raw []byte) error {
	if !utf8.Valid(raw) {
		return s.badUTF8(raw)
	}
	if d.seenU0 && s.typ.Kind == types.JSONB {
		return s.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire,
			`unsupported Unicode escape sequence: \u0000 cannot be converted to text`))
	}
	s.vec.AppendBytes(raw)
	return nil
}

// storeNumber converts a JSON number.
func (c *jsonSlot) storeNumber(raw []byte) error {
	switch c.conv {
	case convInt:
		return c.storeInteger(raw)
	case convFloat:
		if f, ok := parseFloat(raw); ok {
			c.vec.AppendFloat(f)
			return nil
		}
		return c.outOfRange(raw)
	case convNumeric:
		if raw[0] != '-' && len(raw) <= 1000 && bytes.IndexByte(raw, 'e') < 0 && bytes.IndexByte(raw, 'E') < 0 {
			c.vec.AppendBytes(raw)
			return nil
		}
	case convTime:
		return c.storeEpoch(raw)
	}
	if c.typ.Kind == types.Timestamp {
		return c.storeEpoch(raw)
	}
	return c.parse(c.vec, raw)
}

// storeEpoch converts a number to a timestamp, see epochTime.
func (c *jsonSlot) storeEpoch(raw []byte) error {
	t, ok := epochTime(raw)
	if !ok {
		f, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || f < -1e17 || f > 1e17 {
			return c.outOfRange(raw)
		}
		if t, ok = epochTime(strconv.AppendFloat(nil, f, 'f', -1, 64)); !ok {
			return c.outOfRange(raw)
		}
	}
	c.vec.AppendInt(int64(t))
	return nil
}

// storeInteger converts a number with an integral value: 5, 5.0, 5e3.
func (c *jsonSlot) storeInteger(raw []byte) error {
	i, ok := parseInt(raw)
	if !ok {
		var err error
		if i, err = strconv.ParseInt(string(raw), 10, 64); err != nil {
			exact, integral := integralNumber(raw)
			if !integral {
				return c.badValue(raw)
			}
			if i, err = strconv.ParseInt(exact, 10, 64); err != nil {
				return c.outOfRange(raw)
			}
		}
	}
	if !inRange(c.typ.Kind, i) {
		return c.outOfRange(raw)
	}
	c.vec.AppendInt(i)
	return nil
}

// integralNumber writes a JSON number without point and exponent, ok false when it is not an integer. The result is cut
// short, but stays out of every integer's range, when the number has more than 40 digits.
func integralNumber(raw []byte) (string, bool) {
	digits, exp := raw, 0
	if e := bytes.IndexAny(raw, "eE"); e >= 0 {
		n, err := strconv.Atoi(string(raw[e+1:]))
		if err != nil {
			n = 1 << 20
			if raw[e+1] == '-' {
				n = -n
			}
		}
		digits, exp = raw[:e], n
	}
	out := make([]byte, 0, 48)
	if digits[0] == '-' {
		out, digits = append(out, '-'), digits[1:]
	}
	sign := len(out)
	if p := bytes.IndexByte(digits, '.'); p >= 0 {
		frac := digits[p+1:]
		exp -= len(frac)
		digits = append(append(make([]byte, 0, len(digits)), digits[:p]...), frac...)
	}
	digits = bytes.TrimLeft(digits, "0")
	for len(digits) > 0 && digits[len(digits)-1] == '0' {
		digits, exp = digits[:len(digits)-1], exp+1
	}
	if len(digits) == 0 {
		return "0", true
	}
	if exp < 0 {
		return "", false
	}
	out = append(out, digits[:min(len(digits), 40)]...)
	for range min(exp, 40) {
		out = append(out, '0')
	}
	return string(out), len(out) > sign
}
