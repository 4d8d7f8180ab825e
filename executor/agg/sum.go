package agg

import "github.com/vigil-sql/vigil/executor/types"

func sumDef() Def {
	return Def{
		Name: "sum",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			return bindSum(args, distinct, false)
		},
		Doc: "Sum of the values that are not NULL; NULL when there are none. smallint and integer add up to bigint, bigint and numeric to numeric, exactly.",
		Examples: []Example{
			{"SELECT sum(x) FROM (VALUES (1), (2), (NULL)) v(x)", "3"},
			{"SELECT sum(x) FROM (VALUES (9223372036854775807), (1)) v(x)", "9223372036854775808"},
			{"SELECT sum(x) FROM (VALUES (1.5), (2.25)) v(x)", "3.75"},
			{"SELECT sum(x) FROM (VALUES (NULL::integer)) v(x)", "NULL"},
			{"SELECT sum(x) FROM (VALUES (0.1::double precision), (0.2::double precision), (0.3::double precision)) v(x)", "0.6"},
			{"SELECT sum(DISTINCT x) FROM (VALUES (2), (2), (3)) v(x)", "5"},
		},
	}
}

func avgDef() Def {
	return Def{
		Name: "avg",
		Bind: func(args []types.Type, distinct bool) (Kernel, bool) {
			return bindSum(args, distinct, true)
		},
		Doc: "Mean of the values that are not NULL; NULL when there are none. Integers and numeric give numeric, floats double precision.",
		Examples: []Example{
			{"SELECT avg(x) FROM (VALUES (1), (2), (NULL)) v(x)", "1.5000000000000000"},
			{"SELECT avg(x) FROM (VALUES (0)) v(x)", "0.00000000000000000000"},
			{"SELECT avg(x) FROM (VALUES (10), (20)) v(x)", "15.0000000000000000"},
			{"SELECT avg(x) FROM (VALUES (1::double precision), (2::double precision)) v(x)", "1.5"},
		},
	}
}

// bindSum finds the kernel of sum or avg.
func bindSum(args []types.Type, distinct, avg bool) (Kernel, bool) {
	if len(args) != 1 {
		return nil, false
	}
	k, ok := sumKernel(args[0].Kind, avg)
	if ok && distinct {
		k = distinctOf(args, k)
	}
	return k, ok
}

func sumKernel(kind types.Kind, avg bool) (Kernel, bool) {
	numeric := types.T(types.Numeric)
	switch kind {
	case types.Int2, types.Int4:
		if avg {
			return sumInt{avg: true, typ: numeric}, true
		}
		return sumInt{typ: types.T(types.Int8)}, true
	case types.Int8:
		return sumInt{avg: avg, typ: numeric}, true
	case types.Numeric:
		return sumNumeric{avg: avg}, true
	case types.Float4:
		if avg {
			return sumFloat{avg: true, typ: types.T(types.Float8)}, true
		}
		return sumFloat{typ: types.T(types.Float4)}, true
	case types.Float8:
		return sumFloat{avg: avg, typ: types.T(types.Float8)}, true
	case types.Interval:
		return sumInterval{avg: avg}, true
	}
	return nil, false
}
