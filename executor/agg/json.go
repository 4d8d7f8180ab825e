package agg

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func jsonAggDef() Def {
	return Def{
		Name:    "json_agg",
		Bind:    bindJSON(jsonGather{typ: types.T(types.JSON)}),
		Through: "to_json",
		Doc:     "A json array of all values, NULLs included; NULL when there are no rows. Values are taken in the order of the rows, DISTINCT ones sorted.",
		Examples: []Example{
			{"SELECT json_agg(x) FROM (VALUES (2), (NULL), (1)) v(x)", "[2, null, 1]"},
			{"SELECT json_agg(DISTINCT x) FROM (VALUES (10), (9), (10)) v(x)", "[9, 10]"},
		},
	}
}

func jsonbAggDef() Def {
	return Def{
		Name:     "jsonb_agg",
		Bind:     bindJSON(jsonGather{typ: types.T(types.JSONB)}),
		Through:  "to_jsonb",
		Doc:      "A jsonb array of all values, NULLs included; NULL when there are no rows. Values are taken in the order of the rows, DISTINCT ones sorted.",
		Examples: []Example{{"SELECT jsonb_agg(x) FROM (VALUES ('b'), (NULL), ('a')) v(x)", `["b", null, "a"]`}},
	}
}

func jsonObjectAggDef() Def {
	return Def{
		Name:     "json_object_agg",
		Bind:     bindJSON(jsonGather{typ: types.T(types.JSON), object: true}),
		Through:  "to_json",
		Doc:      "json_object_agg(k, v) is a json object of all pairs, in the order of the rows; NULL when there are none. A key that is NULL is an error (22023).",
		Examples: []Example{{"SELECT json_object_agg(k, v) FROM (VALUES ('b', 2), ('a', NULL)) v(k, v)", `{ "b" : 2, "a" : null }`}},
	}
}

func jsonbObjectAggDef() Def {
	return Def{
		Name:     "jsonb_object_agg",
		Bind:     bindJSON(jsonGather{typ: types.T(types.JSONB), object: true}),
		Through:  "to_jsonb",
		Doc:      "jsonb_object_agg(k, v) is a jsonb object of all pairs, of equal keys the last; NULL when there are none. A key that is NULL is an error (22023).",
		Examples: []Example{{"SELECT jsonb_object_agg(k, v) FROM (VALUES ('b', 2), ('a', 1), ('b', 3)) v(k, v)", `{"a": 1, "b": 3}`}},
	}
}

// bindJSON takes json, or text and json. With distinct the values as they were come first: they decide what is distinct.
func bindJSON(k jsonGather) func([]types.Type, bool) (Kernel, bool) {
	return func(args []types.Type, distinct bool) (Kernel, bool) {
		n := 1
		if k.object {
			n = 2
		}
		all := n
		if distinct {
			all = 2 * n
		}
		if len(args) != all || args[all-1].Kind != k.typ.Kind || k.object && args[all-2].Kind != types.Text {
			return nil, false
		}
		if !distinct {
			return k, true
		}
		plain := make([]types.Type, len(args))
		for i, a := range args {
			if i < n && !ordered(a) {
				return nil, false
			}
			plain[i] = cellOf(a).typ
		}
		return distinctRows{args: plain, inner: k, keepNull: true}, true
	}
}

// jsonGather makes arrays or objects. Words: the block of what stands between the brackets, whether a key was NULL, which
// is an error of the group.
type jsonGather struct {
	typ    types.Type
	object bool
}

func (jsonGather) Words() int         { return 2 }
func (k jsonGather) Type() types.Type { return k.typ }

const jsonSeparator = ", "

func (k jsonGather) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[len(args)-1]
	var scratch []byte
	for i, g := range gids {
		at := s.word(off, g)
		scratch = scratch[:0]
		if s.Words[at] != 0 {
			scratch = append(scratch, jsonSeparator...)
		}
		if k.object {
			key := args[len(args)-2]
			if key.IsNull(i) {
				s.Words[at+1] = 1
				continue
			}
			scratch = append(types.AppendJSONString(scratch, string(key.Bytes(i))), k.colon()...)
		}
		if v.IsNull(i) {
			scratch = append(scratch, "null"...)
		} else {
			scratch = append(scratch, v.Bytes(i)...)
		}
		if err := s.appendBlock(at, scratch); err != nil {
			return err
		}
	}
	return nil
}

// colon stands between key and value.
func (k jsonGather) colon() string {
	if k.typ.Kind == types.JSON {
		return " : "
	}
	return ": "
}

func (jsonGather) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	dst.Words[at+1] |= src.Words[from+1]
	if src.Words[from] == 0 {
		return nil
	}
	if dst.Words[at] == 0 {
		return dst.setBlock(at, dst.foreign(src, from))
	}
	return dst.appendBlock(at, append([]byte(jsonSeparator), src.block(from)...))
}

// whole puts brackets around what was gathered.
func (k jsonGather) whole(b []byte) string {
	switch {
	case !k.object:
		return "[" + string(b) + "]"
	case k.typ.Kind == types.JSON:
		return "{ " + string(b) + " }"
	}
	return "{" + string(b) + "}"
}

func (k jsonGather) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at+1] != 0 {
		return types.Value{}, sqlerr.New(sqlerr.InvalidParameterValue, "field name must not be null")
	}
	if s.Words[at] == 0 {
		return null(k.typ)
	}
	text := k.whole(s.block(at))
	if k.object && k.typ.Kind == types.JSONB {
		var err error
		if text, err = types.CanonicalJSON(text); err != nil {
			return types.Value{}, err
		}
	}
	return types.NewBytes(k.typ.Kind, text), nil
}

func (k jsonGather) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	at := s.word(off, gid)
	dst = appendBytes(dst, s.block(at))
	if k.object {
		dst = append(dst, byte(s.Words[at+1]))
	}
	return dst
}

func (k jsonGather) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	at := s.word(off, gid)
	b, src, err := takeBytes(src)
	if err != nil {
		return nil, err
	}
	if k.object {
		var bad bool
		if bad, src, err = takeFlag(src); err != nil {
			return nil, err
		}
		if bad {
			s.Words[at+1] = 1
		}
	}
	if len(b) == 0 {
		return src, nil
	}
	text := k.whole(b)
	canonical, err := types.CanonicalJSON(text)
	if err != nil || !k.object && k.typ.Kind == types.JSONB && canonical != text {
		return nil, errState("bad json")
	}
	return src, s.setBlock(at, b)
}
