package agg

import (
	"encoding/binary"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func stringAggDef() Def {
	return Def{
		Name: "string_agg",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if len(args) != 2 || !args[0].Kind.IsText() || !args[1].Kind.IsText() {
				return nil, false
			}
			if distinct {
				return distinctOf(args, stringAgg{}), true
			}
			return stringAgg{}, true
		},
		Doc: "The values that are not NULL, joined by the delimiter of each but the first; NULL when there are none. Values are taken in the order of the rows, DISTINCT ones sorted.",
		Examples: []Example{
			{"SELECT string_agg(x, ', ') FROM (VALUES ('a'), (NULL), ('b')) v(x)", "a, b"},
			{"SELECT string_agg(DISTINCT x, '') FROM (VALUES ('b'), ('a'), ('b')) v(x)", "ab"},
		},
	}
}

func arrayAggDef() Def {
	return Def{
		Name: "array_agg",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if len(args) != 1 || args[0].Kind == types.Array {
				return nil, false
			}
			elem := args[0]
			if elem.Kind == types.Unknown {
				elem = types.T(types.Text)
			}
			k := arrayAgg{elem}
			if distinct {
				return distinctRows{args: []types.Type{elem}, inner: k, keepNull: true}, true
			}
			return k, true
		},
		Doc: "An array of all values, NULLs included; NULL when there are no rows. Values are taken in the order of the rows, DISTINCT ones sorted.",
		Examples: []Example{
			{"SELECT array_agg(x) FROM (VALUES (2), (NULL), (1)) v(x)", "{2,NULL,1}"},
			{"SELECT array_agg(DISTINCT x) FROM (VALUES (2), (NULL), (1), (2)) v(x)", "{1,2,NULL}"},
		},
	}
}

// stringAgg gathers delimiter, value, delimiter, value, ... after the length of the first delimiter (4 bytes), which the
// result leaves out. One word.
type stringAgg struct{}

func (stringAgg) Words() int       { return 1 }
func (stringAgg) Type() types.Type { return types.T(types.Text) }

const delimiterHead = 4

func (stringAgg) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	value, delimiter := args[0], args[1]
	var head [delimiterHead]byte
	for i, g := range gids {
		if value.IsNull(i) {
			continue
		}
		at, d := s.word(off, g), delimiter.Bytes(i)
		if s.Words[at] == 0 {
			binary.LittleEndian.PutUint32(head[:], uint32(len(d)))
			if err := s.appendBlock(at, head[:]); err != nil {
				return err
			}
		}
		if err := s.appendBlock(at, d); err != nil {
			return err
		}
		if err := s.appendBlock(at, value.Bytes(i)); err != nil {
			return err
		}
	}
	return nil
}

func (stringAgg) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	from := dst.foreign(src, src.word(off, sg))
	if from == nil {
		return nil
	}
	at := dst.word(off, dg)
	if dst.Words[at] != 0 {
		from = from[delimiterHead:]
	}
	return dst.appendBlock(at, from)
}

func (k stringAgg) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	b := s.block(s.word(off, gid))
	if b == nil {
		return null(k.Type())
	}
	return types.NewText(string(b[delimiterHead+binary.LittleEndian.Uint32(b):])), nil
}

func (stringAgg) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	return appendBytes(dst, s.block(s.word(off, gid)))
}

func (stringAgg) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	b, src, err := takeBytes(src)
	if err != nil || len(b) == 0 {
		return src, err
	}
	if len(b) < delimiterHead || uint64(binary.LittleEndian.Uint32(b)) > uint64(len(b)-delimiterHead) {
		return nil, errState("bad delimiter")
	}
	if err := checkStored(types.T(types.Text), b[delimiterHead:]); err != nil {
		return nil, err
	}
	return src, s.setBlock(s.word(off, gid), b)
}

// arrayAgg gathers elements in the form that stored arrays have after their count. Words: number of elements, block.
type arrayAgg struct{ elem types.Type }

func (arrayAgg) Words() int         { return 2 }
func (k arrayAgg) Type() types.Type { return types.ArrayOf(k.elem.Kind) }

func (k arrayAgg) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	var scratch []byte
	for i, g := range gids {
		scratch = appendElement(scratch[:0], v, i)
		at := s.word(off, g)
		if err := s.appendBlock(at+1, scratch); err != nil {
			return err
		}
		s.Words[at]++
	}
	return nil
}

// appendElement writes row i as an element of a stored array, see types.AppendArrayBytes.
func appendElement(dst []byte, v *batch.Vec, i int) []byte {
	if v.IsNull(i) {
		return append(dst, 0)
	}
	dst = append(dst, 1)
	switch v.Type.Phys() {
	case types.PhysInt:
		return binary.LittleEndian.AppendUint64(dst, uint64(v.I64[i]))
	case types.PhysFloat:
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v.F64[i]))
	}
	return appendBytes(dst, v.Bytes(i))
}

func (arrayAgg) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	from, at := src.word(off, sg), dst.word(off, dg)
	if src.Words[from] == 0 {
		return nil
	}
	if err := dst.appendBlock(at+1, dst.foreign(src, from+1)); err != nil {
		return err
	}
	dst.Words[at] += src.Words[from]
	return nil
}

func (k arrayAgg) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.Type())
	}
	stored := binary.AppendUvarint(nil, s.Words[at])
	stored = append(stored, s.block(at+1)...)
	return types.Value{Type: k.Type(), S: string(stored)}, nil
}

func (arrayAgg) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	dst = binary.AppendUvarint(dst, s.Words[at])
	return append(dst, s.block(at+1)...)
}

func (k arrayAgg) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, src, err := takeUvarint(src)
	if err != nil || n == 0 {
		return src, err
	}
	rest, one := src, []types.Type{k.elem}
	for range n { // each round takes at least one byte of src or fails
		if rest, err = SkipKey(rest, one); err != nil {
			return nil, err
		}
	}
	at := s.word(off, gid)
	s.Words[at] = n
	return rest, s.setBlock(at+1, src[:len(src)-len(rest)])
}
