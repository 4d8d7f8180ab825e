package fn

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// arrayMax bounds the elements of an array that a function makes.
const arrayMax = 16 << 20

func arrayMoreDefs() []Def {
	return []Def{
		def("array_dims", args{tAnyArray}, tText, func(_ *Ctx, a values) (value, error) {
			e, err := elements(a[0])
			if err != nil || len(e) == 0 {
				return types.Null(tText), err
			}
			return text(fmt.Sprintf("[1:%d]", len(e)))
		}).alike().about("The bounds of the dimensions; NULL for an empty array.", "array_dims(array[1,2,3])", "[1:3]"),
		def("array_fill", args{tAny, types.ArrayOf(types.Int4)}, tAnyArray, arrayFill).onNull().alike().retOf(arrayAround).
			about("An array of so many copies of a value.", "array_fill(11, array[3])", "{11,11,11}"),
		def("array_position", args{tAnyArray, tAny, tInt4}, tInt4, arrayPosition).onNull().compatible().
			about("Subscript of the first equal element from a subscript on.", "array_position(array['a','b','a'], 'a', 2)", "3"),
		def("array_positions", args{tAnyArray, tAny}, types.ArrayOf(types.Int4), arrayPositions).onNull().compatible().
			about("Subscripts of all equal elements.", "array_positions(array['A','A','B','A'], 'A')", "{1,2,4}"),
		def("array_replace", args{tAnyArray, tAny, tAny}, tAnyArray, arrayReplace).onNull().compatible().retOf(arrayOf).
			about("With each element equal to one replaced.", "array_replace(array[1,2,5,4], 5, 3)", "{1,2,3,4}"),
		def("trim_array", args{tAnyArray, tInt4}, tAnyArray, trimArray).alike().retOf(arrayOf).
			about("Without so many elements at the end.", "trim_array(array[1,2,3,4,5,6], 2)", "{1,2,3,4}"),
	}
}

// arrayAround is the type of arrays of the first argument's type.
func arrayAround(in []types.Type) types.Type { return types.ArrayOf(in[0].Kind) }

func arrayFill(_ *Ctx, a values) (value, error) {
	if a[1].Null {
		return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "dimension array or low bound array cannot be null")
	}
	dims, err := elements(a[1])
	if err != nil {
		return value{}, err
	}
	for _, d := range dims {
		if d.Null {
			return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "dimension values cannot be null")
		}
	}
	if len(dims) > 1 {
		return value{}, sqlerr.NotSupported("an array of more than one dimension", "Use an array of one dimension, or jsonb.")
	}
	n := int64(0)
	if len(dims) == 1 {
		n = dims[0].I
	}
	switch {
	case n < 0 || n > arrayMax:
		return value{}, sqlerr.New(sqlerr.ProgramLimitExceeded, "array size exceeds the maximum allowed (%d)", arrayMax)
	case int64(len(a[0].S))*n > textMax:
		return value{}, tooLong()
	}
	list := make(values, n)
	for i := range list {
		list[i] = a[0]
	}
	return types.NewArray(a[0].Type.Kind, list), nil
}

func arrayPositions(_ *Ctx, a values) (value, error) {
	if a[0].Null {
		return null(types.ArrayOf(types.Int4))
	}
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	var out values
	for i, x := range e {
		if index(values{x}, a[1]) == 0 {
			out = append(out, types.NewInt(types.Int4, int64(i)+1))
		}
	}
	return types.NewArray(types.Int4, out), nil
}

func arrayReplace(_ *Ctx, a values) (value, error) {
	if a[0].Null {
		return a[0], nil
	}
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	for i, x := range e {
		if index(values{x}, a[1]) == 0 {
			e[i] = a[2]
		}
	}
	return joined(a, e)
}

func trimArray(_ *Ctx, a values) (value, error) {
	e, err := elements(a[0])
	if err != nil {
		return value{}, err
	}
	if a[1].I < 0 || a[1].I > int64(len(e)) {
		return value{}, sqlerr.New("2202E", "number of elements to trim must be between 0 and %d", len(e))
	}
	return joined(a[:1], e[:int64(len(e))-a[1].I])
}
