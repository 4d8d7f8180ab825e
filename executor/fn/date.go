package fn

import (
	"math"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func timestampRange() error {
	return sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp out of range")
}

func dateRange() error { return sqlerr.New(sqlerr.DatetimeFieldOverflow, "date out of range") }

func infinite(us int64) bool { return us == int64(types.MinTime) || us == int64(types.MaxTime) }

func infiniteDate(d int64) bool { return d == math.MinInt32 || d == math.MaxInt32 }

func dateDefs() []Def {
	var out []Def
	for _, t := range []types.Type{tTimestamp, tTimestampTZ} {
		k := t.Kind
		add := func(sign int64) eval {
			return func(ctx *Ctx, a values) (value, error) {
				us, err := addToTime(a[0].I, a[1], sign, zoneFor(ctx, k))
				return types.NewInt(k, us), err
			}
		}
		diff := func(_ *Ctx, a values) (value, error) { return timeDiff(a[0].I, a[1].I) }
		finite := func(_ *Ctx, a values) (value, error) { return boolean(!infinite(a[0].I)) }
		out = append(out,
			def("+", args{t, tInterval}, t, add(1)).stableIf(k == types.TimestampTZ).about("Adds an interval.", "timestamp '2001-09-28 01:00' + interval '23 hours'", "2001-09-29 00:00:00"),
			def("-", args{t, tInterval}, t, add(-1)).stableIf(k == types.TimestampTZ).about("Subtracts an interval.", "timestamp '2001-09-28 23:00' - interval '23 hours'", "2001-09-28 00:00:00"),
			def("+", args{tInterval, t}, t, func(ctx *Ctx, a values) (value, error) {
				us, err := addToTime(a[1].I, a[0], 1, zoneFor(ctx, k))
				return types.NewInt(k, us), err
			}).stableIf(k == types.TimestampTZ).about("Adds an interval."),
			def("-", args{t, t}, tInterval, diff).about("Difference in days and time.", "timestamp '2001-09-29 03:00' - timestamp '2001-07-27 12:00'", "63 days 15:00:00"),
			def("isfinite", args{t}, tBool, finite).about("Whether it is not infinity.", "isfinite(timestamp 'infinity')", "f"),
			def("age", args{t, t}, tInterval, age).about("Difference in years, months, days and time.", "age(timestamp '2001-04-10', timestamp '1957-06-13')", "43 years 9 mons 27 days"),
			def("age", args{t}, tInterval, func(ctx *Ctx, a values) (value, error) {
				return ageOf(localDay(ctx, ctx.Now), a[0].I+offset(a[0].I, zoneFor(ctx, k)))
			}).stable().about("Age at midnight today."))
	}
	return append(out, plainDateDefs()...)
}

func (d Def) stableIf(b bool) Def {
	if b {
		return d.stable()
	}
	return d
}

// zoneFor is the zone whose calendar arithmetic on a kind uses.
func zoneFor(ctx *Ctx, k types.Kind) *time.Location {
	if k == types.TimestampTZ {
		return ctx.TimeZone
	}
	return nil
}

func offset(us int64, loc *time.Location) int64 { return types.ZoneOffset(types.EventTime(us), loc) }

// localDay returns midnight of the session's today, in local microseconds.
func localDay(ctx *Ctx, now types.EventTime) int64 {
	local := int64(now) + types.ZoneOffset(now, ctx.TimeZone)
	return local - mod(local, microsPerDay)
}

// mod is the remainder of floor division.
func mod(a, b int64) int64 {
	if r := a % b; r < 0 {
		return r + b
	} else {
		return r
	}
}

func plainDateDefs() []Def {
	plus := func(sign int64, date, days int) eval {
		return func(_ *Ctx, a values) (value, error) { return addDays(a[date].I, sign*a[days].I) }
	}
	toTime := func(sign int64, date, iv int) eval {
		return func(_ *Ctx, a values) (value, error) {
			us, err := dateMicros(a[date].I)
			if err == nil {
				us, err = addToTime(us, a[iv], sign, nil)
			}
			return types.NewInt(types.Timestamp, us), err
		}
	}
	return []Def{
		def("+", args{tDate, tInt4}, tDate, plus(1, 0, 1)).about("Adds days.", "date '2001-09-28' + 7", "2001-10-05"),
		def("+", args{tInt4, tDate}, tDate, plus(1, 1, 0)).about("Adds days."),
		def("-", args{tDate, tInt4}, tDate, plus(-1, 0, 1)).about("Subtracts days.", "date '2001-10-01' - 7", "2001-09-24"),
		def("-", args{tDate, tDate}, tInt4, func(_ *Ctx, a values) (value, error) {
			if infiniteDate(a[0].I) || infiniteDate(a[1].I) {
				return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "cannot subtract infinite dates")
			}
			return int4(a[0].I - a[1].I)
		}).about("Difference in days.", "date '2001-10-01' - date '2001-09-28'", "3"),
		def("+", args{tDate, tInterval}, tTimestamp, toTime(1, 0, 1)).about("Adds an interval.", "date '2001-09-28' + interval '1 hour'", "2001-09-28 01:00:00"),
		def("+", args{tInterval, tDate}, tTimestamp, toTime(1, 1, 0)).about("Adds an interval."),
		def("-", args{tDate, tInterval}, tTimestamp, toTime(-1, 0, 1)).about("Subtracts an interval.", "date '2001-09-28' - interval '1 hour'", "2001-09-27 23:00:00"),
		def("isfinite", args{tDate}, tBool, func(_ *Ctx, a values) (value, error) { return boolean(!infiniteDate(a[0].I)) }).about("Whether it is not infinity.", "isfinite(date '2001-02-16')", "t"),
		def("make_date", args{tInt4, tInt4, tInt4}, tDate, func(_ *Ctx, a values) (value, error) {
			y, m, d := a[0].I, a[1].I, a[2].I
			if y < 0 {
				y++
			}
			if a[0].I == 0 || m < 1 || m > 12 || d < 1 || d > int64(types.DaysInMonth(y, int(m))) {
				return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date field value out of range: %d-%02d-%02d", a[0].I, m, d)
			}
			days := types.DaysFromCivil(y, int(m), int(d))
			if days < firstDay || days > lastDay {
				return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date out of range: %d-%02d-%02d", a[0].I, m, d)
			}
			return types.NewInt(types.Date, days), nil
		}).about("From year, month and day.", "make_date(2013, 7, 15)", "2013-07-15"),
	}
}

