package fn

import (
	"github.com/vigil-sql/vigil/executor/types"
)

// anyDefs is the functions of any type.
func anyDefs() []Def {
	extreme := func(sign int) eval {
		return func(_ *Ctx, a values) (value, error) {
			best := -1
			for i := range a {
				if !a[i].Null && (best < 0 || sign*types.Compare(a[i], a[best]) > 0) {
					best = i
				}
			}
			if best < 0 {
				return a[0], nil
			}
			return a[best], nil
		}
	}
	return []Def{
		def("greatest", args{tAny}, tAny, extreme(1)).variadic().onNull().retOf(firstArg).
			about("The largest argument, all of one type, leaving NULL out.", "greatest(1, 3, NULL, 2)", "3"),
		def("least", args{tAny}, tAny, extreme(-1)).variadic().onNull().retOf(firstArg).
			about("The smallest argument, all of one type, leaving NULL out.", "least('b', 'a')", "a"),
		def("pg_typeof", args{tAny}, tRegType, func(_ *Ctx, a values) (value, error) {
			return types.NewInt(types.RegType, int64(a[0].Type.OID())), nil
		}).onNull().about("The type of a value.", "pg_typeof(33)", "integer"),
		def("num_nulls", args{tAny}, tInt4, func(_ *Ctx, a values) (value, error) { return int4(countNulls(a)) }).
			variadic().onNull().about("How many arguments are NULL.", "num_nulls(1, NULL, 2)", "1"),
		def("num_nonnulls", args{tAny}, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(len(a)) - countNulls(a)) }).
			variadic().onNull().about("How many arguments are not NULL.", "num_nonnulls(1, NULL, 2)", "2"),
	}
}

func countNulls(a values) int64 {
	n := int64(0)
	for i := range a {
		if a[i].Null {
			n++
		}
	}
	return n
}
