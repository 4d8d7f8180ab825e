package agg

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func approxPercentileDef() Def {
	return Def{
		Name: "approx_percentile",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			ok := len(args) >= 2 && len(args) <= 3 && args[0].Kind == types.Float8 && isFraction(args[1])
			if !ok || len(args) == 3 && args[2].Kind != types.Float8 {
				return nil, false
			}
			k := sketch{args[1]}
			if distinct {
				return distinctOf(args, k), true
			}
			return k, true
		},
		Params: func(args []types.Type) []types.Type {
			if len(args) < 2 || len(args) > 3 {
				return nil
			}
			out := fractionParams(args[:2])
			rest := floatParams(append([]types.Type{args[0]}, args[2:]...))
			if out == nil || rest == nil {
				return nil
			}
			return append([]types.Type{rest[0], out[1]}, rest[1:]...)
		},
		Fixed: true,
		Check: func(i int, v types.Value) error {
			if i == 1 {
				return checkFraction(i, v)
			}
			return checkAccuracy(v)
		},
		Doc: "approx_percentile(x, f [, accuracy]) is percentile_disc(f) WITHIN GROUP (ORDER BY x) of numbers up to a relative error of accuracy " +
			"(0.01 when left out; from 0.001 to 0.5), in little memory: numbers are counted in buckets as wide as the error allows. f may be an array.",
		Examples: []Example{
			{"SELECT approx_percentile(x, 0.5) FROM (VALUES (1), (1), (NULL), (8)) v(x)", "1.0078125"},
			{"SELECT approx_percentile(x, ARRAY[0, 1]) FROM (VALUES (3.5), (-2)) v(x)", "{-2,3.5}"},
		},
	}
}

// sketch counts numbers in buckets that share the sign, the exponent and the leading bits of the fraction. Which bucket a
// number falls into depends on the number alone, so that states merge exactly, in any order. Words: number of values, bits
// of the fraction + 1, least and greatest value (as ordered bits), block of the buckets, block of the percentile as a key.
type sketch struct{ fraction types.Type }

const (
	sketchCount = iota
	sketchBits
	sketchMin
	sketchMax
	sketchBuckets
	sketchFraction
	sketchWords
)

const (
	// sketchBitsMin and sketchBitsMax bound the bits of the fraction that a bucket has: a bucket of b bits is at most 2^-b wide,
	// relative to its values, and its middle at most half of that away from them.
	sketchBitsMin, sketchBitsMax = 1, 9
	// sketchBitsDefault is an error of less than 1 %.
	sketchBitsDefault = 6
	accuracyMin       = 0.001
	accuracyMax       = 0.5
	floatFractionBits = 52
)

func checkAccuracy(v types.Value) error {
	if v.Null || v.F >= accuracyMin && v.F <= accuracyMax {
		return nil
	}
	return sqlerr.New(sqlerr.InvalidParameterValue, "accuracy %g is not between %g and %g", v.F, accuracyMin, accuracyMax)
}

// bitsFor returns the bits of the fraction that keep an error; one out of range is as good as the nearest within.
func bitsFor(accuracy float64) uint64 {
	b := uint64(sketchBitsMin)
	for b < sketchBitsMax && math.Ldexp(1, -int(b)-1) > accuracy {
		b++
	}
	return b
}

// orderedBits maps a float to an integer of the same order: NaN last, one zero.
func orderedBits(x float64) uint64 {
	switch {
	case x != x:
		return math.MaxUint64
	case x == 0:
		return 1 << 63
	}
	u := math.Float64bits(x)
	if u>>63 != 0 {
		return ^u
	}
	return u | 1<<63
}

// floatOf is the inverse of orderedBits.
func floatOf(u uint64) float64 {
	switch {
	case u == math.MaxUint64:
		return math.NaN()
	case u>>63 != 0:
		return math.Float64frombits(u &^ (1 << 63))
	}
	return math.Float64frombits(^u)
}

func (sketch) Words() int { return sketchWords }

func (k sketch) Type() types.Type {
	if k.fraction.Kind == types.Array {
		return types.ArrayOf(types.Float8)
	}
	return types.T(types.Float8)
}

func (k sketch) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	x := args[0]
	for i, g := range gids {
		if x.IsNull(i) {
			continue
		}
		at := s.word(off, g)
		if s.Words[at+sketchCount] == 0 {
			if err := k.start(s, at, args, i); err != nil {
				return err
			}
		}
		u := orderedBits(x.F64[i])
		if err := addBucket(s, at, bucketOf(u, s.Words[at+sketchBits]-1), 1); err != nil {
			return err
		}
		w := s.Words[at : at+sketchWords]
		w[sketchCount]++
		w[sketchMin], w[sketchMax] = min(w[sketchMin], u), max(w[sketchMax], u)
	}
	return nil
}

