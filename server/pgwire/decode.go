package pgwire

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// The messages of clients are cut here and not by pgproto3's Decode methods, which panic on some malformed input (a Bind
// whose value has length -2, an empty Query) and keep less of Postgres' wording. Their structs are pgproto3's.

// cursor reads fields of one message. After the first failure every read returns zero and err stays.
type cursor struct {
	b   []byte
	err *sqlerr.Error
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = sqlerr.New(sqlerr.ProtocolViolation, format, args...)
	}
	c.b = nil
}

// bytes returns the next n bytes, which alias the message.
func (c *cursor) bytes(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.fail("insufficient data left in message")
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *cursor) byte() byte {
	if b := c.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) int16() int16 {
	if b := c.bytes(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (c *cursor) int32() int32 {
	if b := c.bytes(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// string reads up to the next zero byte and copies.
func (c *cursor) string() string {
	i := bytes.IndexByte(c.b, 0)
	if i < 0 {
		c.fail("invalid string in message")
		return ""
	}
	s := c.b[:i]
	c.b = c.b[i+1:]
	if c.err == nil && !utf8.Valid(s) {
		c.err = invalidUTF8(s)
	}
	return string(s)
}

// int16s reads a count and that many numbers.
func (c *cursor) int16s() []int16 {
	n := int(uint16(c.int16()))
	if n*2 > len(c.b) {
		c.fail("insufficient data left in message")
		return nil
	}
	list := make([]int16, n)
	for i := range list {
		list[i] = c.int16()
	}
	return list
}

// end checks that the message has no more bytes and returns the first failure.
func (c *cursor) end() error {
	if c.err == nil && len(c.b) != 0 {
		c.fail("invalid message format")
	}
	if c.err == nil {
		return nil
	}
	return c.err
}

// invalidUTF8 names the first wrong bytes of s, or its first zero byte, as Postgres does.
func invalidUTF8(s []byte) *sqlerr.Error {
	rest := s
	for len(rest) > 0 && rest[0] != 0 {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n <= 1 {
			break
		}
		rest = rest[n:]
	}
	if len(rest) == 0 {
		return sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\"")
	}
	return sqlerr.New(sqlerr.CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\": 0x%02x", rest[0])
}

func decodeQuery(body []byte) (string, error) {
	c := cursor{b: body}
	s := c.string()
	return s, c.end()
}

func decodeParse(body []byte) (pgproto3.Parse, error) {
	c := cursor{b: body}
	m := pgproto3.Parse{Name: c.string(), Query: c.string()}
	n := int(uint16(c.int16()))
	if n*4 > len(c.b) {
		c.fail("insufficient data left in message")
		n = 0
	}
	for range n {
		m.ParameterOIDs = append(m.ParameterOIDs, uint32(c.int32()))
	}
	return m, c.end()
}

// decodeBind reads a Bind; its parameters alias body, nil is NULL.
func decodeBind(body []byte) (pgproto3.Bind, error) {
	c := cursor{b: body}
	m := pgproto3.Bind{DestinationPortal: c.string(), PreparedStatement: c.string()}
	m.ParameterFormatCodes = c.int16s()
	n := int(uint16(c.int16()))
	if n*4 > len(c.b) {
		c.fail("insufficient data left in message")
		n = 0
	}
	m.Parameters = make([][]byte, n)
	for i := range m.Parameters {
		if size := c.int32(); size != -1 {
			m.Parameters[i] = c.bytes(int(size))
		}
		if c.err != nil {
			return m, paramError(c.err, m.DestinationPortal, i)
		}
	}
	m.ResultFormatCodes = c.int16s()
	return m, c.end()
}

func decodeExecute(body []byte) (pgproto3.Execute, error) {
	c := cursor{b: body}
	m := pgproto3.Execute{Portal: c.string(), MaxRows: uint32(max(c.int32(), 0))}
	return m, c.end()
}

// decodeTarget reads the body of Describe and Close: 'S' or 'P', and a name.
func decodeTarget(body []byte) (kind byte, name string, err error) {
	c := cursor{b: body}
	kind, name = c.byte(), c.string()
	return kind, name, c.end()
}
