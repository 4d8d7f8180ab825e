package agg

import (
	"encoding/binary"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func countDef() Def {
	return Def{
		Name: "count",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			switch {
			case len(args) == 0 && !distinct:
				return countRows{}, true
			case len(args) == 1 && !distinct:
				return countValues{}, true
			case len(args) == 1:
				return distinctOf(args, countValues{}), true
			}
			return nil, false
		},
		Doc: "count(*) is the number of rows, count(x) of rows where x is not NULL, count(DISTINCT x) of different values.",
		Examples: []Example{
			{"SELECT count(*) FROM (VALUES (1), (NULL)) v(x)", "2"},
			{"SELECT count(x) FROM (VALUES (1), (NULL)) v(x)", "1"},
			{"SELECT count(DISTINCT x) FROM (VALUES (1), (1), (2), (NULL)) v(x)", "2"},
		},
	}
}

// countRows is count(*): one word.
type countRows struct{}

func (countRows) Words() int       { return 1 }
func (countRows) Type() types.Type { return types.T(types.Int8) }

func (countRows) Update(s *Slab, off int, gids []uint32, _ []*batch.Vec) error {
	words, stride := s.Words, s.Stride
	for _, g := range gids {
		words[int(g)*stride+off]++
	}
	return nil
}

func (countRows) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	dst.Words[dst.word(off, dg)] += src.Words[src.word(off, sg)]
	return nil
}

func (countRows) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	return types.NewInt(types.Int8, int64(s.Words[s.word(off, gid)])), nil
}

// Results implements BulkResult.
func (countRows) Results(dst *batch.Vec, s *Slab, off int, gids []uint32) bool {
	for _, g := range gids {
		dst.AppendInt(int64(s.Words[s.word(off, g)]))
	}
	return true
}

func (countRows) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	return binary.AppendUvarint(dst, s.Words[s.word(off, gid)])
}

func (countRows) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	n, rest, err := takeUvarint(src)
	if err != nil {
		return nil, err
	}
	s.Words[s.word(off, gid)] = n
	return rest, nil
}

// countValues is count(x): as countRows, of the rows that are not NULL.
type countValues struct{ countRows }

func (countValues) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	if len(v.Nulls) == 0 {
		return countRows{}.Update(s, off, gids, nil)
	}
	for i, g := range gids {
		if !v.IsNull(i) {
			s.Words[s.word(off, g)]++
		}
	}
	return nil
}
