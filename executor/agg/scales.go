package agg

import (
	"encoding/binary"
	"slices"
	"strings"
)

// A sum of numeric has as many digits after the point as the value with the most of them. So that a value can be taken
// away again (Subtracter), the sum counts its values by their number of digits; those without one by the scales below.
// The counts lie on the heap once two differ: 4 bytes scale, 8 bytes number of values, each, ascending.

// scaleCount is so many values of one scale.
type scaleCount struct {
	scale uint32
	n     uint64
}

// The scales of values that have none, above all others.
const (
	scaleNaN    = 1<<16 + iota // NaN
	scalePosInf                // Infinity
	scaleNegInf                // -Infinity
)

const scaleBytes = 12

// scaleOf returns the scale of a stored numeric.
func scaleOf(text []byte) uint32 {
	if len(text) > 0 {
		switch c := text[len(text)-1]; {
		case c == 'N':
			return scaleNaN
		case c == 'y' && text[0] == '-':
			return scaleNegInf
		case c == 'y':
			return scalePosInf
		}
	}
	if point := slices.Index(text, '.'); point >= 0 {
		return uint32(len(text) - 1 - point)
	}
	return 0
}

// countScale adds n values of a scale to the state at at; do it before the values are added.
func countScale(s *Slab, at int, scale uint32, n uint64) error {
	w := s.Words[at : at+numWords]
	if w[numScales] == 0 {
		if w[numCount] == 0 && scale <= smallDigits {
			w[numScale] = uint64(scale)
		}
		if uint64(scale) == w[numScale] {
			w[numCount] += n
			return nil
		}
		if w[numCount] > 0 {
			var first [scaleBytes]byte
			putScale(first[:], scaleCount{uint32(w[numScale]), w[numCount]})
			if err := s.setBlock(at+numScales, first[:]); err != nil {
				return err
			}
		}
	}
	s.Words[at+numCount] += n
	return addScale(s, at+numScales, scaleCount{scale, n})
}

// addScale adds to the counts in the block of word w.
func addScale(s *Slab, w int, c scaleCount) error {
	b := s.block(w)
	i := 0
	for ; i < len(b); i += scaleBytes {
		at := getScale(b[i:])
		if at.scale == c.scale {
			at.n += c.n
			putScale(b[i:], at)
			return nil
		}
		if at.scale > c.scale {
			break
		}
	}
	var fresh [scaleBytes]byte
	putScale(fresh[:], c)
	return s.setBlock(w, slices.Insert(slices.Clone(b), i, fresh[:]...))
}

func getScale(b []byte) scaleCount {
	return scaleCount{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint64(b[4:])}
}

func putScale(b []byte, c scaleCount) {
	binary.LittleEndian.PutUint32(b, c.scale)
	binary.LittleEndian.PutUint64(b[4:], c.n)
}

// scalesOf returns the counts of a state, ascending.
func scalesOf(s *Slab, at int) []scaleCount {
	w := s.Words[at : at+numWords]
	if w[numScales] == 0 {
		if w[numCount] == 0 {
			return nil
		}
		return []scaleCount{{uint32(w[numScale]), w[numCount]}}
	}
	b := s.block(at + numScales)
	out := make([]scaleCount, 0, len(b)/scaleBytes)
	for ; len(b) > 0; b = b[scaleBytes:] {
		out = append(out, getScale(b))
	}
	return out
}

// resultScale returns the digits after the point that a sum shows, or the text of a sum that has no digits.
func resultScale(counts []scaleCount) (scale int, special string) {
	has := func(scale uint32) bool {
		return slices.ContainsFunc(counts, func(c scaleCount) bool { return c.scale == scale })
	}
	switch {
	case has(scaleNaN), has(scalePosInf) && has(scaleNegInf):
		return 0, "NaN"
	case has(scalePosInf):
		return 0, "Infinity"
	case has(scaleNegInf):
		return 0, "-Infinity"
	}
	return finiteScale(counts), ""
}

// finiteScale is the largest number of digits after the point.
func finiteScale(counts []scaleCount) int {
	scale := 0
	for _, c := range counts {
		if c.scale < scaleNaN {
			scale = int(c.scale)
		}
	}
	return scale
}

