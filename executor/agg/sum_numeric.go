package agg

import (
	"encoding/binary"
	"math/big"
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// sumNumeric adds decimals exactly. Values of up to 18 digits are added as 128-bit integers of a common scale; longer
// ones, NaN and infinities, and what no longer fits, as decimal text on the heap. Words: low and high half of the integer,
// its scale, number of values, heap block of the text, heap block of the counts of scales (see scales.go), which is missing
// while all values have the integer's scale.
type sumNumeric struct{ avg bool }

const (
	numLo, numHi, numScale, numCount, numText, numScales, numWords = 0, 1, 2, 3, 4, 5, 6
	// smallDigits bounds the digits, and the scale, of a value on the quick path: two such aligned values fit 128 bits.
	smallDigits = 18
	// scalesMark stands where a state has its scale when values differ in theirs.
	scalesMark = smallDigits + 1
)

func (sumNumeric) Words() int       { return numWords }
func (sumNumeric) Type() types.Type { return types.T(types.Numeric) }

func (sumNumeric) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		if err := addNumeric(s, s.word(off, g), v.Bytes(i)); err != nil {
			return err
		}
	}
	return nil
}

// addNumeric adds a value to the state whose words start at at.
func addNumeric(s *Slab, at int, text []byte) error {
	x, scale, ok := smallDecimal(text)
	if !ok {
		scale := scaleOf(text)
		if err := countScale(s, at, scale, 1); err != nil || scale >= scaleNaN {
			return err
		}
		return addText(s, at, string(text))
	}
	if w := s.Words[at : at+numWords]; w[numScales] == 0 && w[numScale] == uint64(scale) {
		w[numCount]++
		return addWide(s, at, [2]uint64{uint64(x), uint64(x >> 63)})
	}
	if err := countScale(s, at, uint32(scale), 1); err != nil {
		return err
	}
	return addSmall(s, at, x, scale)
}

// addFiniteText adds a decimal that has been counted already.
func addFiniteText(s *Slab, at int, text []byte) error {
	if x, scale, ok := smallDecimal(text); ok {
		return addSmall(s, at, x, scale)
	}
	return addText(s, at, string(text))
}

// addSmall adds x / 10^scale, which has been counted already.
func addSmall(s *Slab, at int, x int64, scale int) error {
	w := s.Words[at : at+numWords]
	if uint64(scale) != w[numScale] {
		if uint64(scale) < w[numScale] {
			x128 := scaleUp(uint64(x), uint64(x>>63), int(w[numScale])-scale)
			return addWide(s, at, x128)
		}
		if err := rescale(s, at, scale); err != nil {
			return err
		}
	}
	return addWide(s, at, [2]uint64{uint64(x), uint64(x >> 63)})
}

// addWide adds a 128-bit integer of the state's scale; a sum that would overflow moves to the heap first.
func addWide(s *Slab, at int, x [2]uint64) error {
	w := s.Words[at : at+numWords]
	lo, carry := bits.Add64(w[numLo], x[0], 0)
	hi := w[numHi] + x[1] + carry
	if int64((w[numHi]^hi)&(x[1]^hi)) < 0 {
		if err := spillInt(s, at); err != nil {
			return err
		}
		lo, hi = x[0], x[1]
	}
	w[numLo], w[numHi] = lo, hi
	return nil
}

// rescale raises the scale of the state's integer; one that would not fit moves to the heap.
func rescale(s *Slab, at, scale int) error {
	w := s.Words[at : at+numWords]
	// 10^18 < 2^60: an integer of 67 bits can be raised by any step.
	if sign := uint64(int64(w[numHi]) >> 63); w[numHi]^sign >= 4 {
		if err := spillInt(s, at); err != nil {
			return err
		}
	}
	up := scaleUp(w[numLo], w[numHi], scale-int(w[numScale]))
	w[numLo], w[numHi], w[numScale] = up[0], up[1], uint64(scale)
	return nil
}

// scaleUp multiplies a 128-bit integer by 10^n; the caller knows that it fits.
func scaleUp(lo, hi uint64, n int) [2]uint64 {
	for range n {
		carry, l := bits.Mul64(lo, 10)
		lo, hi = l, hi*10+carry
	}
	return [2]uint64{lo, hi}
}

// spillInt adds the state's integer to its text and clears it; the scale stays.
func spillInt(s *Slab, at int) error {
	w := s.Words[at : at+numWords]
	text := decimalText(int128(w[numLo], w[numHi]), int(w[numScale]))
	w[numLo], w[numHi] = 0, 0
	return addText(s, at, text)
}

// addText adds a decimal to the state's text.
func addText(s *Slab, at int, text string) error {
	if old := s.block(at + numText); old != nil {
		sum, err := addDecimals(string(old), text)
		if err != nil {
			return err
		}
		text = sum
	}
	return s.setBlock(at+numText, []byte(text))
}

