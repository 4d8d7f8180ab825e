package fn

import (
	"crypto/sha256"
	"crypto/sha512"
	"math"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// byteaDefs are the functions of octets, beside those of hash.go.
func byteaDefs() []Def {
	sum := func(f func([]byte) []byte) eval {
		return func(_ *Ctx, a values) (value, error) { return stored(types.Bytea, string(f([]byte(a[0].S)))), nil }
	}
	b1 := args{tBytea}
	return []Def{
		def("sha224", b1, tBytea, sum(func(b []byte) []byte { h := sha256.Sum224(b); return h[:] })).
			about("SHA-224.", `encode(sha224('abc'::bytea), 'hex')`, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
		def("sha384", b1, tBytea, sum(func(b []byte) []byte { h := sha512.Sum384(b); return h[:] })).
			about("SHA-384.", `substr(encode(sha384('abc'::bytea), 'hex'), 1, 16)`, "cb00753f45a35e8b"),
		def("sha512", b1, tBytea, sum(func(b []byte) []byte { h := sha512.Sum512(b); return h[:] })).
			about("SHA-512.", `substr(encode(sha512('abc'::bytea), 'hex'), 1, 16)`, "ddaf35a193617aba"),
		def("get_byte", args{tBytea, tInt4}, tInt4, func(_ *Ctx, a values) (value, error) {
			if err := within(a[1].I, len(a[0].S)); err != nil {
				return value{}, err
			}
			return int4(int64(a[0].S[a[1].I]))
		}).about("The octet at an offset.", `get_byte('\x1234567890'::bytea, 4)`, "144"),
		def("set_byte", args{tBytea, tInt4, tInt4}, tBytea, func(_ *Ctx, a values) (value, error) {
			if err := within(a[1].I, len(a[0].S)); err != nil {
				return value{}, err
			}
			b := []byte(a[0].S)
			b[a[1].I] = byte(a[2].I)
			return stored(types.Bytea, string(b)), nil
		}).about("With another octet at an offset.", `set_byte('\x1234567890'::bytea, 4, 64)`, `\x1234567840`),
		def("get_bit", args{tBytea, tInt8}, tInt4, func(_ *Ctx, a values) (value, error) {
			if err := within(a[1].I, 8*len(a[0].S)); err != nil {
				return value{}, err
			}
			return int4(int64(a[0].S[a[1].I/8] >> (a[1].I % 8) & 1))
		}).about("The bit at an offset; bit 0 is the least of the first octet.", `get_bit('\x1234567890'::bytea, 30)`, "1"),
		def("set_bit", args{tBytea, tInt8, tInt4}, tBytea, setBit).about("With another bit at an offset.", `set_bit('\x1234567890'::bytea, 30, 0)`, `\x1234563890`),
		def("bit_count", b1, tInt8, func(_ *Ctx, a values) (value, error) {
			n := 0
			for i := range len(a[0].S) {
				n += bits.OnesCount8(a[0].S[i])
			}
			return int8(int64(n))
		}).about("Number of bits that are set.", `bit_count('\x1234567890'::bytea)`, "15"),
		def("bit_length", b1, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(8 * len(a[0].S))) }).
			about("Number of bits.", `bit_length('\x1234'::bytea)`, "16"),
		def("substring", args{tBytea, tInt4}, tBytea, byteSlice).about("From a position on, counted from 1.", `substring('\x1234567890'::bytea, 3)`, `\x567890`),
		def("substring", args{tBytea, tInt4, tInt4}, tBytea, byteSlice).about("So many octets from a position on.", `substring('\x1234567890'::bytea, 3, 2)`, `\x5678`),
		def("substr", args{tBytea, tInt4}, tBytea, byteSlice).about("As substring."),
		def("substr", args{tBytea, tInt4, tInt4}, tBytea, byteSlice).about("As substring."),
		def("overlay", args{tBytea, tBytea, tInt4}, tBytea, overlay(byteSlice)).about("Replaces as many octets as the second has, from a position on."),
		def("overlay", args{tBytea, tBytea, tInt4, tInt4}, tBytea, overlay(byteSlice)).
			about("Replaces so many octets from a position on.", `overlay('\x1234567890'::bytea, '\x0203'::bytea, 2, 3)`, `\x12020390`),
		def("overlay", args{tText, tText, tInt4}, tText, overlay(substr)).about("Replaces as many characters as the second has, from a position on.", "overlay('Txxxxas', 'hom', 2)", "Thomxas"),
		def("overlay", args{tText, tText, tInt4, tInt4}, tText, overlay(substr)).
			about("Replaces so many characters from a position on.", "overlay('Txxxxas' placing 'hom' from 2 for 4)", "Thomas"),
	}
}

// within checks an offset into something of n parts.
func within(i int64, n int) error {
	if i < 0 || i >= int64(n) {
		return sqlerr.New("2202E", "index %d out of valid range, 0..%d", i, n-1)
	}
	return nil
}

func setBit(_ *Ctx, a values) (value, error) {
	if err := within(a[1].I, 8*len(a[0].S)); err != nil {
		return value{}, err
	}
	if a[2].I != 0 && a[2].I != 1 {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "new bit must be 0 or 1")
	}
	b := []byte(a[0].S)
	b[a[1].I/8] = b[a[1].I/8]&^(1<<(a[1].I%8)) | byte(a[2].I)<<(a[1].I%8)
	return stored(types.Bytea, string(b)), nil
}

// byteSlice is substring of octets.
func byteSlice(_ *Ctx, a values) (value, error) {
	start, end := a[1].I, int64(math.MaxInt64)
	if len(a) > 2 {
		if a[2].I < 0 {
			return value{}, sqlerr.New("22011", "negative substring length not allowed")
		}
		end = start + a[2].I
	}
	n := int64(len(a[0].S))
	start, end = min(max(start, 1), n+1), min(max(end, 1), n+1)
	return stored(types.Bytea, a[0].S[start-1:max(start, end)-1]), nil
}

// overlay replaces a part; cut is the substring of the kind.
func overlay(cut eval) eval {
	return func(ctx *Ctx, a values) (value, error) {
		start := a[2].I
		if start <= 0 {
			return value{}, sqlerr.New("22011", "negative substring length not allowed")
		}
		count := int64(len(a[1].S))
		if a[0].Type.Kind != types.Bytea {
			count = int64(len([]rune(a[1].S)))
		}
		if len(a) > 3 {
			count = a[3].I
		}
		if start+count > math.MaxInt32 || start+count < math.MinInt32 {
			return value{}, types.OutOfRange(types.Int4)
		}
		head, err := cut(ctx, values{a[0], types.NewInt(types.Int4, 1), types.NewInt(types.Int4, start-1)})
		if err != nil {
			return value{}, err
		}
		tail, err := cut(ctx, values{a[0], types.NewInt(types.Int4, start+count)})
		return stored(head.Type.Kind, head.S+a[1].S+tail.S), err
	}
}
