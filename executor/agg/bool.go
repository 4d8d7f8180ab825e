package agg

import (
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

// boolFold is bool_and or bool_or. One word: bit 0 says that there was a value, bit 1 that there was the deciding one:
// false for bool_and, true for bool_or.
type boolFold struct{ and bool }

func (boolFold) Words() int       { return 1 }
func (boolFold) Type() types.Type { return types.T(types.Bool) }

func (k boolFold) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		bit := uint64(1)
		if (v.I64[i] == 0) == k.and {
			bit = 3
		}
		s.Words[s.word(off, g)] |= bit
	}
	return nil
}

func (boolFold) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	dst.Words[dst.word(off, dg)] |= src.Words[src.word(off, sg)]
	return nil
}

func (k boolFold) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid)]
	if w == 0 {
		return null(k.Type())
	}
	return types.NewBool((w == 3) != k.and), nil
}

func (boolFold) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	return append(dst, byte(s.Words[s.word(off, gid)]))
}

func (boolFold) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	if len(src) == 0 || src[0] > 3 || src[0] == 2 {
		return nil, errState("bad boolean")
	}
	s.Words[s.word(off, gid)] = uint64(src[0])
	return src[1:], nil
}
