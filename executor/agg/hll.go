package agg

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func approxCountDistinctDef() Def {
	return Def{
		Name: "approx_count_distinct",
		Bind: func(args []types.Type, _ bool) (Kernel, bool) {
			if len(args) != 1 || !ordered(args[0]) {
				return nil, false
			}
			return hyperLogLog{}, true
		},
		Doc: "About the number of different values that are not NULL, in at most 4 KiB a group (HyperLogLog): the standard error is 1.6 %, " +
			"and less below a few thousand values.",
		Examples: []Example{
			{"SELECT approx_count_distinct(x) FROM (VALUES ('a'), ('a'), ('b'), (NULL)) v(x)", "2"},
			{"SELECT approx_count_distinct(x) FROM (VALUES (NULL::integer)) v(x)", "0"},
		},
	}
}

// hyperLogLog keeps, for each of hllRegisters parts of the values, the largest number of leading zeros of a hash. Words:
// number of registers that are not zero, their block. The block has 4 bytes, register above rank, for each register that
// is not zero, ascending, up to hllSparseMax of them; then a byte for each register.
type hyperLogLog struct{}

const (
	hllBits      = 12
	hllRegisters = 1 << hllBits
	hllRankMax   = 64 - hllBits + 1
	// hllSparseMax entries take half of what all registers take.
	hllSparseMax   = hllRegisters / 8
	hllSparseBytes = 4
)

func (hyperLogLog) Words() int       { return 2 }
func (hyperLogLog) Type() types.Type { return types.T(types.Int8) }

func (k hyperLogLog) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	var scratch []byte
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		scratch = batch.AppendKey(scratch[:0], v, i)
		h := fixedHash(scratch)
		rank := bits.LeadingZeros64(h<<hllBits|1<<(hllBits-1)) + 1
		if err := k.raise(s, s.word(off, g), uint32(h>>(64-hllBits)), uint8(rank)); err != nil {
			return err
		}
	}
	return nil
}

// raise makes a register at least rank.
func (hyperLogLog) raise(s *Slab, at int, register uint32, rank uint8) error {
	b := s.block(at + 1)
	if s.Words[at] > hllSparseMax {
		if b[register] == 0 && rank > 0 {
			s.Words[at]++
		}
		b[register] = max(b[register], rank)
		return nil
	}
	low, high := 0, len(b)/hllSparseBytes
	for low < high {
		mid := (low + high) / 2
		if binary.LittleEndian.Uint32(b[mid*hllSparseBytes:])>>8 < register {
			low = mid + 1
		} else {
			high = mid
		}
	}
	place := low * hllSparseBytes
	entry := register<<8 | uint32(rank)
	if place < len(b) {
		if have := binary.LittleEndian.Uint32(b[place:]); have>>8 == register {
			binary.LittleEndian.PutUint32(b[place:], max(have, entry))
			return nil
		}
	}
	if s.Words[at] == hllSparseMax {
		full := make([]byte, hllRegisters)
		for ; len(b) > 0; b = b[hllSparseBytes:] {
			e := binary.LittleEndian.Uint32(b)
			full[e>>8] = uint8(e)
		}
		full[register] = rank
		s.Words[at]++
		return s.setBlock(at+1, full)
	}
	var fresh [hllSparseBytes]byte
	if err := s.appendBlock(at+1, fresh[:]); err != nil {
		return err
	}
	b = s.block(at + 1)
	copy(b[place+hllSparseBytes:], b[place:])
	binary.LittleEndian.PutUint32(b[place:], entry)
	s.Words[at]++
	return nil
}

// each calls fn with the registers that are not zero, n of them in a block, ascending.
func (hyperLogLog) each(n uint64, b []byte, fn func(register uint32, rank uint8) error) error {
	if n > hllSparseMax {
		for i, rank := range b {
			if rank == 0 {
				continue
			}
			if err := fn(uint32(i), rank); err != nil {
				return err
			}
		}
		return nil
	}
	for ; len(b) > 0; b = b[hllSparseBytes:] {
		e := binary.LittleEndian.Uint32(b)
		if err := fn(e>>8, uint8(e)); err != nil {
			return err
		}
	}
	return nil
}

