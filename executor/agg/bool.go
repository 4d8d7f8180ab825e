package agg

import (
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func boolAndDef() Def {
	return Def{
		Name: "bool_and",
		Bind: bindBool(true),
		Doc:  "True when all values that are not NULL are true; NULL when there are none.",
		Examples: []Example{
			{"SELECT bool_and(x) FROM (VALUES (true), (NULL), (false)) v(x)", "f"},
			{"SELECT bool_and(x) FROM (VALUES (true), (NULL)) v(x)", "t"},
		},
	}
}

func boolOrDef() Def {
	return Def{
		Name: "bool_or",
		Bind: bindBool(false),
		Doc:  "True when some value is true; NULL when all are NULL.",
		Examples: []Example{
			{"SELECT bool_or(x) FROM (VALUES (true), (NULL), (false)) v(x)", "t"},
			{"SELECT bool_or(x) FROM (VALUES (NULL::boolean)) v(x)", "NULL"},
		},
	}
}

func everyDef() Def {
	return Def{
		Name:     "every",
		Bind:     bindBool(true),
		Doc:      "The standard's name for bool_and.",
		Examples: []Example{{"SELECT every(x) FROM (VALUES (true), (true)) v(x)", "t"}},
	}
}

func bindBool(and bool) func([]types.Type, bool) (Kernel, bool) {
	return func(args []types.Type, _ bool) (Kernel, bool) {
		if len(args) != 1 || args[0].Kind != types.Bool {
			return nil, false
		}
		return boolFold{and}, true
	}
}

// boolFold is bool_and or bool_or. Words: number of values, and of deciding ones: false for bool_and, true for bool_or.
type boolFold struct{ and bool }

const boolCount, boolDeciding = 0, 1

func (boolFold) Words() int       { return 2 }
func (boolFold) Type() types.Type { return types.T(types.Bool) }

func (k boolFold) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		w := s.Words[s.word(off, g):]
		w[boolCount]++
		if (v.I64[i] == 0) == k.and {
			w[boolDeciding]++
		}
	}
	return nil
}

func (boolFold) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	d[boolCount] += f[boolCount]
	d[boolDeciding] += f[boolDeciding]
	return nil
}

func (k boolFold) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	if w[boolCount] == 0 {
		return null(k.Type())
	}
	return types.NewBool((w[boolDeciding] > 0) != k.and), nil
}

// boolCounted starts a state of counts; the bytes 1 and 3 stand for one value, a deciding one if 3, in older states.
const boolCounted = 4

func (boolFold) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	if w[boolCount] == 0 {
		return append(dst, 0)
	}
	dst = binary.AppendUvarint(append(dst, boolCounted), w[boolCount])
	return binary.AppendUvarint(dst, w[boolDeciding])
}

func (boolFold) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	if len(src) == 0 || src[0] > boolCounted || src[0] == 2 {
		return nil, errState("bad boolean")
	}
	w := s.Words[s.word(off, gid):]
	first, src := src[0], src[1:]
	if first < boolCounted {
		w[boolCount], w[boolDeciding] = uint64(first&1), uint64(first>>1)
		return src, nil
	}
	n, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	deciding, src, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	if n == 0 || deciding > n {
		return nil, errState("bad boolean")
	}
	w[boolCount], w[boolDeciding] = n, deciding
	return src, nil
}