func addDays(date, days int64) (value, error) {
	if infiniteDate(date) {
		return types.NewInt(types.Date, date), nil
	}
	d := date + days
	if d < firstDay || d > lastDay {
		return value{}, dateRange()
	}
	return types.NewInt(types.Date, d), nil
}

// The first and last day of a calendar that counts days from 4714-11-24 BC.
var (
	firstDay = types.DaysFromCivil(-4713, 11, 24)
	lastDay  = types.DaysFromCivil(5874897, 12, 31)
)

// dateMicros is midnight of a date.
func dateMicros(d int64) (int64, error) {
	switch {
	case d == math.MinInt32:
		return int64(types.MinTime), nil
	case d == math.MaxInt32:
		return int64(types.MaxTime), nil
	case d > math.MaxInt64/microsPerDay-1 || d < math.MinInt64/microsPerDay+1:
		return 0, sqlerr.New(sqlerr.DatetimeFieldOverflow, "date out of range for timestamp")
	}
	return d * microsPerDay, nil
}

// addToTime adds an interval: months on the calendar (the day cut to the month's length), days on the calendar, then time.
func addToTime(us int64, iv value, sign int64, loc *time.Location) (int64, error) {
	v, err := types.DecodeInterval(iv.S)
	if err != nil || infinite(us) {
		return us, err
	}
	months, days := sign*int64(v.Months), sign*int64(v.Days)
	if months != 0 || days != 0 {
		local := us + offset(us, loc)
		day := mod(local, microsPerDay)
		date := (local - day) / microsPerDay
		if months != 0 {
			y, m, d := types.CivilFromDays(date)
			total := y*12 + int64(m-1) + months
			y, m = (total-mod(total, 12))/12, int(mod(total, 12))+1
			date = types.DaysFromCivil(y, m, min(d, types.DaysInMonth(y, m)))
		}
		date += days
		if date > math.MaxInt64/microsPerDay-2 || date < firstDay-1 {
			return 0, timestampRange()
		}
		us = int64(types.LocalToUTC(date*microsPerDay+day, loc))
	}
	sum, over := addOver(us, v.Micros)
	if sign < 0 {
		sum, over = subOver(us, v.Micros)
	}
	if over || infinite(sum) || sum < firstDay*microsPerDay {
		return 0, timestampRange()
	}
	return sum, nil
}

// timeDiff is timestamp subtraction: whole days and the time left.
func timeDiff(a, b int64) (value, error) {
	if infinite(a) || infinite(b) {
		return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "cannot subtract infinite timestamps")
	}
	us, over := subOver(a, b)
	if over {
		return value{}, intervalRange()
	}
	return interval(0, us/microsPerDay, us%microsPerDay)
}

func age(ctx *Ctx, a values) (value, error) {
	loc := zoneFor(ctx, a[0].Type.Kind)
	return ageOf(a[0].I+offset(a[0].I, loc), a[1].I+offset(a[1].I, loc))
}

// ageOf counts years, months, days and time from b to a, both local microseconds.
func ageOf(a, b int64) (value, error) {
	if infinite(a) || infinite(b) {
		return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "cannot subtract infinite timestamps")
	}
	sign := int64(1)
	if a < b {
		a, b, sign = b, a, -1
	}
	ta, tb := mod(a, microsPerDay), mod(b, microsPerDay)
	ya, ma, da := types.CivilFromDays((a - ta) / microsPerDay)
	yb, mb, db := types.CivilFromDays((b - tb) / microsPerDay)
	months, days, us := (ya-yb)*12+int64(ma-mb), int64(da-db), ta-tb
	if us < 0 {
		us += microsPerDay
		days--
	}
	if days < 0 { // borrow the month of the earlier date
		days += int64(types.DaysInMonth(yb, mb))
		months--
	}
	return interval(sign*months, sign*days, sign*us)
}