// start prepares a state for its first value.
func (k sketch) start(s *Slab, at int, args []*batch.Vec, i int) error {
	bits := uint64(sketchBitsDefault)
	if len(args) == 3 && !args[2].IsNull(i) {
		bits = bitsFor(args[2].F64[i])
	}
	s.Words[at+sketchBits], s.Words[at+sketchMin], s.Words[at+sketchMax] = bits+1, math.MaxUint64, 0
	return s.setBlock(at+sketchFraction, batch.AppendKey(nil, args[1], i))
}

// bucketOf is the bucket of a number whose fraction has so many bits.
func bucketOf(u, bits uint64) uint32 { return uint32(u >> (floatFractionBits - bits)) }

// The block of the buckets: 4 bytes bucket, 8 bytes number of values, each, ascending.
const bucketBytes = 12

// addBucket counts n values in a bucket.
func addBucket(s *Slab, at int, bucket uint32, n uint64) error {
	b := s.block(at + sketchBuckets)
	low, high := 0, len(b)/bucketBytes
	for low < high {
		mid := (low + high) / 2
		if binary.LittleEndian.Uint32(b[mid*bucketBytes:]) < bucket {
			low = mid + 1
		} else {
			high = mid
		}
	}
	place := low * bucketBytes
	if place == len(b) || binary.LittleEndian.Uint32(b[place:]) != bucket {
		var fresh [bucketBytes]byte
		if err := s.appendBlock(at+sketchBuckets, fresh[:]); err != nil {
			return err
		}
		b = s.block(at + sketchBuckets)
		copy(b[place+bucketBytes:], b[place:])
		binary.LittleEndian.PutUint32(b[place:], bucket)
		binary.LittleEndian.PutUint64(b[place+4:], 0)
	}
	binary.LittleEndian.PutUint64(b[place+4:], binary.LittleEndian.Uint64(b[place+4:])+n)
	return nil
}

// coarsen makes buckets wider, so that states of different accuracy merge.
func coarsen(s *Slab, at int, bits uint64) error {
	have := s.Words[at+sketchBits] - 1
	if have <= bits {
		return nil
	}
	old := slices.Clone(s.block(at + sketchBuckets))
	s.freeBlock(at + sketchBuckets)
	s.Words[at+sketchBits] = bits + 1
	for ; len(old) > 0; old = old[bucketBytes:] {
		bucket := binary.LittleEndian.Uint32(old) >> (have - bits)
		if err := addBucket(s, at, bucket, binary.LittleEndian.Uint64(old[4:])); err != nil {
			return err
		}
	}
	return nil
}

func (k sketch) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	f := src.Words[from : from+sketchWords]
	if f[sketchCount] == 0 {
		return nil
	}
	buckets := dst.foreign(src, from+sketchBuckets)
	if dst.Words[at+sketchCount] == 0 {
		copy(dst.Words[at:at+sketchBuckets], f[:sketchBuckets])
		if err := dst.setBlock(at+sketchFraction, dst.foreign(src, from+sketchFraction)); err != nil {
			return err
		}
		return dst.setBlock(at+sketchBuckets, buckets)
	}
	if err := coarsen(dst, at, f[sketchBits]-1); err != nil {
		return err
	}
	d := dst.Words[at : at+sketchWords]
	shift := f[sketchBits] - d[sketchBits]
	for ; len(buckets) > 0; buckets = buckets[bucketBytes:] {
		bucket := binary.LittleEndian.Uint32(buckets) >> shift
		if err := addBucket(dst, at, bucket, binary.LittleEndian.Uint64(buckets[4:])); err != nil {
			return err
		}
	}
	d = dst.Words[at : at+sketchWords]
	d[sketchCount] += f[sketchCount]
	d[sketchMin], d[sketchMax] = min(d[sketchMin], f[sketchMin]), max(d[sketchMax], f[sketchMax])
	return nil
}

