package codec

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// TestAppendVarint: it is the standard library's, whatever the number and the room.
func TestAppendVarint(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for i := range 200_000 {
		x := int64(r.Uint64()) >> r.IntN(64)
		if i%3 == 0 {
			x = int64(1)<<r.IntN(63) - int64(r.IntN(3))
		}
		dst := append(make([]byte, 0, r.IntN(30)), "before"...)
		if got, want := appendVarint(bytes.Clone(dst), x), binary.AppendVarint(dst, x); !bytes.Equal(got, want) {
			t.Fatalf("%d is %x, not %x", x, got, want)
		}
	}
}

// TestAppendPart: bytes are copied as they are, wherever they lie and however much room there is, and none are touched before them.
func TestAppendPart(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	buf := make([]byte, 300)
	for i := range buf {
		buf[i] = byte(r.Uint32())
	}
	for range 100_000 {
		from := r.IntN(len(buf))
		part := buf[from : from+min(r.IntN(1+r.IntN(40)), len(buf)-from)]
		if r.IntN(50) == 0 {
			part = buf[from:]
		}
		dst := append(make([]byte, 0, r.IntN(60)), "before"...)
		want := append(binary.AppendUvarint(bytes.Clone(dst), uint64(len(part))), part...)
		if got := appendPart(dst, buf, uint32(from), uint32(from+len(part))); !bytes.Equal(got, want) {
			t.Fatalf("%x is %x, not %x", part, got, want)
		}
	}
}
