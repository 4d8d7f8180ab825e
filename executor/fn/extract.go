package fn

import (
	"math"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/types"
)

func extractDefs() []Def {
	var out []Def
	for _, t := range []types.Type{tTimestamp, tTimestampTZ, tDate, tInterval} {
		get := func(ctx *Ctx, a values) (string, bool, error) {
			return field(a[0].S, a[1], zoneFor(ctx, a[1].Type.Kind))
		}
		ex := def("extract", args{tText, t}, tNumeric, func(ctx *Ctx, a values) (value, error) {
			s, ok, err := get(ctx, a)
			if !ok {
				return types.Null(tNumeric), err
			}
			return numeric(s, err)
		}).stableIf(t == tTimestampTZ).about("A field, exactly; what EXTRACT(f FROM x) calls with ('f', x).")
		part := def("date_part", args{tText, t}, tFloat8, func(ctx *Ctx, a values) (value, error) {
			s, ok, err := get(ctx, a)
			if err != nil || !ok {
				return types.Null(tFloat8), err
			}
			f, err := types.NumericToFloat(s)
			return types.NewFloat(f), err
		}).stableIf(t == tTimestampTZ).about("A field as a float.")
		switch t {
		case tTimestamp:
			ex = ex.about(ex.Doc, "extract(hour from timestamp '2001-02-16 20:38:40')", "20", "extract(second from timestamp '2001-02-16 20:38:40.12')", "40.120000")
			part = part.about(part.Doc, "date_part('dow', timestamp '2001-02-16 20:38:40')", "5")
		case tTimestampTZ:
			ex = ex.about(ex.Doc, "extract(epoch from timestamptz '2001-02-16 20:38:40.12-08')", "982384720.120000")
		case tInterval:
			ex = ex.about(ex.Doc, "extract(epoch from interval '5 days 3 hours')", "442800.000000")
		case tDate:
			ex = ex.about(ex.Doc, "extract(doy from date '2001-02-16')", "47")
		}
		out = append(out, ex, part)
	}
	return out
}

func itoa(i int64) string { return strconv.FormatInt(i, 10) }

// decimal prints n / 10^scale.
func decimal(n int64, scale int) string {
	neg := ""
	if n < 0 {
		neg, n = "-", -n
	}
	p := int64(math.Pow10(scale))
	frac := itoa(n % p)
	for len(frac) < scale {
		frac = "0" + frac
	}
	return neg + itoa(n/p) + "." + frac
}

// field extracts a field as numeric text; ok is false for NULL (most fields of infinity).
func field(name string, v value, loc *time.Location) (s string, ok bool, err error) {
	u := unitOf(name)
	switch v.Type.Kind {
	case types.Interval:
		s, err = intervalField(u, v)
		return s, err == nil, err
	case types.Date:
		if _, small := smallUnits[u]; small || u == "timezone" || u == "timezone_hour" || u == "timezone_minute" {
			return "", false, unsupportedUnit(name, v.Type)
		}
		if infiniteDate(v.I) {
			return infiniteField(u, name, v.I > 0, v.Type)
		}
		if u == "epoch" {
			return itoa(v.I * 86400), true, nil
		}
		s, err = dateField(u, v.I)
	default:
		if infinite(v.I) {
			return infiniteField(u, name, v.I > 0, v.Type)
		}
		s, err = timeField(u, v, loc)
	}
	if s == "" && err == nil {
		err = badUnit(name, v.Type)
	}
	return s, err == nil, err
}

func infiniteField(u, name string, plus bool, t types.Type) (string, bool, error) {
	switch u {
	case "year", "decade", "century", "millennium", "julian", "isoyear", "epoch":
		if plus {
			return "Infinity", true, nil
		}
		return "-Infinity", true, nil
	case "day", "month", "quarter", "week", "dow", "isodow", "doy", "hour", "minute", "second", "milliseconds", "microseconds",
		"timezone", "timezone_hour", "timezone_minute":
		return "", false, nil
	}
	return "", false, badUnit(name, t)
}

