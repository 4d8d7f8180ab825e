package fn

import (
	"math"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// makeTimeDefs put moments together and compare spans of time.
func makeTimeDefs() []Def {
	six := args{tInt4, tInt4, tInt4, tInt4, tInt4, tFloat8}
	out := []Def{
		def("make_timestamp", six, tTimestamp, func(_ *Ctx, a values) (value, error) {
			us, err := localOf(a)
			return types.NewInt(types.Timestamp, us), err
		}).about("From year, month, day, hour, minute and second.", "make_timestamp(2013, 7, 15, 8, 15, 23.5)", "2013-07-15 08:15:23.5"),
		def("make_timestamptz", six, tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			return instantOf(a, ctx.TimeZone)
		}).stable().about("The same in the session's time zone.", "make_timestamptz(2013, 7, 15, 8, 15, 23.5)", "2013-07-15 08:15:23.5+00"),
		def("make_timestamptz", append(six[:6:6], tText), tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			if _, err := localOf(a); err != nil {
				return value{}, err
			}
			loc, err := ctx.zone(a[6].S)
			if err != nil {
				return value{}, err
			}
			return instantOf(a, loc)
		}).stable().about("The same in a time zone.", "make_timestamptz(2013, 7, 15, 8, 15, 23.5, 'America/New_York')", "2013-07-15 12:15:23.5+00"),
	}
	for _, t := range []types.Type{tTimestamp, tTimestampTZ} {
		k := t.Kind
		for _, in := range []args{{t, t, t, t}, {t, tInterval, t, t}, {t, t, t, tInterval}, {t, tInterval, t, tInterval}} {
			out = append(out, def("overlaps", in, tBool, func(ctx *Ctx, a values) (value, error) { return overlaps(ctx, k, a) }).onNull().
				stableIf(k == types.TimestampTZ).about("What (a, b) OVERLAPS (c, d) calls: whether two spans of time, each of two moments or a moment and a length, share a moment."))
		}
	}
	return out
}

// localOf is the local time of year, month, day, hour, minute and second.
func localOf(a values) (int64, error) {
	y, m, d := a[0].I, a[1].I, a[2].I
	if y < 0 {
		y++
	}
	if a[0].I == 0 || m < 1 || m > 12 || y > 294276 || y < -4713 || d < 1 || d > int64(types.DaysInMonth(y, int(m))) {
		return 0, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date field value out of range: %d-%02d-%02d", a[0].I, m, d)
	}
	h, min, sec := a[3].I, a[4].I, a[5].F
	if h < 0 || min < 0 || min > 59 || !(sec >= 0 && sec <= 60) || h > 24 || h == 24 && (min > 0 || sec > 0) {
		return 0, sqlerr.New(sqlerr.DatetimeFieldOverflow, "time field value out of range: %d:%02d:%02v", h, min, sec)
	}
	us := types.DaysFromCivil(y, int(m), int(d))*microsPerDay + h*microsPerHour + min*60*microsPerSecond
	return us + int64(math.RoundToEven(sec*1e6)), nil
}

func instantOf(a values, loc *time.Location) (value, error) {
	us, err := localOf(a)
	if err != nil {
		return value{}, err
	}
	return types.NewTime(types.LocalToUTC(us, loc)), nil
}

// overlaps is SQL's: a span begins at its smaller end, one without length is a moment, and an unknown end leaves the answer
// unknown unless the other spans decide.
func overlaps(ctx *Ctx, k types.Kind, a values) (value, error) {
	for _, i := range []int{1, 3} { // a length becomes an end
		if a[i].Type.Kind != types.Interval {
			continue
		}
		if a[i].Null || a[i-1].Null {
			a[i] = types.Null(types.T(k))
			continue
		}
		us, err := addToTime(a[i-1].I, a[i], 1, zoneFor(ctx, k))
		if err != nil {
			return value{}, err
		}
		a[i] = types.NewInt(k, us)
	}
	s1, e1, ok1 := span(a[0], a[1])
	s2, e2, ok2 := span(a[2], a[3])
	if !ok1 || !ok2 {
		return null(tBool)
	}
	switch {
	case s1.I > s2.I:
		return startsWithin(s1, e1, e2)
	case s1.I < s2.I:
		return startsWithin(s2, e2, e1)
	case e1.Null || e2.Null:
		return null(tBool)
	}
	return boolean(true)
}

// span puts the ends of a span in order; a NULL becomes the second. ok is false when both are NULL.
func span(a, b value) (start, end value, ok bool) {
	if a.Null || !b.Null && a.I > b.I {
		a, b = b, a
	}
	return a, b, !a.Null
}

// startsWithin decides for the span [s, e] that begins after another, which ends at end.
func startsWithin(s, e, end value) (value, error) {
	switch {
	case end.Null:
		return null(tBool)
	case s.I < end.I:
		return boolean(true)
	case e.Null:
		return null(tBool)
	}
	return boolean(false)
}
