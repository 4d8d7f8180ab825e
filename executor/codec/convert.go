package codec

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// conv says which fast path a column's values take; convOther goes through types.ParseText.
type conv uint8

const (
	convOther conv = iota
	convText
	convInt
	convFloat
	convBool
	convTime
	convInet
	convNumeric
	convJSON
)

// convOf chooses the fast path of a type. Types with a modifier (varchar(10)) are left to ParseText, which applies it.
func convOf(t types.Type) conv {
	if t.Mod != 0 {
		return convOther
	}
	switch t.Kind {
	case types.Text, types.Varchar:
		return convText
	case types.Int2, types.Int4, types.Int8, types.OID:
		return convInt
	case types.Float8:
		return convFloat
	case types.Bool:
		return convBool
	case types.TimestampTZ:
		return convTime
	case types.Inet:
		return convInet
	case types.Numeric:
		return convNumeric
	case types.JSON, types.JSONB:
		return convJSON
	}
	return convOther
}

// cell converts the text of one column's values. Each decoder has one per column: the time parser keeps state.
type cell struct {
	name string
	typ  types.Type
	conv conv
	time timeParser
}

func newCell(c types.Column) cell { return cell{name: c.Name, typ: c.Type, conv: convOf(c.Type)} }

// appendText appends the value that s spells in Postgres' text form; s is not retained. On error v is unchanged.
func (c *cell) appendText(v *batch.Vec, s []byte) error {
	switch c.conv {
	case convText:
		if !utf8.Valid(s) {
			return c.badUTF8(s)
		}
		if bytes.IndexByte(s, 0) >= 0 {
			return c.nul()
		}
		v.AppendBytes(s)
		return nil
	case convInt:
		if i, ok := parseInt(s); ok && inRange(c.typ.Kind, i) {
			v.AppendInt(i)
			return nil
		}
	case convFloat:
		if f, ok := parseFloat(s); ok {
			v.AppendFloat(f)
			return nil
		}
	case convTime:
		if t, n := c.time.parse(s); n == len(s) && n > 0 {
			v.AppendInt(t)
			return nil
		}
	case convInet:
		if a, ok := parseIPv4(s); ok {
			v.AppendBytes(a[:])
			return nil
		}
	case convBool:
		if len(s) == 1 && (s[0] == 't' || s[0] == 'f') {
			appendBool(v, s[0] == 't')
			return nil
		}
	}
	return c.parse(v, s)
}

func appendBool(v *batch.Vec, b bool) {
	var i int64
	if b {
		i = 1
	}
	v.AppendInt(i)
}

// parse is the way without shortcuts.
func (c *cell) parse(v *batch.Vec, s []byte) error {
	if !utf8.Valid(s) {
		return c.badUTF8(s)
	}
	if bytes.IndexByte(s, 0) >= 0 {
		return c.nul()
	}
	x, err := types.ParseText(c.typ, string(s), nil)
	if err != nil {
		return c.fail(sqlerr.As(err))
	}
	v.AppendValue(x)
	return nil
}

// messageMax bounds what a reject's message shows of a value, in bytes.
const messageMax = 200

// fail names the column and keeps a message that quotes a megabyte from being one.
func (c *cell) fail(e *sqlerr.Error) *sqlerr.Error {
	f := *e
	f.Message = `column "` + c.name + `": ` + beginning(e.Message, messageMax)
	return &f
}

func (c *cell) nul() error {
	return c.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire, `invalid byte sequence for encoding "UTF8": 0x00`))
}

func (c *cell) badUTF8(s []byte) error {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRune(s[i:])
		if r == utf8.RuneError && n <= 1 {
			return c.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire,
				`invalid byte sequence for encoding "UTF8": 0x%02x at byte %d`, s[i], i))
		}
		i += n
	}
	return c.fail(sqlerr.New(sqlerr.CharacterNotInRepertoire, `invalid byte sequence for encoding "UTF8"`))
}

// badValue is Postgres' complaint of its input functions.
func (c *cell) badValue(s []byte) error {
	return c.fail(sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid input syntax for type %s: %q", c.typ,
		beginning(string(s[:min(len(s), messageMax)]), 64)))
}

func (c *cell) outOfRange(s []byte) error {
	return c.fail(sqlerr.New(sqlerr.NumericValueOutOfRange, "value %q is out of range for type %s",
		beginning(string(s[:min(len(s), messageMax)]), 64), c.typ))
}

// missing is the error of a required column without a value.
func missing(col types.Column, isTime bool) error {
	if isTime {
		return sqlerr.New(sqlerr.EventTimeMissing, `column "%s": the event time is missing`, col.Name)
	}
	return sqlerr.New(sqlerr.NotNullViolation, `null value in column "%s" violates not-null constraint`, col.Name)
}

// beginning cuts s to at most n bytes, at a rune's border.
func beginning(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}

// parseInt reads an optional minus and up to 18 digits: what fits without a check for overflow.
func parseInt(s []byte) (int64, bool) {
	i := 0
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		i = 1
	}
	if len(s) == i || len(s)-i > 18 {
		return 0, false
	}
	var v int64
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		v = v*10 + int64(d)
	}
	if neg {
		v = -v
	}
	return v, true
}

func inRange(k types.Kind, i int64) bool {
	switch k {
	case types.Int2:
		return i == int64(int16(i))
	case types.Int4:
		return i == int64(int32(i))
	case types.OID:
		return i == int64(uint32(i))
	}
	return true
}

var float10 = [23]float64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
	1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// parseFloat reads a decimal. Up to 15 digits over a power of ten up to 1e22 are exact with one division (Clinger);
// everything else is strconv's, except the forms that Postgres does not have (hexadecimal, underscores, infinities).
func parseFloat(s []byte) (float64, bool) {
	i, neg := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, neg = 1, true
	}
	var m int64
	digits, scale, point := 0, 0, false
	for ; i < len(s); i++ {
		if d := s[i] - '0'; d <= 9 {
			m = m*10 + int64(d)
			if digits++; digits > 15 {
				return slowFloat(s)
			}
			if point {
				scale++
			}
			continue
		}
		if s[i] != '.' || point || digits == 0 {
			return slowFloat(s)
		}
		point = true
	}
	if digits == 0 {
		return 0, false
	}
	f := float64(m) / float10[scale]
	if neg {
		f = -f
	}
	return f, true
}

func slowFloat(s []byte) (float64, bool) {
	for _, c := range s {
		if c-'0' > 9 && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return 0, false
		}
	}
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil
}

// parseIPv4 returns the stored form of a dotted quad: prefix length 32 and four octets.
func parseIPv4(s []byte) (a [5]byte, ok bool) {
	a[0] = 32
	if len(s) < 7 || len(s) > 15 {
		return a, false
	}
	part, v, digits := 1, 0, 0
	for _, c := range s {
		if d := c - '0'; d <= 9 {
			v = v*10 + int(d)
			digits++
			continue
		}
		if c != '.' || digits == 0 || v > 255 || part == 4 {
			return a, false
		}
		a[part] = byte(v)
		part, v, digits = part+1, 0, 0
	}
	if part != 4 || digits == 0 || v > 255 {
		return a, false
	}
	a[4] = byte(v)
	return a, true
}
