package agg

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func firstDef() Def {
	return Def{
		Name:  "first",
		Bind:  bindPick(pickBy{arrival: true}),
		Timed: true,
		Doc: "first(x, t) is x of the row with the least t, of equal ones the one that came first; rows where x or t is NULL do not count. " +
			"Where the rows have an event time, first(x) means first(x, that time).",
		Examples: []Example{
			{"SELECT first(x, t) FROM (VALUES ('b', 2), ('a', 1), (NULL, 0), ('c', 1)) v(x, t)", "a"},
			{"SELECT first(x, t) FROM (VALUES (NULL::integer, 1)) v(x, t)", "NULL"},
		},
	}
}

func lastDef() Def {
	return Def{
		Name:  "last",
		Bind:  bindPick(pickBy{greatest: true, arrival: true}),
		Timed: true,
		Doc: "last(x, t) is x of the row with the greatest t, of equal ones the one that came last; rows where x or t is NULL do not count. " +
			"Where the rows have an event time, last(x) means last(x, that time).",
		Examples: []Example{{"SELECT last(x, t) FROM (VALUES ('b', 2), ('a', 1), (NULL, 3), ('c', 2)) v(x, t)", "c"}},
	}
}

func argMinDef(name string) Def {
	return Def{
		Name:     name,
		Bind:     bindPick(pickBy{}),
		Doc:      name + "(x, y) is x of the row with the least y, of equal ones the least x; rows where x or y is NULL do not count.",
		Examples: []Example{{"SELECT " + name + "(x, y) FROM (VALUES ('b', 1), ('a', 1), ('c', 2)) v(x, y)", "a"}},
	}
}

func argMaxDef(name string) Def {
	return Def{
		Name:     name,
		Bind:     bindPick(pickBy{greatest: true}),
		Doc:      name + "(x, y) is x of the row with the greatest y, of equal ones the least x; rows where x or y is NULL do not count.",
		Examples: []Example{{"SELECT " + name + "(x, y) FROM (VALUES ('b', 1), ('a', 1.5), ('c', 0)) v(x, y)", "a"}},
	}
}

func anyValueDef() Def {
	return Def{
		Name: "any_value",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			if len(args) != 1 || args[0].Kind == types.Void {
				return nil, false
			}
			return anyValue{cellOf(args[0])}, true
		},
		Doc:      "One of the values that are not NULL: the first that came; NULL when there are none.",
		Examples: []Example{{"SELECT any_value(x) FROM (VALUES (NULL), ('a'), ('a')) v(x)", "a"}},
	}
}

func bindPick(k pickBy) func([]types.Type, bool) (Kernel, bool) {
	return func(args []types.Type, distinct bool) (Kernel, bool) {
		if len(args) != 2 || !ordered(args[1]) || args[0].Kind == types.Void {
			return nil, false
		}
		if !k.arrival && !ordered(args[0]) {
			return nil, false
		}
		k := k
		k.x, k.by = cellOf(args[0]), cellOf(args[1])
		if distinct {
			return distinctOf(args, k), true
		}
		return k, true
	}
}

// pickBy is the value of one argument where another is least or greatest. Words: whether there is one, the other's value,
// the value.
type pickBy struct {
	x, by    cell
	greatest bool
	// arrival decides between equal ones: the first for the least, the last for the greatest; else the least x.
	arrival bool
}

const (
	pickHas = iota
	pickKey
	pickValue
	pickWords
)

func (pickBy) Words() int         { return pickWords }
func (k pickBy) Type() types.Type { return k.x.typ }

func (k pickBy) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	x, by := args[0], args[1]
	for i, g := range gids {
		if x.IsNull(i) || by.IsNull(i) {
			continue
		}
		at := s.word(off, g)
		if s.Words[at] != 0 {
			c := k.by.compareRow(by, i, s, at+pickKey)
			if c == 0 && !k.arrival {
				if totalCompare(k.x.row(x, i), k.x.value(s, at+pickValue)) >= 0 {
					continue
				}
			} else if !k.takes(c) {
				continue
			}
		}
		s.Words[at] = 1
		if err := k.by.put(s, at+pickKey, by, i); err != nil {
			return err
		}
		if err := k.x.put(s, at+pickValue, x, i); err != nil {
			return err
		}
	}
	return nil
}

// OrderFree implements Orderless.
func (k pickBy) OrderFree() bool { return !k.arrival }

// takes reports that a row that compares so to the one kept, and came after it, replaces it.
func (k pickBy) takes(c int) bool {
	if c == 0 {
		return k.greatest
	}
	return (c > 0) == k.greatest
}

func (k pickBy) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	if src.Words[from] == 0 {
		return nil
	}
	if dst.Words[at] != 0 {
		c := k.by.compare(src, from+pickKey, dst, at+pickKey)
		if c == 0 && !k.arrival {
			if totalCompare(k.x.value(src, from+pickValue), k.x.value(dst, at+pickValue)) >= 0 {
				return nil
			}
		} else if !k.takes(c) {
			return nil
		}
	}
	dst.Words[at] = 1
	if err := k.by.copyFrom(dst, at+pickKey, src, from+pickKey); err != nil {
		return err
	}
	return k.x.copyFrom(dst, at+pickValue, src, from+pickValue)
}

func (k pickBy) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.x.typ)
	}
	return k.x.value(s, at+pickValue), nil
}

func (k pickBy) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return append(dst, 0)
	}
	dst = k.by.append(append(dst, 1), s, at+pickKey)
	return k.x.append(dst, s, at+pickValue)
}

func (k pickBy) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	some, src, err := takeFlag(src)
	if err != nil || !some {
		return src, err
	}
	at := s.word(off, gid)
	if src, err = k.by.load(src, s, at+pickKey); err != nil {
		return nil, err
	}
	if src, err = k.x.load(src, s, at+pickValue); err != nil {
		return nil, err
	}
	s.Words[at] = 1
	return src, nil
}

// anyValue keeps the first value. Words: whether there is one, the value.
type anyValue struct{ x cell }

func (anyValue) Words() int         { return 2 }
func (k anyValue) Type() types.Type { return k.x.typ }

func (k anyValue) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		at := s.word(off, g)
		if s.Words[at] != 0 || v.IsNull(i) {
			continue
		}
		s.Words[at] = 1
		if err := k.x.put(s, at+1, v, i); err != nil {
			return err
		}
	}
	return nil
}

func (k anyValue) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	if src.Words[from] == 0 || dst.Words[at] != 0 {
		return nil
	}
	dst.Words[at] = 1
	return k.x.copyFrom(dst, at+1, src, from+1)
}

func (k anyValue) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.x.typ)
	}
	return k.x.value(s, at+1), nil
}

func (k anyValue) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return append(dst, 0)
	}
	return k.x.append(append(dst, 1), s, at+1)
}

func (k anyValue) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	some, src, err := takeFlag(src)
	if err != nil || !some {
		return src, err
	}
	at := s.word(off, gid)
	s.Words[at] = 1
	return k.x.load(src, s, at+1)
}
