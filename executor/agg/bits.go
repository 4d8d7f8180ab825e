package agg

import (
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func bitAndDef() Def {
	return Def{
		Name:     "bit_and",
		Bind:     bindBits(bitsAnd),
		Doc:      "Bitwise AND of the values that are not NULL; NULL when there are none.",
		Examples: []Example{{"SELECT bit_and(x) FROM (VALUES (6), (NULL), (12)) v(x)", "4"}},
	}
}

func bitOrDef() Def {
	return Def{
		Name:     "bit_or",
		Bind:     bindBits(bitsOr),
		Doc:      "Bitwise OR of the values that are not NULL; NULL when there are none.",
		Examples: []Example{{"SELECT bit_or(x) FROM (VALUES (6), (NULL), (12)) v(x)", "14"}},
	}
}

func bitXorDef() Def {
	return Def{
		Name: "bit_xor",
		Bind: bindBits(bitsXor),
		Doc:  "Bitwise exclusive OR of the values that are not NULL; NULL when there are none.",
		Examples: []Example{
			{"SELECT bit_xor(x) FROM (VALUES (6), (NULL), (12)) v(x)", "10"},
			{"SELECT bit_xor(DISTINCT x) FROM (VALUES (6), (6), (12)) v(x)", "10"},
		},
	}
}

type bitsOp uint8

const (
	bitsAnd bitsOp = iota
	bitsOr
	bitsXor
)

func bindBits(op bitsOp) func([]types.Type, bool) (Kernel, bool) {
	return func(args []types.Type, distinct bool) (Kernel, bool) {
		if len(args) != 1 {
			return nil, false
		}
		switch args[0].Kind {
		case types.Int2, types.Int4, types.Int8:
		default:
			return nil, false
		}
		k := bitsFold{op, types.T(args[0].Kind)}
		if op != bitsXor {
			return k, true
		}
		if distinct {
			return distinctOf(args, bitXor{k}), true
		}
		return bitXor{k}, true
	}
}

// bitsFold is bit_and or bit_or. Words: number of values, what they make.
type bitsFold struct {
	op  bitsOp
	typ types.Type
}

// bitXor is bit_xor: what came twice is gone, so values can be taken away again.
type bitXor struct{ bitsFold }

func (bitsFold) Words() int         { return 2 }
func (k bitsFold) Type() types.Type { return k.typ }

func (k bitsFold) fold(w []uint64, n, x uint64) {
	switch {
	case w[0] == 0:
		w[1] = x
	case k.op == bitsAnd:
		w[1] &= x
	case k.op == bitsOr:
		w[1] |= x
	default:
		w[1] ^= x
	}
	w[0] += n
}

func (k bitsFold) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if !v.IsNull(i) {
			k.fold(s.Words[s.word(off, g):], 1, uint64(v.I64[i]))
		}
	}
	return nil
}

func (k bitsFold) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	if f := src.Words[src.word(off, sg):]; f[0] > 0 {
		k.fold(dst.Words[dst.word(off, dg):], f[0], f[1])
	}
	return nil
}

// Subtract implements Subtracter.
func (k bitXor) Subtract(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	if err := subtractCount(&d[0], f[0]); err != nil {
		return err
	}
	d[1] ^= f[1]
	return nil
}

func (k bitsFold) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	if w[0] == 0 {
		return null(k.typ)
	}
	return types.Value{Type: k.typ, I: int64(w[1])}, nil
}

func (bitsFold) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = binary.AppendUvarint(dst, w[0])
	if w[0] == 0 {
		return dst
	}
	return binary.AppendVarint(dst, int64(w[1]))
}

func (bitsFold) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	x, src, err := takeVarint(src)
	if err != nil {
		return nil, err
	}
	w := s.Words[s.word(off, gid):]
	w[0], w[1] = n, uint64(x)
	return src, nil
}
