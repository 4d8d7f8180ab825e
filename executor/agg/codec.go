package agg

import (
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// errState is the answer to bytes that no Append has written.
func errState(what string) error {
	return sqlerr.New(sqlerr.DataCorrupted, "aggregate state: %s", what)
}

// takeUvarint reads a number from the front of src.
func takeUvarint(src []byte) (uint64, []byte, error) {
	u, n := binary.Uvarint(src)
	if n <= 0 {
		return 0, nil, errState("number ends early")
	}
	return u, src[n:], nil
}

// takeVarint reads a signed number from the front of src.
func takeVarint(src []byte) (int64, []byte, error) {
	i, n := binary.Varint(src)
	if n <= 0 {
		return 0, nil, errState("number ends early")
	}
	return i, src[n:], nil
}

// takeWord reads eight little-endian bytes from the front of src.
func takeWord(src []byte) (uint64, []byte, error) {
	if len(src) < 8 {
		return 0, nil, errState("word ends early")
	}
	return binary.LittleEndian.Uint64(src), src[8:], nil
}

// takeBytes reads a length and so many bytes from the front of src.
func takeBytes(src []byte) (b, rest []byte, err error) {
	n, src, err := takeUvarint(src)
	if err != nil {
		return nil, nil, err
	}
	if n > uint64(len(src)) {
		return nil, nil, errState("bytes end early")
	}
	return src[:n], src[n:], nil
}

// appendBytes writes what takeBytes reads.
func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}