func (k sketch) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at+sketchCount] == 0 {
		return null(k.Type())
	}
	arg := keyValue(k.fraction, s.block(at+sketchFraction))
	fractions, err := fractionsOf(arg)
	if err != nil {
		return types.Value{}, err
	}
	for i, f := range fractions {
		if f.Null {
			continue
		}
		if err := inUnit(f.F); err != nil {
			return types.Value{}, err
		}
		fractions[i] = types.NewFloat(estimate(s, at, f.F))
	}
	if k.fraction.Kind == types.Array && !arg.Null {
		return types.NewArray(types.Float8, fractions), nil
	}
	v := fractions[0]
	v.Type = k.Type()
	return v, nil
}

// estimate is the middle of the bucket in which a fraction of the values is reached.
func estimate(s *Slab, at int, fraction float64) float64 {
	w := s.Words[at : at+sketchWords]
	rank := max(1, uint64(math.Ceil(fraction*float64(w[sketchCount]))))
	switch rank {
	case 1:
		return floatOf(w[sketchMin])
	case w[sketchCount]:
		return floatOf(w[sketchMax])
	}
	shift := floatFractionBits - (w[sketchBits] - 1)
	bucket := uint64(0)
	for b := s.block(at + sketchBuckets); len(b) > 0 && rank > 0; b = b[bucketBytes:] {
		bucket = uint64(binary.LittleEndian.Uint32(b))
		rank -= min(rank, binary.LittleEndian.Uint64(b[4:]))
	}
	low, high := bucket<<shift, bucket<<shift|(1<<shift-1)
	if zero := uint64(1) << 63; low == zero || high == zero-1 {
		return 0 // and what is nearer to it than any normal number
	}
	low, high = max(low, w[sketchMin]), min(high, w[sketchMax])
	a, b := floatOf(low), floatOf(high)
	if math.IsInf(a, 0) || math.IsInf(b, 0) || b != b {
		return a
	}
	return a + (b-a)/2
}

func (k sketch) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	w := s.Words[at : at+sketchWords]
	dst = binary.AppendUvarint(dst, w[sketchCount])
	if w[sketchCount] == 0 {
		return dst
	}
	dst = append(dst, byte(w[sketchBits]-1))
	dst = binary.LittleEndian.AppendUint64(dst, w[sketchMin])
	dst = binary.LittleEndian.AppendUint64(dst, w[sketchMax])
	dst = append(dst, s.block(at+sketchFraction)...)
	b := s.block(at + sketchBuckets)
	dst = binary.AppendUvarint(dst, uint64(len(b)/bucketBytes))
	last := uint32(0)
	for ; len(b) > 0; b = b[bucketBytes:] {
		bucket := binary.LittleEndian.Uint32(b)
		dst = binary.AppendUvarint(dst, uint64(bucket-last))
		dst = binary.AppendUvarint(dst, binary.LittleEndian.Uint64(b[4:]))
		last = bucket
	}
	return dst
}

func (k sketch) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	if len(src) == 0 || src[0] < sketchBitsMin || src[0] > sketchBitsMax {
		return nil, errState("bad accuracy")
	}
	bits := uint64(src[0])
	least, src, err := takeWord(src[1:])
	if err != nil {
		return nil, err
	}
	most, src, err := takeWord(src)
	if err != nil {
		return nil, err
	}
	at := s.word(off, gid)
	if src, err = loadKey(src, s, at+sketchFraction, k.fraction); err != nil {
		return nil, err
	}
	block, src, err := loadBuckets(src, n, 1<<(64-floatFractionBits+bits))
	if err != nil {
		return nil, err
	}
	w := s.Words[at : at+sketchWords]
	w[sketchCount], w[sketchBits], w[sketchMin], w[sketchMax] = n, bits+1, least, most
	return src, s.setBlock(at+sketchBuckets, block)
}

// loadBuckets reads the buckets of n values.
func loadBuckets(src []byte, n, limit uint64) (block, rest []byte, err error) {
	num, src, err := takeUvarint(src)
	if err != nil {
		return nil, nil, err
	}
	bucket := uint64(0)
	for i := uint64(0); i < num; i++ { // each round takes at least two bytes of src or fails
		var step, c uint64
		if step, src, err = takeUvarint(src); err != nil {
			return nil, nil, err
		}
		if c, src, err = takeUvarint(src); err != nil {
			return nil, nil, err
		}
		if step >= limit || i > 0 && step == 0 || c == 0 || c > n || bucket+step >= limit {
			return nil, nil, errState("bad bucket")
		}
		bucket, n = bucket+step, n-c
		block = binary.LittleEndian.AppendUint32(block, uint32(bucket))
		block = binary.LittleEndian.AppendUint64(block, c)
	}
	if n != 0 {
		return nil, nil, errState("bad bucket")
	}
	return block, src, nil
}
