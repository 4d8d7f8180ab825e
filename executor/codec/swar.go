package codec

import (
	"encoding/binary"
	"math/bits"
)

// Words of eight bytes are examined at once ("SIMD within a register"). The tests below put their answer into the high
// bit of each byte; a byte above the lowest marked one may be marked wrongly, so callers use the lowest mark only.
const (
	ones  uint64 = 0x0101010101010101
	highs uint64 = 0x8080808080808080
)

// load reads eight bytes; one instruction and one bounds check.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i:]) }

// stringStop marks the bytes that end a plain run within a JSON string: the quote, the backslash, control characters.
// x^2 is below 0x21 exactly for control characters and the quote, which saves one of three tests.
func stringStop(x uint64) uint64 {
	return (((x ^ ones*0x02) - ones*0x21) | ((x ^ ones*0x5c) - ones)) &^ x & highs
}

// stringStop16 is the index of the first such byte in two words, 16 if there is none. The choice between the words is a
// conditional move, not a branch: where short strings end cannot be predicted.
func stringStop16(x, y uint64) int {
	m, n := stringStop(x), stringStop(y)
	k := 0
	if m == 0 {
		k = 8
	}
	if m == 0 {
		m = n
	}
	return k + bits.TrailingZeros64(m)>>3
}

// scanStringGo is scanString (scan_amd64.go) for other machines, and what tests compare it with.
func scanStringGo(s []byte) (n, high int) {
	var all uint64
	for rest := s; len(rest) >= 16; rest = rest[16:] {
		x, y := binary.LittleEndian.Uint64(rest), binary.LittleEndian.Uint64(rest[8:])
		all |= x | y
		k := stringStop16(x, y)
		if n += k; k < 16 {
			break
		}
	}
	if all&highs != 0 {
		high = 1
	}
	return n, high
}

// notDigit marks the bytes that are not ASCII digits.
func notDigit(x uint64) uint64 {
	y := x ^ ones*0x30
	return ((y + ones*0x76) | y) & highs
}

// markIndex is the index, 0 to 8, of the lowest marked byte.
func markIndex(m uint64) int { return bits.TrailingZeros64(m) >> 3 }

// digits8 is the value of eight ASCII digits, the first one in the lowest byte; zero bytes count as digit 0.
func digits8(x uint64) uint64 {
	x = (x & (ones * 0x0f)) * (10<<8 + 1) >> 8
	x = (x & 0x00ff00ff00ff00ff) * (100<<16 + 1) >> 16
	return (x & 0x0000ffff0000ffff) * (10000<<32 + 1) >> 32
}
