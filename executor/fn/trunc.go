package fn

import (
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func truncDefs() []Def {
	return []Def{
		def("date_trunc", args{tText, tTimestamp}, tTimestamp, func(_ *Ctx, a values) (value, error) {
			us, err := truncTime(a[0].S, a[1], nil)
			return types.NewInt(types.Timestamp, us), err
		}).about("Cuts to a unit.", "date_trunc('hour', timestamp '2001-02-16 20:38:40')", "2001-02-16 20:00:00"),
		def("date_trunc", args{tText, tTimestampTZ}, tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			us, err := truncTime(a[0].S, a[1], ctx.TimeZone)
			return types.NewInt(types.TimestampTZ, us), err
		}).stable().about("Cuts to a unit in the session's time zone.", "date_trunc('day', timestamptz '2001-02-16 20:38:40+00')", "2001-02-16 00:00:00+00"),
		def("date_trunc", args{tText, tTimestampTZ, tText}, tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			loc, err := ctx.zone(a[2].S)
			if err != nil {
				return value{}, err
			}
			us, err := truncTime(a[0].S, a[1], loc)
			return types.NewInt(types.TimestampTZ, us), err
		}).about("Cuts to a unit in a time zone.", "date_trunc('day', timestamptz '2001-02-16 20:38:40+00', 'Australia/Sydney')", "2001-02-16 13:00:00+00"),
		def("date_trunc", args{tText, tInterval}, tInterval, truncInterval).about("Cuts to a unit.", "date_trunc('hour', interval '2 days 3 hours 40 minutes')", "2 days 03:00:00"),
		def("date_bin", args{tInterval, tTimestampTZ, tTimestampTZ}, tTimestampTZ, dateBin(types.TimestampTZ)).
			about("Start of the bin of a width that begins at an origin.", "date_bin('15 minutes', timestamptz '2020-02-11 15:44:17+00', timestamptz '2001-01-01+00')", "2020-02-11 15:30:00+00"),
		def("date_bin", args{tInterval, tTimestamp, tTimestamp}, tTimestamp, dateBin(types.Timestamp)).
			about("Start of the bin of a width that begins at an origin.", "date_bin('15 minutes', timestamp '2020-02-11 15:44:17', timestamp '2001-01-01')", "2020-02-11 15:30:00"),
	}
}

// unitOf resolves the spellings of a field: "hours", "hr" -> "hour".
func unitOf(s string) string {
	u := strings.ToLower(s)
	if f, ok := unitAliases[u]; ok {
		return f
	}
	return u
}

var unitAliases = map[string]string{"us": "microseconds", "usec": "microseconds", "usecs": "microseconds", "microsecond": "microseconds", "useconds": "microseconds",
	"ms": "milliseconds", "msec": "milliseconds", "msecs": "milliseconds", "millisecond": "milliseconds", "mseconds": "milliseconds",
	"seconds": "second", "sec": "second", "secs": "second", "s": "second", "minutes": "minute", "min": "minute", "mins": "minute", "m": "minute",
	"hours": "hour", "hr": "hour", "hrs": "hour", "h": "hour", "days": "day", "d": "day", "weeks": "week", "w": "week", "months": "month", "mon": "month", "mons": "month",
	"qtr": "quarter", "quarters": "quarter", "years": "year", "yr": "year", "yrs": "year", "y": "year", "decades": "decade", "dec": "decade", "decs": "decade",
	"centuries": "century", "cent": "century", "c": "century", "millenniums": "millennium", "millennia": "millennium", "mil": "millennium", "mils": "millennium"}

func badUnit(unit string, t types.Type) error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "unit \"%s\" not recognized for type %s", strings.ToLower(unit), t)
}

// unsupportedUnit is the error for a field that exists but not for the type.
func unsupportedUnit(unit string, t types.Type) error {
	return sqlerr.New(sqlerr.FeatureNotSupported, "unit \"%s\" not supported for type %s", strings.ToLower(unit), t)
}

// smallUnits are the units shorter than a day in microseconds.
var smallUnits = map[string]int64{"microseconds": 1, "milliseconds": 1000, "second": microsPerSecond, "minute": 60 * microsPerSecond, "hour": microsPerHour}

func truncTime(unit string, v value, loc *time.Location) (int64, error) {
	u := unitOf(unit)
	us := v.I
	if infinite(us) {
		return us, nil
	}
	local := us + offset(us, loc)
	if n, ok := smallUnits[u]; ok { // offsets are whole seconds but not whole hours everywhere
		r := mod(local, n)
		return us - r, nil
	}
	date := (local - mod(local, microsPerDay)) / microsPerDay
	y, m, _ := types.CivilFromDays(date)
	switch u {
	case "day":
	case "week":
		date -= mod(date+3, 7) // 1970-01-01 was a Thursday
	case "month":
		date = types.DaysFromCivil(y, m, 1)
	case "quarter":
		date = types.DaysFromCivil(y, (m-1)/3*3+1, 1)
	case "year":
		date = types.DaysFromCivil(y, 1, 1)
	case "decade":
		date = types.DaysFromCivil(y-mod(y, 10), 1, 1)
	case "century":
		date = types.DaysFromCivil(y-mod(y-1, 100), 1, 1)
	case "millennium":
		date = types.DaysFromCivil(y-mod(y-1, 1000), 1, 1)
	default:
		return 0, badUnit(unit, v.Type)
	}
	return int64(types.LocalToUTC(date*microsPerDay, loc)), nil
}

func truncInterval(_ *Ctx, a values) (value, error) {
	iv, err := types.DecodeInterval(a[1].S)
	if err != nil {
		return value{}, err
	}
	u := unitOf(a[0].S)
	if n, ok := smallUnits[u]; ok {
		iv.Micros -= iv.Micros % n
		return types.NewInterval(iv), nil
	}
	months := map[string]int32{"month": 1, "quarter": 3, "year": 12, "decade": 120, "century": 1200, "millennium": 12000}
	iv.Micros = 0
	if n, ok := months[u]; ok {
		iv.Days = 0
		iv.Months -= iv.Months % n
	} else if u == "week" {
		return value{}, unsupportedUnit(a[0].S, tInterval).(*sqlerr.Error).WithDetail("Months usually have fractional weeks.")
	} else if u != "day" {
		return value{}, badUnit(a[0].S, tInterval)
	}
	return types.NewInterval(iv), nil
}

func dateBin(k types.Kind) eval {
	return func(_ *Ctx, a values) (value, error) {
		iv, err := types.DecodeInterval(a[0].S)
		if err != nil {
			return value{}, err
		}
		if iv.Months != 0 {
			return value{}, sqlerr.New(sqlerr.FeatureNotSupported, "timestamps cannot be binned into intervals containing months or years")
		}
		stride := iv.Span()
		if stride <= 0 {
			return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "stride must be greater than zero")
		}
		if infinite(a[1].I) {
			return a[1], nil
		}
		if infinite(a[2].I) {
			return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "origin out of range")
		}
		d, over := subOver(a[1].I, a[2].I)
		if over {
			return value{}, intervalRange()
		}
		return types.NewInt(k, a[1].I-mod(d, stride)), nil
	}
}
