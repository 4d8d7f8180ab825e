package fn

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// seriesSets are generate_series and generate_subscripts.
func seriesSets() []SetDef {
	const doc = "The values from start to stop, both included, in steps of step (1 if left out)."
	var out []SetDef
	for _, t := range []types.Type{tInt4, tInt8, tNumeric} {
		eval := intSeries
		if t == tNumeric {
			eval = numericSeries
		}
		for _, in := range []args{{t, t}, {t, t, t}} {
			out = append(out, SetDef{Name: "generate_series", Args: in, Cols: oneCol("generate_series", t), Eval: eval, Doc: doc})
		}
	}
	out[0].Examples = []SetExample{{"generate_series(2, 4)", []string{"2", "3", "4"}}, {"generate_series(4, 2)", nil}}
	out[1].Examples = []SetExample{{"generate_series(5, 1, -2)", []string{"5", "3", "1"}}}
	out[4].Examples = []SetExample{{"generate_series(1.1, 2)", []string{"1.1"}}}
	for _, t := range []types.Type{tTimestamp, tTimestampTZ} {
		out = append(out, SetDef{Name: "generate_series", Args: args{t, t, tInterval}, Cols: oneCol("generate_series", t),
			Eval: timeSeries, Doc: doc})
	}
	const subscripts = "The subscripts of an array's dimension; with true in reverse."
	for _, in := range []args{{tAnyArray, tInt4}, {tAnyArray, tInt4, tBool}} {
		out = append(out, SetDef{Name: "generate_subscripts", Args: in, Cols: oneCol("generate_subscripts", tInt4),
			Eval: subscriptSeries, Doc: subscripts})
	}
	return out
}

func stepZero() error { return sqlerr.New(sqlerr.InvalidParameterValue, "step size cannot equal zero") }

func intSeries(_ *Ctx, a values, emit func(values) error) error {
	step := int64(1)
	if len(a) == 3 {
		step = a[2].I
	}
	if step == 0 {
		return stepZero()
	}
	row := make(values, 1)
	for i := a[0].I; step > 0 && i <= a[1].I || step < 0 && i >= a[1].I; {
		row[0] = types.NewInt(a[0].Type.Kind, i)
		if err := emit(row); err != nil {
			return err
		}
		next := i + step
		if (next > i) != (step > 0) {
			return nil // beyond 64 bits
		}
		i = next
	}
	return nil
}

func numericSeries(_ *Ctx, a values, emit func(values) error) error {
	step := "1"
	if len(a) == 3 {
		step = a[2].S
	}
	sign := types.NumericSign(step)
	if sign == 0 {
		return stepZero()
	}
	for _, v := range a {
		if v.S == "NaN" || v.S == "Infinity" || v.S == "-Infinity" {
			return sqlerr.New(sqlerr.InvalidParameterValue, "bounds and step of generate_series must be finite")
		}
	}
	row := make(values, 1)
	for x := a[0].S; types.NumericCmp(a[1].S, x)*sign >= 0; {
		row[0] = stored(types.Numeric, x)
		if err := emit(row); err != nil {
			return err
		}
		var err error
		if x, err = types.NumericAdd(x, step); err != nil {
			return err
		}
	}
	return nil
}

func timeSeries(ctx *Ctx, a values, emit func(values) error) error {
	iv, err := types.DecodeInterval(a[2].S)
	if err != nil {
		return err
	}
	sign := int64(1)
	switch span := iv.Span(); {
	case span == 0:
		return stepZero()
	case span < 0:
		sign = -1
	}
	if infinite(a[0].I) || infinite(a[1].I) {
		return sqlerr.New(sqlerr.InvalidParameterValue, "bounds of generate_series must be finite")
	}
	row := make(values, 1)
	for t := a[0].I; sign > 0 && t <= a[1].I || sign < 0 && t >= a[1].I; {
		row[0] = types.NewInt(a[0].Type.Kind, t)
		if err := emit(row); err != nil {
			return err
		}
		next, err := addToTime(t, a[2], 1, zoneFor(ctx, a[0].Type.Kind))
		if err != nil {
			return err
		}
		if (next > t) != (sign > 0) {
			return nil // months and days of different sign can stand still
		}
		t = next
	}
	return nil
}

func subscriptSeries(_ *Ctx, a values, emit func(values) error) error {
	elems, err := types.DecodeArray(a[0].Type.Elem, a[0].S)
	if err != nil || a[1].I != 1 {
		return err
	}
	row := make(values, 1)
	for i := range elems {
		n := i
		if len(a) == 3 && a[2].Bool() {
			n = len(elems) - 1 - i
		}
		row[0] = types.NewInt(types.Int4, int64(n)+a[0].Type.LowerBound())
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}