// smallDecimal reads plain decimal text of at most smallDigits digits.
func smallDecimal(text []byte) (x int64, scale int, ok bool) {
	neg := len(text) > 0 && text[0] == '-'
	if neg {
		text = text[1:]
	}
	if len(text) == 0 || len(text) > smallDigits+1 {
		return 0, 0, false
	}
	point := -1
	for i, c := range text {
		switch {
		case c >= '0' && c <= '9':
			x = x*10 + int64(c-'0')
		case c == '.' && point < 0:
			point = i
		default:
			return 0, 0, false
		}
	}
	if point >= 0 {
		scale = len(text) - 1 - point
	} else if len(text) > smallDigits {
		return 0, 0, false
	}
	if neg {
		x = -x
	}
	return x, scale, true
}

func (k sumNumeric) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	from, at := src.word(off, sg), dst.word(off, dg)
	f, d := src.Words[from:from+numWords], dst.Words[at:at+numWords]
	if f[numCount] == 0 {
		return nil
	}
	if d[numCount] == 0 {
		d[numScale] = f[numScale]
	}
	if d[numScales]|f[numScales]|f[numText] == 0 && d[numScale] == f[numScale] {
		d[numCount] += f[numCount]
		return addWide(dst, at, [2]uint64{f[numLo], f[numHi]})
	}
	text, err := finiteTotal(src, from)
	if err != nil {
		return err
	}
	for _, c := range scalesOf(src, from) {
		if err := countScale(dst, at, c.scale, c.n); err != nil {
			return err
		}
	}
	return addFiniteText(dst, at, []byte(text))
}

func (k sumNumeric) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	n := s.Words[at+numCount]
	if n == 0 {
		return null(k.Type())
	}
	text, err := k.total(s, at)
	if err != nil {
		return types.Value{}, err
	}
	if k.avg {
		return numericQuotient(text, n)
	}
	return types.NewBytes(types.Numeric, text), nil
}

func (k sumNumeric) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	w := s.Words[at : at+numWords]
	dst = binary.AppendUvarint(dst, w[numCount])
	if w[numCount] == 0 {
		return dst
	}
	if w[numText]|w[numScales] == 0 {
		dst = binary.AppendUvarint(dst, w[numScale])
		dst = appendBytes(dst, int128(w[numLo], w[numHi]).Append(nil, 10))
		return append(dst, 0)
	}
	finite, err := finiteTotal(s, at)
	if err != nil { // cannot be: both parts are plain decimals
		finite = "0"
	}
	counts := scalesOf(s, at)
	if len(counts) > 1 || counts[0].scale > smallDigits {
		return appendScales(dst, counts, finite)
	}
	x, _, _ := parseDecimal(atScale(finite, int(counts[0].scale)))
	dst = binary.AppendUvarint(dst, uint64(counts[0].scale))
	if x.BitLen() <= wideBits {
		dst = appendBytes(dst, x.Append(nil, 10))
		return append(dst, 0)
	}
	dst = appendBytes(dst, []byte("0"))
	return appendBytes(dst, []byte(atScale(finite, int(counts[0].scale))))
}

// wideBits bounds the bits of an integer that is read as one.
const wideBits = 126

func (k sumNumeric) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	scale, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	at := s.word(off, gid)
	if scale == scalesMark {
		return loadScales(src, s, at, n)
	}
	digits, src, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	text, src, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	if scale > smallDigits || len(digits) > 40 {
		return nil, errState("bad decimal")
	}
	x, _, ok := parseDecimal(string(digits))
	if !ok || x.BitLen() > 127 {
		return nil, errState("bad decimal")
	}
	sum := decimalText(x, int(scale))
	if len(text) == 0 {
		return src, putNumeric(s, at, []scaleCount{{uint32(scale), n}}, sum)
	}
	return src, loadWide(s, at, scaleCount{uint32(scale), n}, sum, text)
}

// loadWide puts a sum that has a part in text, of values whose scale is at most that of the parts.
func loadWide(s *Slab, at int, count scaleCount, sum string, text []byte) error {
	if len(text) > decimalTextMax {
		return errState("bad decimal")
	}
	textScale := scaleOf(text)
	if textScale < scaleNaN {
		if _, _, ok := parseDecimal(string(text)); !ok {
			return errState("bad decimal")
		}
		var err error
		if sum, err = addDecimals(sum, string(text)); err != nil {
			return err
		}
	} else if t := string(text); t != "NaN" && t != "Infinity" && t != "-Infinity" {
		return errState("bad decimal")
	}
	count.scale = max(count.scale, textScale)
	return putNumeric(s, at, []scaleCount{count}, sum)
}

// words128 is the inverse of int128, for numbers of at most 127 bits.
func words128(x *big.Int) (lo, hi uint64) {
	abs := new(big.Int).Abs(x)
	lo = new(big.Int).And(abs, new(big.Int).SetUint64(1<<64-1)).Uint64()
	hi = new(big.Int).Rsh(abs, 64).Uint64()
	if x.Sign() < 0 {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi = 0 - hi - borrow
	}
	return lo, hi
}
