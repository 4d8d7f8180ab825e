package agg

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func minDef() Def {
	return Def{
		Name: "min",
		Bind: func(args []types.Type, _ bool) (Kernel, bool) { return bindMinMax(args, false) },
		Doc:  "Smallest of the values that are not NULL, in the order that ORDER BY gives; NULL when there are none.",
		Examples: []Example{
			{"SELECT min(x) FROM (VALUES (3), (1), (NULL)) v(x)", "1"},
			{"SELECT min(x) FROM (VALUES ('b'), ('a'), ('ab')) v(x)", "a"},
			{"SELECT min(x) FROM (VALUES ('10.0.0.2'::inet), ('9.0.0.1'::inet)) v(x)", "9.0.0.1"},
			{"SELECT min(x) FROM (VALUES (NULL::integer)) v(x)", "NULL"},
		},
	}
}

func maxDef() Def {
	return Def{
		Name: "max",
		Bind: func(args []types.Type, _ bool) (Kernel, bool) { return bindMinMax(args, true) },
		Doc:  "Largest of the values that are not NULL, in the order that ORDER BY gives; NULL when there are none.",
		Examples: []Example{
			{"SELECT max(x) FROM (VALUES (3), (1), (NULL)) v(x)", "3"},
			{"SELECT max(x) FROM (VALUES ('b'), ('a'), ('ab')) v(x)", "b"},
			{"SELECT max(x) FROM (VALUES ('NaN'::double precision), ('Infinity'::double precision)) v(x)", "NaN"},
			{"SELECT max(x) FROM (VALUES (1.5), (12)) v(x)", "12"},
		},
	}
}

// bindMinMax takes the types that Postgres has min and max for. DISTINCT changes nothing.
func bindMinMax(args []types.Type, greatest bool) (Kernel, bool) {
	if len(args) != 1 {
		return nil, false
	}
	t := types.Type{Kind: args[0].Kind, Elem: args[0].Elem}
	switch t.Kind {
	case types.Int2, types.Int4, types.Int8, types.OID, types.Date, types.Timestamp, types.TimestampTZ:
		return extremeInt{greatest, t}, true
	case types.Float4, types.Float8:
		return extremeFloat{greatest, t}, true
	case types.Unknown, types.Text, types.Varchar, types.Name, types.Char:
		return extremeBytes{greatest, types.T(types.Text)}, true
	case types.CIDR:
		return extremeBytes{greatest, types.T(types.Inet)}, true
	case types.BPChar, types.Numeric, types.Interval, types.Inet, types.Array:
		return extremeBytes{greatest, t}, true
	}
	return nil, false
}

// extremeInt is min or max of a PhysInt type. Words: the value, whether there is one.
type extremeInt struct {
	greatest bool
	typ      types.Type
}

func (extremeInt) Words() int         { return 2 }
func (k extremeInt) Type() types.Type { return k.typ }

func (k extremeInt) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if len(v.Nulls) == 0 || !v.IsNull(i) {
			k.fold(s.Words[int(g)*s.Stride+off:], v.I64[i])
		}
	}
	return nil
}

func (k extremeInt) fold(w []uint64, x int64) {
	if w[1] == 0 || x != int64(w[0]) && (x > int64(w[0])) == k.greatest {
		w[0], w[1] = uint64(x), 1
	}
}

func (k extremeInt) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	if from := src.Words[src.word(off, sg):]; from[1] != 0 {
		k.fold(dst.Words[dst.word(off, dg):], int64(from[0]))
	}
	return nil
}

func (k extremeInt) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	if w[1] == 0 {
		return null(k.typ)
	}
	return types.Value{Type: k.typ, I: int64(w[0])}, nil
}

func (k extremeInt) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	if w[1] == 0 {
		return append(dst, 0)
	}
	return binary.AppendVarint(append(dst, 1), int64(w[0]))
}

func (k extremeInt) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	some, src, err := takeFlag(src)
	if err != nil || !some {
		return src, err
	}
	x, src, err := takeVarint(src)
	if err != nil {
		return nil, err
	}
	w := s.Words[s.word(off, gid):]
	w[0], w[1] = uint64(x), 1
	return src, nil
}