func timeField(u string, v value, loc *time.Location) (string, error) {
	off := offset(v.I, loc)
	local := v.I + off
	us := mod(local, microsPerDay)
	switch u {
	case "epoch":
		return decimal(v.I, 6), nil
	case "microseconds":
		return itoa(us % (60 * microsPerSecond)), nil
	case "milliseconds":
		return decimal(us%(60*microsPerSecond), 3), nil
	case "second":
		return decimal(us%(60*microsPerSecond), 6), nil
	case "minute":
		return itoa(us / (60 * microsPerSecond) % 60), nil
	case "hour":
		return itoa(us / microsPerHour), nil
	case "julian":
		days := (local-us)/microsPerDay + 2440588
		frac, err := types.NumericDiv(itoa(us), itoa(microsPerDay))
		if err != nil {
			return "", err
		}
		return types.NumericAdd(itoa(days), frac)
	case "timezone", "timezone_hour", "timezone_minute":
		if v.Type.Kind != types.TimestampTZ {
			return "", unsupportedUnit(u, v.Type)
		}
		secs := off / microsPerSecond
		return itoa(map[string]int64{"timezone": secs, "timezone_hour": secs / 3600, "timezone_minute": secs / 60 % 60}[u]), nil
	}
	return dateField(u, (local-us)/microsPerDay)
}

// dateField extracts from days since 1970; "" when the field is unknown.
func dateField(u string, days int64) (string, error) {
	y, m, d := types.CivilFromDays(days)
	yearAD := y // without a year 0
	if y <= 0 {
		yearAD = y - 1
	}
	dow := mod(days+4, 7)
	var n int64
	switch u {
	case "day":
		n = int64(d)
	case "month":
		n = int64(m)
	case "quarter":
		n = int64(m-1)/3 + 1
	case "year":
		n = yearAD
	case "decade":
		n = (y - mod(y, 10)) / 10
	case "century":
		n = centuries(y, 100)
	case "millennium":
		n = centuries(y, 1000)
	case "dow":
		n = dow
	case "isodow":
		if n = dow; n == 0 {
			n = 7
		}
	case "doy":
		n = days - types.DaysFromCivil(y, 1, 1) + 1
	case "week":
		_, n = isoWeek(days)
	case "isoyear":
		n, _ = isoWeek(days)
		if n <= 0 {
			n--
		}
	case "julian":
		n = days + 2440588
	default:
		return "", nil
	}
	return itoa(n), nil
}

func centuries(y, size int64) int64 {
	if y > 0 {
		return (y + size - 1) / size
	}
	return -((size - y) / size)
}

// isoWeek returns the ISO 8601 year and week of a day.
func isoWeek(days int64) (year, week int64) {
	thursday := days - mod(days+3, 7) + 3
	y, _, _ := types.CivilFromDays(thursday)
	return y, (thursday-types.DaysFromCivil(y, 1, 1))/7 + 1
}

func intervalField(u string, v value) (string, error) {
	iv, err := types.DecodeInterval(v.S)
	if err != nil {
		return "", err
	}
	years, months := int64(iv.Months/12), int64(iv.Months%12)
	switch u {
	case "microseconds":
		return itoa(iv.Micros % (60 * microsPerSecond)), nil
	case "milliseconds":
		return decimal(iv.Micros%(60*microsPerSecond), 3), nil
	case "second":
		return decimal(iv.Micros%(60*microsPerSecond), 6), nil
	case "minute":
		return itoa(iv.Micros / (60 * microsPerSecond) % 60), nil
	case "hour":
		return itoa(iv.Micros / microsPerHour), nil
	case "day":
		return itoa(int64(iv.Days)), nil
	case "month":
		return itoa(months), nil
	case "quarter":
		return itoa(months/3 + 1), nil
	case "year":
		return itoa(years), nil
	case "decade":
		return itoa(years / 10), nil
	case "century":
		return itoa(years / 100), nil
	case "millennium":
		return itoa(years / 1000), nil
	case "epoch":
		secs := years*31557600 + months*2592000 + int64(iv.Days)*86400 // a year is 365.25 days
		return types.NumericAdd(itoa(secs)+".000000", decimal(iv.Micros, 6))
	case "week", "dow", "isodow", "doy", "isoyear", "julian", "timezone", "timezone_hour", "timezone_minute":
		return "", unsupportedUnit(u, v.Type)
	}
	return "", badUnit(u, v.Type)
}
