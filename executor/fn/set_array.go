package fn

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// arraySets are unnest and what clients use to take index arrays apart.
func arraySets() []SetDef {
	return []SetDef{
		{Name: "unnest", Args: args{tAnyArray}, Variadic: true, CalledOnNull: true, Cols: unnestCols, Eval: unnest,
			Doc:      "The elements of an array; of several arrays side by side, the shorter ones filled up with NULL.",
			Examples: []SetExample{{"unnest(ARRAY[1, 2])", []string{"1", "2"}}}},
		{Name: "_pg_expandarray", Args: args{tAnyArray}, Eval: expandArray,
			Cols: func(in []types.Type) []types.Column {
				return []types.Column{col("x", types.T(elemKind(in[0]))), col("n", tInt4)}
			},
			Doc: "The elements of an array with their positions (information_schema)."},
	}
}

// elemKind is the element kind of an array type, text where it is open.
func elemKind(t types.Type) types.Kind {
	if t.Elem == types.Unknown {
		return types.Text
	}
	return t.Elem
}

func unnestCols(in []types.Type) []types.Column {
	out := make([]types.Column, len(in))
	for i, t := range in {
		out[i] = col("unnest", types.T(elemKind(t)))
	}
	return out
}

func unnest(_ *Ctx, a values, emit func(values) error) error {
	arrays := make([]values, len(a))
	longest := 0
	for i, v := range a {
		if v.Null {
			continue
		}
		elems, err := types.DecodeArray(elemKind(v.Type), v.S)
		if err != nil {
			return fmt.Errorf("unnest: %w", err)
		}
		arrays[i] = elems
		longest = max(longest, len(elems))
	}
	row := make(values, len(a))
	for n := range longest {
		for i := range arrays {
			if n < len(arrays[i]) {
				row[i] = arrays[i][n]
			} else {
				row[i] = types.Null(types.T(elemKind(a[i].Type)))
			}
		}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

func expandArray(_ *Ctx, a values, emit func(values) error) error {
	elems, err := types.DecodeArray(elemKind(a[0].Type), a[0].S)
	if err != nil {
		return fmt.Errorf("_pg_expandarray: %w", err)
	}
	for i, e := range elems {
		if err := emit(values{e, types.NewInt(types.Int4, int64(i+1))}); err != nil {
			return err
		}
	}
	return nil
}

// textSets split text.
func textSets() []SetDef {
	return []SetDef{
		{Name: "string_to_table", Args: args{tText, tText}, CalledOnNull: true, Cols: oneCol("string_to_table", tText),
			Eval: stringToTable, Doc: "The parts of a text between separators; NULL separates all characters.",
			Examples: []SetExample{{"string_to_table('a,b', ',')", []string{"a", "b"}}}},
		{Name: "string_to_table", Args: args{tText, tText, tText}, CalledOnNull: true, Cols: oneCol("string_to_table", tText),
			Eval: stringToTable, Doc: "The same, with a text that stands for NULL.",
			Examples: []SetExample{{"string_to_table('a,-', ',', '-')", []string{"a", "NULL"}}}},
	}
}

func stringToTable(_ *Ctx, a values, emit func(values) error) error {
	if a[0].Null || a[0].S == "" {
		return nil
	}
	var parts []string
	switch {
	case a[1].Null:
		parts = strings.Split(a[0].S, "")
	case a[1].S == "":
		parts = []string{a[0].S}
	default:
		parts = strings.Split(a[0].S, a[1].S)
	}
	for _, p := range parts {
		v := types.NewText(p)
		v.Null = len(a) > 2 && !a[2].Null && p == a[2].S
		if err := emit(values{v}); err != nil {
			return err
		}
	}
	return nil
}
