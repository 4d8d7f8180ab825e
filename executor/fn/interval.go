package fn

import (
	"math"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

const (
	microsPerSecond = int64(1_000_000)
	microsPerHour   = 3600 * microsPerSecond
	microsPerDay    = 24 * microsPerHour
)

func intervalRange() error {
	return sqlerr.New(sqlerr.DatetimeFieldOverflow, "interval out of range")
}

// interval makes a value, checking that months and days fit.
func interval(months, days, us int64) (value, error) {
	if months != int64(int32(months)) || days != int64(int32(days)) {
		return value{}, intervalRange()
	}
	return types.NewInterval(types.IntervalValue{Months: int32(months), Days: int32(days), Micros: us}), nil
}

func intervalDefs() []Def {
	two := args{tInterval, tInterval}
	mul := func(_ *Ctx, a values) (value, error) { return scale(a[0], a[1].F) }
	return []Def{
		def("+", two, tInterval, func(_ *Ctx, a values) (value, error) { return addIntervals(a[0], a[1], 1) }).
			about("Sum.", "interval '1 day' + interval '1 hour'", "1 day 01:00:00"),
		def("-", two, tInterval, func(_ *Ctx, a values) (value, error) { return addIntervals(a[0], a[1], -1) }).
			about("Difference.", "interval '1 day' - interval '1 hour'", "1 day -01:00:00"),
		def("-", args{tInterval}, tInterval, func(_ *Ctx, a values) (value, error) {
			return addIntervals(types.NewInterval(types.IntervalValue{}), a[0], -1)
		}).about("Negation.", "- interval '23 hours'", "-23:00:00"),
		def("*", args{tInterval, tFloat8}, tInterval, mul).about("Multiple.", "interval '1 hour' * 3.5", "03:30:00"),
		def("*", args{tFloat8, tInterval}, tInterval, func(_ *Ctx, a values) (value, error) { return scale(a[1], a[0].F) }).
			about("Multiple.", "900 * interval '1 second'", "00:15:00"),
		def("/", args{tInterval, tFloat8}, tInterval, func(_ *Ctx, a values) (value, error) {
			if a[1].F == 0 {
				return value{}, errDivisionByZero
			}
			return scale(a[0], 1/a[1].F)
		}).about("Fraction.", "interval '1 hour' / 1.5", "00:40:00"),
		def("justify_hours", args{tInterval}, tInterval, justify(true, false)).about("24 hours become a day.", "justify_hours(interval '50 hours 10 minutes')", "2 days 02:10:00"),
		def("justify_days", args{tInterval}, tInterval, justify(false, true)).about("30 days become a month.", "justify_days(interval '1 year 65 days')", "1 year 2 mons 5 days"),
		def("justify_interval", args{tInterval}, tInterval, justify(true, true)).about("Both, with signs made equal.", "justify_interval(interval '1 mon -1 hour')", "29 days 23:00:00"),
		def("make_interval", args{tInt4, tInt4, tInt4, tInt4, tInt4, tInt4, tFloat8}, tInterval, makeInterval).
			about("From years, months, weeks, days, hours, minutes, seconds.", "make_interval(0, 0, 0, 10, 0, 0, 1.5)", "10 days 00:00:01.5"),
		def("isfinite", args{tInterval}, tBool, func(*Ctx, values) (value, error) { return boolean(true) }).about("Always true.", "isfinite(interval '4 hours')", "t"),
	}
}

func addIntervals(a, b value, sign int64) (value, error) {
	x, err := types.DecodeInterval(a.S)
	if err != nil {
		return value{}, err
	}
	y, err := types.DecodeInterval(b.S)
	if err != nil {
		return value{}, err
	}
	var us int64
	var over bool
	if sign < 0 {
		us, over = subOver(x.Micros, y.Micros)
	} else {
		us, over = addOver(x.Micros, y.Micros)
	}
	if over {
		return value{}, intervalRange()
	}
	return interval(int64(x.Months)+sign*int64(y.Months), int64(x.Days)+sign*int64(y.Days), us)
}

func roundMicros(f float64) float64 { return math.RoundToEven(f*1e6) / 1e6 }

// scale multiplies; fractions of months go to days, of days to time, as interval_mul does.
func scale(v value, f float64) (value, error) {
	iv, err := types.DecodeInterval(v.S)
	if err != nil {
		return v, err
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return v, intervalRange()
	}
	months, days := float64(iv.Months)*f, float64(iv.Days)*f
	if math.Abs(months) > math.MaxInt32 || math.Abs(days) > math.MaxInt32 {
		return v, intervalRange()
	}
	m, d := math.Trunc(months), math.Trunc(days)
	moreDays := roundMicros((months - m) * 30)
	secs := roundMicros((days - d + moreDays - math.Trunc(moreDays)) * 86400)
	if math.Abs(secs) >= 86400 {
		whole := math.Trunc(secs / 86400)
		d += whole
		secs -= whole * 86400
	}
	us := math.RoundToEven(float64(iv.Micros)*f + secs*1e6)
	if math.Abs(us) >= math.MaxInt64 {
		return v, intervalRange()
	}
	return interval(int64(m), int64(d+math.Trunc(moreDays)), int64(us))
}

func justify(hours, months bool) eval {
	return func(_ *Ctx, a values) (value, error) {
		iv, err := types.DecodeInterval(a[0].S)
		if err != nil {
			return value{}, err
		}
		m, d, us := int64(iv.Months), int64(iv.Days), iv.Micros
		if hours {
			d += us / microsPerDay
			us %= microsPerDay
		}
		if months {
			m += d / 30
			d %= 30
		}
		if months && (m > 0 && (d < 0 || d == 0 && us < 0) || m < 0 && (d > 0 || d == 0 && us > 0)) {
			s := int64(1)
			if m < 0 {
				s = -1
			}
			m, d = m-s, d+30*s
		}
		if hours && (d > 0 && us < 0 || d < 0 && us > 0) {
			s := int64(1)
			if d < 0 {
				s = -1
			}
			d, us = d-s, us+s*microsPerDay
		}
		return interval(m, d, us)
	}
}

func makeInterval(_ *Ctx, a values) (value, error) {
	secs := a[6].F * 1e6
	if math.IsNaN(secs) || math.Abs(secs) > 1<<62 {
		return value{}, intervalRange()
	}
	us := a[4].I*microsPerHour + a[5].I*60*microsPerSecond + int64(math.RoundToEven(secs))
	return interval(a[0].I*12+a[1].I, a[2].I*7+a[3].I, us)
}
