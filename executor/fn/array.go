package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func elemOf(in []types.Type) types.Type {
	for _, t := range in {
		if t.Kind == types.Array {
			return types.T(t.Elem)
		}
	}
	return tText
}

// arrayOf is the result type of functions that return the array type among their arguments.
func arrayOf(in []types.Type) types.Type {
	for _, t := range in {
		if t.Kind == types.Array && t.Elem != types.Unknown {
			return types.ArrayOf(t.Elem)
		}
	}
	for _, t := range in {
		if t.Kind != types.Array && t.Kind != types.Unknown {
			return types.ArrayOf(t.Kind)
		}
	}
	return tTextArray
}

func elements(v value) (values, error) {
	if v.Null {
		return nil, nil
	}
	return types.DecodeArray(v.Type.Elem, v.S)
}

func arrayDefs() []Def {
	dim := func(f func(n, low int64) int64) eval {
		return func(_ *Ctx, a values) (value, error) {
			e, err := elements(a[0])
			if err != nil || len(e) == 0 || a[1].I != 1 {
				return types.Null(tInt4), err
			}
			return int4(f(int64(len(e)), a[0].Type.LowerBound()))
		}
	}
	out := []Def{
		def("array_length", args{tAnyArray, tInt4}, tInt4, dim(func(n, _ int64) int64 { return n })).alike().about("Length of a dimension; NULL for an empty array.", "array_length(array[1,2,3], 1)", "3"),
		def("array_upper", args{tAnyArray, tInt4}, tInt4, dim(func(n, low int64) int64 { return low + n - 1 })).alike().about("Largest subscript of a dimension.", "array_upper(array[1,8,3,7], 1)", "4"),
		def("array_lower", args{tAnyArray, tInt4}, tInt4, dim(func(_, low int64) int64 { return low })).alike().about("Smallest subscript of a dimension.", "array_lower(array[1,8], 1)", "1"),
		def("array_ndims", args{tAnyArray}, tInt4, func(_ *Ctx, a values) (value, error) {
			e, err := elements(a[0])
			if err != nil || len(e) == 0 {
				return types.Null(tInt4), err
			}
			return int4(1)
		}).alike().about("Number of dimensions.", "array_ndims(array[1,2])", "1"),
		def("cardinality", args{tAnyArray}, tInt4, func(_ *Ctx, a values) (value, error) {
			e, err := elements(a[0])
			return types.NewInt(types.Int4, int64(len(e))), err
		}).alike().about("Number of elements.", "cardinality(array[1,2])", "2"),
		def("array_position", args{tAnyArray, tAny}, tInt4, arrayPosition).onNull().compatible().about("Subscript of the first equal element.", "array_position(array['sun','mon','tue'], 'mon')", "2"),
		def("array_append", args{tAnyArray, tAny}, tAnyArray, arrayAppend).onNull().retOf(arrayOf).compatible().about("With an element at the end.", "array_append(array[1,2], 3)", "{1,2,3}"),
		def("array_prepend", args{tAny, tAnyArray}, tAnyArray, arrayPrepend).onNull().retOf(arrayOf).compatible().about("With an element at the start.", "array_prepend(1, array[2,3])", "{1,2,3}"),
		def("array_cat", args{tAnyArray, tAnyArray}, tAnyArray, arrayCat).onNull().retOf(arrayOf).compatible().about("Both arrays.", "array_cat(array[1,2], array[3])", "{1,2,3}"),
		def("array_remove", args{tAnyArray, tAny}, tAnyArray, arrayRemove).onNull().retOf(arrayOf).compatible().about("Without the elements equal to one.", "array_remove(array[1,2,3,2], 2)", "{1,3}"),
		def("array_to_string", args{tAnyArray, tText}, tText, arrayToString).stable().alike().about("Elements with a separator, NULL left out.", "array_to_string(array[1,2,NULL,3], ',')", "1,2,3"),
		def("array_to_string", args{tAnyArray, tText, tText}, tText, arrayToString).onNull().stable().alike().about("The same with a text for NULL.", "array_to_string(array[1,NULL,3], ',', '*')", "1,*,3"),
	}
	return append(out, arrayOpDefs()...)
}