// atScale writes a plain decimal with so many digits after the point; those it cuts off are zeros.
func atScale(text string, scale int) string {
	whole, fraction, _ := strings.Cut(text, ".")
	if len(fraction) > scale {
		fraction = fraction[:scale]
	}
	fraction += strings.Repeat("0", scale-len(fraction))
	if scale == 0 {
		return whole
	}
	return whole + "." + fraction
}

// negated returns -text of a plain decimal.
func negated(text string) string {
	if rest, ok := strings.CutPrefix(text, "-"); ok {
		return rest
	}
	return "-" + text
}

// putNumeric makes the state at at the sum of values of the given scales; finite is the sum of those that are finite.
func putNumeric(s *Slab, at int, counts []scaleCount, finite string) error {
	s.freeBlock(at + numText)
	s.freeBlock(at + numScales)
	clear(s.Words[at : at+numWords])
	if len(counts) == 0 {
		return nil
	}
	for _, c := range counts {
		if err := countScale(s, at, c.scale, c.n); err != nil {
			return err
		}
	}
	x, scale, ok := parseDecimal(atScale(finite, finiteScale(counts)))
	if w := s.Words[at : at+numWords]; ok && scale <= smallDigits && x.BitLen() <= wideBits {
		w[numLo], w[numHi] = words128(x)
		w[numScale] = uint64(scale)
		return nil
	}
	return addText(s, at, atScale(finite, finiteScale(counts)))
}

// total is the exact sum as text.
func (sumNumeric) total(s *Slab, at int) (string, error) {
	scale, special := int(s.Words[at+numScale]), ""
	if s.Words[at+numScales] != 0 {
		scale, special = resultScale(scalesOf(s, at))
	}
	if special != "" {
		return special, nil
	}
	text, err := finiteTotal(s, at)
	if err != nil {
		return "", err
	}
	return atScale(text, scale), nil
}

// finiteTotal is the sum of the values that are finite.
func finiteTotal(s *Slab, at int) (string, error) {
	w := s.Words[at : at+numWords]
	text := decimalText(int128(w[numLo], w[numHi]), int(w[numScale]))
	if wide := s.block(at + numText); wide != nil {
		return addDecimals(string(wide), text)
	}
	return text, nil
}

// appendScales writes a sum of values of different scales.
func appendScales(dst []byte, counts []scaleCount, finite string) []byte {
	dst = binary.AppendUvarint(dst, scalesMark)
	dst = binary.AppendUvarint(dst, uint64(len(counts)))
	for _, c := range counts {
		dst = binary.AppendUvarint(dst, uint64(c.scale))
		dst = binary.AppendUvarint(dst, c.n)
	}
	return appendBytes(dst, []byte(atScale(finite, finiteScale(counts))))
}

// loadScales reads what appendScales wrote after the mark, of n values, into a zeroed state.
func loadScales(src []byte, s *Slab, at int, n uint64) ([]byte, error) {
	num, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	var counts []scaleCount
	for ; num > 0; num-- { // each round takes at least two bytes of src or fails
		var scale, c uint64
		if scale, src, err = takeUvarint(src); err != nil {
			return nil, err
		}
		if c, src, err = takeUvarint(src); err != nil {
			return nil, err
		}
		ascends := len(counts) == 0 || uint64(counts[len(counts)-1].scale) < scale
		if !ascends || c == 0 || c > n || scale > scaleNegInf {
			return nil, errState("bad scales of a sum")
		}
		n -= c
		counts = append(counts, scaleCount{uint32(scale), c})
	}
	text, src, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	if n != 0 || len(text) > decimalTextMax || finiteScale(counts) != int(scaleOf(text)) {
		return nil, errState("bad scales of a sum")
	}
	if _, _, ok := parseDecimal(string(text)); !ok {
		return nil, errState("bad decimal")
	}
	return src, putNumeric(s, at, counts, string(text))
}

// decimalTextMax bounds the digits of a sum, far above what numeric can hold.
const decimalTextMax = 1 << 18
