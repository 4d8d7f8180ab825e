package fn

import (
	"math"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// rounded rounds a time to decimal places of a second; more than six are six.
func rounded(v value, places int64) (value, error) {
	if places < 0 {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "TIMESTAMP(%d) precision must not be negative", places)
	}
	v, err := types.ApplyMod(v, int32(min(places, 6))+1, true)
	v.Type.Mod = 0
	return v, err
}

// clockDefs is the functions that read Ctx.Now, time zones, and conversions of epochs.
func clockDefs() []Def {
	var out []Def
	for _, name := range []string{"now", "transaction_timestamp", "statement_timestamp", "current_timestamp"} {
		out = append(out, def(name, nil, tTimestampTZ, func(ctx *Ctx, _ values) (value, error) { return types.NewTime(ctx.Now), nil }).
			stable().about("The time of the epoch in a continuous query, of the statement's start elsewhere."))
	}
	return append(out,
		def("current_timestamp", args{tInt4}, tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			return rounded(types.NewTime(ctx.Now), a[0].I)
		}).stable().about("current_timestamp, rounded to decimal places of a second."),
		def("localtimestamp", args{tInt4}, tTimestamp, func(ctx *Ctx, a values) (value, error) {
			return rounded(types.NewInt(types.Timestamp, int64(ctx.Now)+types.ZoneOffset(ctx.Now, ctx.TimeZone)), a[0].I)
		}).stable().about("localtimestamp, rounded to decimal places of a second."),
		def("clock_timestamp", nil, tTimestampTZ, func(ctx *Ctx, _ values) (value, error) { return types.NewTime(ctx.Now), nil }).
			stable().about("The same as now(): what an epoch does is a function of its record, so no other clock exists."),
		def("current_date", nil, tDate, func(ctx *Ctx, _ values) (value, error) {
			return types.NewInt(types.Date, localDay(ctx, ctx.Now)/microsPerDay), nil
		}).stable().about("Today in the session's time zone."),
		def("localtimestamp", nil, tTimestamp, func(ctx *Ctx, _ values) (value, error) {
			return types.NewInt(types.Timestamp, int64(ctx.Now)+types.ZoneOffset(ctx.Now, ctx.TimeZone)), nil
		}).stable().about("Now as the session's clocks show it."),
		def("to_timestamp", args{tFloat8}, tTimestampTZ, epochToTime).about("From seconds since 1970.", "to_timestamp(1284352323.5)", "2010-09-13 04:32:03.5+00"),
		def("timezone", args{tText, tTimestamp}, tTimestampTZ, func(ctx *Ctx, a values) (value, error) {
			loc, err := ctx.zone(a[0].S)
			if err != nil || infinite(a[1].I) {
				return types.NewInt(types.TimestampTZ, a[1].I), err
			}
			return types.NewTime(types.LocalToUTC(a[1].I, loc)), nil
		}).about("What AT TIME ZONE calls: the time that clocks there show, as an instant.", "timezone('America/Denver', timestamp '2001-02-16 20:38:40')", "2001-02-17 03:38:40+00"),
		def("timezone", args{tText, tTimestampTZ}, tTimestamp, func(ctx *Ctx, a values) (value, error) {
			loc, err := ctx.zone(a[0].S)
			if err != nil || infinite(a[1].I) {
				return types.NewInt(types.Timestamp, a[1].I), err
			}
			return types.NewInt(types.Timestamp, a[1].I+offset(a[1].I, loc)), nil
		}).about("What clocks there show at an instant.", "timezone('America/Denver', timestamptz '2001-02-16 20:38:40-05')", "2001-02-16 18:38:40"),
		def("timezone", args{tInterval, tTimestamp}, tTimestampTZ, zoneShift(types.TimestampTZ, -1)).about("The same with an offset east of UTC.", "timezone(interval '-08:00', timestamp '2001-02-16 20:38:40')", "2001-02-17 04:38:40+00"),
		def("timezone", args{tInterval, tTimestampTZ}, tTimestamp, zoneShift(types.Timestamp, 1)).about("The same with an offset east of UTC."),
	)
}

// zonesMax bounds the time zones that a Ctx keeps.
const zonesMax = 64

// zone finds a time zone, remembering those asked for.
func (c *Ctx) zone(name string) (*time.Location, error) {
	if loc := c.zones[name]; loc != nil {
		return loc, nil
	}
	loc, err := types.Zone(name)
	if err != nil {
		return nil, err
	}
	if c.zones == nil || len(c.zones) >= zonesMax {
		c.zones = make(map[string]*time.Location)
	}
	c.zones[name] = loc
	return loc, nil
}

func epochToTime(_ *Ctx, a values) (value, error) {
	f := a[0].F
	switch {
	case math.IsNaN(f):
		return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp cannot be NaN")
	case math.IsInf(f, 1):
		return types.NewTime(types.MaxTime), nil
	case math.IsInf(f, -1):
		return types.NewTime(types.MinTime), nil
	case math.Abs(f) > 9.2e12:
		return value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "timestamp out of range: \"%g\"", f)
	}
	return types.NewTime(types.EventTime(math.RoundToEven(f * 1e6))), nil
}

func zoneShift(to types.Kind, sign int64) eval {
	return func(_ *Ctx, a values) (value, error) {
		iv, err := types.DecodeInterval(a[0].S)
		if err != nil {
			return value{}, err
		}
		if iv.Months != 0 || iv.Days != 0 {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "interval time zone \"%s\" must not include months or days", a[0].Text())
		}
		if infinite(a[1].I) {
			return types.NewInt(to, a[1].I), nil
		}
		return types.NewInt(to, a[1].I+sign*(iv.Micros-iv.Micros%microsPerSecond)), nil
	}
}