func (k hyperLogLog) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at := dst.word(off, dg)
	if dst == src && dg == sg {
		return nil
	}
	from := src.word(off, sg)
	return k.each(src.Words[from], dst.foreign(src, from+1), func(register uint32, rank uint8) error {
		return k.raise(dst, at, register, rank)
	})
}

func (k hyperLogLog) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	var counts [hllRankMax + 1]float64
	at := s.word(off, gid)
	counts[0] = float64(hllRegisters - s.Words[at])
	_ = k.each(s.Words[at], s.block(at+1), func(_ uint32, rank uint8) error {
		counts[rank]++
		return nil
	})
	return types.NewInt(types.Int8, int64(math.Round(hllEstimate(&counts)))), nil
}

// hllEstimate is the improved raw estimator of O. Ertl ("New cardinality estimation algorithms for HyperLogLog sketches",
// 2017), which needs no tables of corrections: counts[r] is the number of registers of rank r.
func hllEstimate(counts *[hllRankMax + 1]float64) float64 {
	const m = float64(hllRegisters)
	z := m * hllTau(1-counts[hllRankMax]/m)
	for r := hllRankMax - 1; r >= 1; r-- {
		z = 0.5 * (z + counts[r])
	}
	z += m * hllSigma(counts[0]/m)
	return m * m / (2 * math.Ln2 * z)
}

func hllSigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func hllTau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}

func (k hyperLogLog) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	dst = binary.AppendUvarint(dst, s.Words[at])
	next := uint32(0)
	if s.Words[at] > hllSparseMax {
		return append(dst, s.block(at+1)...)
	}
	_ = k.each(s.Words[at], s.block(at+1), func(register uint32, rank uint8) error {
		dst = append(binary.AppendUvarint(dst, uint64(register-next)), rank)
		next = register + 1
		return nil
	})
	return dst
}

func (k hyperLogLog) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	at := s.word(off, gid)
	if n > hllSparseMax {
		if n > hllRegisters || len(src) < hllRegisters {
			return nil, errState("bad registers")
		}
		full := src[:hllRegisters]
		zeros := uint64(0)
		for _, rank := range full {
			if rank == 0 {
				zeros++
			}
		}
		if slices.Max(full) > hllRankMax || zeros != hllRegisters-n {
			return nil, errState("bad registers")
		}
		s.Words[at] = n
		return src[hllRegisters:], s.setBlock(at+1, full)
	}
	next := uint64(0)
	for range n {
		step, rest, err := takeUvarint(src)
		if err != nil {
			return nil, err
		}
		if len(rest) == 0 || rest[0] == 0 || rest[0] > hllRankMax || step >= hllRegisters || next+step >= hllRegisters {
			return nil, errState("bad registers")
		}
		if err := k.raise(s, at, uint32(next+step), rest[0]); err != nil {
			return nil, err
		}
		next, src = next+step+1, rest[1:]
	}
	return src, nil
}

// The multipliers of fixedHash: odd, with bits spread evenly (those of xxHash).
const (
	hashMulA = 0x9e3779b185ebca87
	hashMulB = 0xc2b2ae3d27d4eb4f
	hashMulC = 0x165667b19e3779f9
)

// fixedHash hashes bytes the same way in every process, because what it makes is kept in states.
func fixedHash(b []byte) uint64 {
	h := hashMulC + uint64(len(b))
	for ; len(b) >= 8; b = b[8:] {
		k := bits.RotateLeft64(binary.LittleEndian.Uint64(b)*hashMulB, 31) * hashMulA
		h = bits.RotateLeft64(h^k, 27)*hashMulA + hashMulC
	}
	for _, c := range b {
		h = bits.RotateLeft64(h^uint64(c)*hashMulC, 11) * hashMulA
	}
	h = (h ^ h>>33) * hashMulB
	h = (h ^ h>>29) * hashMulC
	return h ^ h>>32
}