// takeFlag reads a byte that is 0 or 1.
func takeFlag(src []byte) (bool, []byte, error) {
	if len(src) == 0 || src[0] > 1 {
		return false, nil, errState("bad flag")
	}
	return src[0] == 1, src[1:], nil
}

// extremeFloat is min or max of a float; NaN is greater than all else. Words: the value, whether there is one.
type extremeFloat struct {
	greatest bool
	typ      types.Type
}

func (extremeFloat) Words() int         { return 2 }
func (k extremeFloat) Type() types.Type { return k.typ }

func (k extremeFloat) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if len(v.Nulls) == 0 || !v.IsNull(i) {
			k.fold(s.Words[int(g)*s.Stride+off:], v.F64[i])
		}
	}
	return nil
}

func (k extremeFloat) fold(w []uint64, x float64) {
	have := math.Float64frombits(w[0])
	better := x < have || x == x && have != have
	if k.greatest {
		better = x > have || x != x && have == have
	}
	if w[1] == 0 || better {
		w[0], w[1] = math.Float64bits(x), 1
	}
}

func (k extremeFloat) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	if from := src.Words[src.word(off, sg):]; from[1] != 0 {
		k.fold(dst.Words[dst.word(off, dg):], math.Float64frombits(from[0]))
	}
	return nil
}

func (k extremeFloat) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	if w[1] == 0 {
		return null(k.typ)
	}
	return types.Value{Type: k.typ, F: math.Float64frombits(w[0])}, nil
}

func (k extremeFloat) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	if w[1] == 0 {
		return append(dst, 0)
	}
	return binary.LittleEndian.AppendUint64(append(dst, 1), w[0])
}

func (k extremeFloat) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	some, src, err := takeFlag(src)
	if err != nil || !some {
		return src, err
	}
	x, src, err := takeWord(src)
	if err != nil {
		return nil, err
	}
	w := s.Words[s.word(off, gid):]
	w[0], w[1] = x, 1
	return src, nil
}

// extremeBytes is min or max of a PhysBytes type; the value lies on the heap. One word.
type extremeBytes struct {
	greatest bool
	typ      types.Type
}

func (extremeBytes) Words() int         { return 1 }
func (k extremeBytes) Type() types.Type { return k.typ }

func (k extremeBytes) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		if err := k.fold(s, s.word(off, g), v.Bytes(i)); err != nil {
			return err
		}
	}
	return nil
}

func (k extremeBytes) fold(s *Slab, at int, x []byte) error {
	if s.Words[at] != 0 {
		c := k.compare(x, s.block(at))
		if c == 0 || (c > 0) != k.greatest {
			return nil
		}
	}
	return s.setBlock(at, x)
}

// compare orders values; those that are equal but written differently (1.0, 1.00) by their bytes, so that the order of
// rows does not show.
func (k extremeBytes) compare(a, b []byte) int {
	if bytewise := bytes.Compare(a, b); bytewise == 0 || k.typ.Kind == types.Text {
		return bytewise
	}
	if c := types.CompareStored(k.typ, string(a), string(b)); c != 0 {
		return c
	}
	return bytes.Compare(a, b)
}

func (k extremeBytes) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at := src.word(off, sg)
	if src.Words[at] == 0 {
		return nil
	}
	return k.fold(dst, dst.word(off, dg), dst.foreign(src, at))
}

func (k extremeBytes) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.typ)
	}
	return types.Value{Type: k.typ, S: string(s.block(at))}, nil
}

func (k extremeBytes) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return append(dst, 0)
	}
	return appendBytes(append(dst, 1), s.block(at))
}

func (k extremeBytes) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	some, src, err := takeFlag(src)
	if err != nil || !some {
		return src, err
	}
	b, src, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	if err := checkStored(k.typ, b); err != nil {
		return nil, err
	}
	return src, s.setBlock(s.word(off, gid), b)
}