func arrayOpDefs() []Def {
	two := args{tAnyArray, tAnyArray}
	rel := func(f func(x, y values) bool) eval {
		return func(_ *Ctx, a values) (value, error) {
			x, err := elements(a[0])
			if err != nil {
				return value{}, err
			}
			y, err := elements(a[1])
			return types.NewBool(f(x, y)), err
		}
	}
	within := func(x, y values) bool { // every element of y is in x
		for _, e := range y {
			if e.Null || index(x, e) < 0 {
				return false
			}
		}
		return true
	}
	return []Def{
		def("||", two, tAnyArray, arrayCat).onNull().retOf(arrayOf).compatible().about("Both arrays.", "array[1,2] || array[3]", "{1,2,3}"),
		def("||", args{tAnyArray, tAny}, tAnyArray, arrayAppend).onNull().retOf(arrayOf).compatible().about("With an element at the end.", "array[1,2] || 3", "{1,2,3}"),
		def("||", args{tAny, tAnyArray}, tAnyArray, arrayPrepend).onNull().retOf(arrayOf).compatible().about("With an element at the start.", "1 || array[2,3]", "{1,2,3}"),
		def("@>", two, tBool, rel(within)).alike().about("Contains every element of the second.", "array[1,4,3] @> array[3,1]", "t"),
		def("<@", two, tBool, rel(func(x, y values) bool { return within(y, x) })).alike().about("Every element is in the second.", "array[2,7] <@ array[1,7,4,2,6]", "t"),
		def("&&", two, tBool, rel(func(x, y values) bool {
			for _, e := range y {
				if !e.Null && index(x, e) >= 0 {
					return true
				}
			}
			return false
		})).alike().about("They share an element.", "array[1,4,3] && array[2,1]", "t"),
	}
}

// index returns the position of the first element equal to e (NULL equals NULL), -1 if there is none.
func index(list values, e value) int {
	for i, x := range list {
		if x.Null != e.Null {
			continue
		}
		if x.Null {
			return i
		}
		x.Type = e.Type
		if types.Equal(x, e) {
			return i
		}
	}
	return -1
}

func arrayPosition(_ *Ctx, a values) (value, error) {
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	from := int64(0)
	if len(a) > 2 && !a[0].Null {
		if a[2].Null {
			return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "initial position must not be null")
		}
		from = min(max(a[2].I-1, 0), int64(len(e)))
	}
	if i := index(e[from:], a[1]); i >= 0 && !a[0].Null {
		return int4(from + int64(i) + 1)
	}
	return null(tInt4)
}

// joined makes an array of the element type of whichever argument is an array.
func joined(a values, elems values) (value, error) {
	in := make([]types.Type, len(a))
	for i := range a {
		in[i] = a[i].Type
	}
	return types.NewArray(elemOf(in).Kind, elems), nil
}

func arrayAppend(_ *Ctx, a values) (value, error) {
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	return joined(a, append(e, a[1]))
}

func arrayPrepend(_ *Ctx, a values) (value, error) {
	e, err := elements(a[1])
	if err != nil {
		return value{}, err
	}
	return joined(a, append(values{a[0]}, e...))
}

func arrayCat(_ *Ctx, a values) (value, error) {
	if a[0].Null {
		return a[1], nil
	}
	x, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	y, err := elements(a[1])
	if err != nil {
		return value{}, err
	}
	return joined(a, append(x, y...))
}

func arrayRemove(_ *Ctx, a values) (value, error) {
	if a[0].Null {
		return a[0], nil
	}
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	var keep values
	for _, x := range e {
		if index(values{x}, a[1]) < 0 {
			keep = append(keep, x)
		}
	}
	return joined(a, keep)
}

func arrayToString(ctx *Ctx, a values) (value, error) {
	if a[0].Null || a[1].Null {
		return null(tText)
	}
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	var parts []string
	for _, x := range e {
		switch {
		case !x.Null:
			parts = append(parts, textOf(ctx, x))
		case len(a) > 2 && !a[2].Null:
			parts = append(parts, a[2].S)
		}
	}
	return text(strings.Join(parts, a[1].S))
}
