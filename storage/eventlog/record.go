package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// The bounds of a record; docs/formats/eventlog.md.
const (
	payloadMax   = 64 << 20
	overheadMax  = 64 << 10
	bodyMax      = payloadMax + overheadMax
	bodyMin      = 13
	codecMax     = 255
	columnsMax   = 4096
	keyMax       = 1024
	recordHeader = 8

	recordVersion = 1
	kindLast      = 1 // the last record of an append
	kindMore      = 2 // more records of the same append follow
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn is the reason of every record that is not whole.
var errTorn = errors.New("record is not whole")

func torn(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errTorn}, args...)...)
}

// checkEntry refuses what the format cannot hold.
func checkEntry(e *Entry) error {
	switch {
	case len(e.Payload) > payloadMax:
		return fmt.Errorf("%w: the payload has %d bytes, the limit is %d; send it in parts", ErrTooLarge, len(e.Payload), payloadMax)
	case len(e.Codec) > codecMax:
		return fmt.Errorf("%w: the name of the format has %d bytes, the limit is %d", ErrTooLarge, len(e.Codec), codecMax)
	case len(e.Columns) > columnsMax:
		return fmt.Errorf("%w: %d columns, the limit is %d", ErrTooLarge, len(e.Columns), columnsMax)
	case len(e.Key) > keyMax:
		return fmt.Errorf("%w: the idempotency key has %d bytes, the limit is %d", ErrTooLarge, len(e.Key), keyMax)
	}
	for _, c := range e.Columns {
		if c < 0 || c > math.MaxInt32 {
			return fmt.Errorf("%w: column number %d", ErrTooLarge, c)
		}
	}
	return nil
}

// appendRecord encodes e, which checkEntry has passed.
func appendRecord(dst []byte, e *Entry, kind byte, key string) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHeader)...)
	dst = append(dst, recordVersion, kind)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(e.Arrival))
	dst = binary.AppendUvarint(dst, uint64(len(e.Codec)))
	dst = append(dst, e.Codec...)
	if e.Columns == nil {
		dst = append(dst, 0)
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(e.Columns))+1)
		for _, c := range e.Columns {
			dst = binary.AppendUvarint(dst, uint64(c))
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(key)))
	dst = append(dst, key...)
	dst = append(dst, e.Payload...)
	rec := dst[start:]
	binary.LittleEndian.PutUint32(rec, uint32(len(rec)-recordHeader))
	binary.LittleEndian.PutUint32(rec[4:], checksum(rec[:4], rec[recordHeader:]))
	return dst
}

func checksum(length, body []byte) uint32 {
	return crc32.Update(crc32.Checksum(length, castagnoli), castagnoli, body)
}

// bodyLength returns the length in a record header, an error when no record can have it.
func bodyLength(header []byte) (int, error) {
	n := binary.LittleEndian.Uint32(header)
	if n < bodyMin || n > bodyMax {
		return 0, torn("length %d", n)
	}
	return int(n), nil
}

// body is a decoded record. Its slices are parts of the bytes it was decoded from.
type body struct {
	kind       byte
	arrival    int64
	codec      []byte
	hasColumns bool
	columns    []byte // number of columns, then each, as uvarints; checked
	key        []byte
	payload    []byte
}

// decodeRecord checks a whole record: header and body.
func decodeRecord(rec []byte) (body, error) {
	if len(rec) < recordHeader+bodyMin {
		return body{}, torn("%d bytes", len(rec))
	}
	n, err := bodyLength(rec)
	if err != nil {
		return body{}, err
	}
	if n != len(rec)-recordHeader {
		return body{}, torn("length %d in %d bytes", n, len(rec))
	}
	if binary.LittleEndian.Uint32(rec[4:]) != checksum(rec[:4], rec[recordHeader:]) {
		return body{}, torn("checksum does not match")
	}
	return decodeBody(rec[recordHeader:])
}

func decodeBody(b []byte) (body, error) {
	if len(b) < bodyMin {
		return body{}, torn("body of %d bytes", len(b))
	}
	if b[0] != recordVersion { // the checksum holds: it was meant
		return body{}, fmt.Errorf("%w: a record of the event log has format version %d, this vigil reads version %d", ErrFormat, b[0], recordVersion)
	}
	r := body{kind: b[1], arrival: int64(binary.LittleEndian.Uint64(b[2:]))}
	if r.kind != kindLast && r.kind != kindMore {
		return body{}, torn("kind %d", r.kind)
	}
	b = b[10:]
	var err error
	if r.codec, b, err = takeBytes(b, codecMax); err != nil {
		return body{}, err
	}
	if r.columns, r.hasColumns, b, err = takeColumns(b); err != nil {
		return body{}, err
	}
	if r.key, b, err = takeBytes(b, keyMax); err != nil {
		return body{}, err
	}
	r.payload = b
	return r, nil
}

func takeUvarint(b []byte, limit uint64) (uint64, []byte, error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > limit {
		return 0, nil, torn("number out of bounds")
	}
	return v, b[n:], nil
}

func takeBytes(b []byte, limit uint64) (taken, rest []byte, err error) {
	n, b, err := takeUvarint(b, limit)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(b)) {
		return nil, nil, torn("%d bytes where %d are left", n, len(b))
	}
	return b[:n], b[n:], nil
}

func takeColumns(b []byte) (taken []byte, given bool, rest []byte, err error) {
	n, rest, err := takeUvarint(b, columnsMax+1)
	if err != nil {
		return nil, false, nil, err
	}
	for i := uint64(1); i < n; i++ {
		if _, rest, err = takeUvarint(rest, math.MaxInt32); err != nil {
			return nil, false, nil, err
		}
	}
	return b[:len(b)-len(rest)], n > 0, rest, nil
}

// columnList decodes what takeColumns has checked: nil when none was given.
func (r *body) columnList() []int {
	if !r.hasColumns {
		return nil
	}
	n, b, _ := takeUvarint(r.columns, columnsMax+1)
	list := make([]int, n-1)
	for i := range list {
		var c uint64
		c, b, _ = takeUvarint(b, math.MaxInt32)
		list[i] = int(c)
	}
	return list
}
