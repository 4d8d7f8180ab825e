package types

import (
	"strconv"
	"time"
)

// Units of event time in microseconds, and of the calendar.
const (
	microsPerSecond = int64(1_000_000)
	microsPerMinute = 60 * microsPerSecond
	microsPerHour   = 3600 * microsPerSecond
	microsPerDay    = 24 * microsPerHour
	// pgEpochDays is 2000-01-01, from where the wire counts.
	pgEpochDays   = 10957
	pgEpochMicros = pgEpochDays * microsPerDay
	// dateMin and dateMax stand for -infinity and infinity.
	dateMin = int64(-1 << 31)
	dateMax = int64(1<<31 - 1)
	// yearMin, whose first day is November 24, is where Postgres' calendar begins; yearMax bounds timestamps so that
	// microseconds since 1970 fit 64 bits.
	yearMin = -4713
	yearMax = 294200
)

// DaysFromCivil returns the days since 1970-01-01 of a date of the proleptic Gregorian calendar; year 0 is 1 BC.
func DaysFromCivil(y int64, m, d int) int64 {
	if m <= 2 {
		y--
	}
	era := floorDiv(y, 400)
	yoe := y - era*400
	doy := int64((153*((m+9)%12)+2)/5 + d - 1)
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return era*146097 + doe - 719468
}

// CivilFromDays is the inverse of DaysFromCivil.
func CivilFromDays(days int64) (y int64, m, d int) {
	z := days + 719468
	era := floorDiv(z, 146097)
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	d = int(doy - (153*mp+2)/5 + 1)
	m = int(mp + 3)
	if mp >= 10 {
		m = int(mp - 9)
	}
	y = yoe + era*400
	if m <= 2 {
		y++
	}
	return y, m, d
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// DaysInMonth returns the length of a month.
func DaysInMonth(y int64, m int) int {
	switch m {
	case 2:
		if y%4 == 0 && (y%100 != 0 || y%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// ZoneOffset returns the offset east of UTC in microseconds that holds in loc at an instant.
func ZoneOffset(t EventTime, loc *time.Location) int64 {
	if loc == nil || loc == time.UTC {
		return 0
	}
	_, off := time.Unix(floorDiv(int64(t), microsPerSecond), 0).In(loc).Zone()
	return int64(off) * microsPerSecond
}

// LocalToUTC returns the instant at which clocks in loc show the given microseconds (counted as if they were UTC). Times
// that a change of the clocks skips or repeats resolve to standard time, as in Postgres.
func LocalToUTC(local int64, loc *time.Location) EventTime {
	if loc == nil || loc == time.UTC {
		return EventTime(local)
	}
	before := ZoneOffset(EventTime(local-microsPerDay), loc)
	after := ZoneOffset(EventTime(local+microsPerDay), loc)
	if before == after {
		if off := ZoneOffset(EventTime(local-before), loc); off == before {
			return EventTime(local - before)
		}
	}
	okBefore := ZoneOffset(EventTime(local-before), loc) == before
	okAfter := ZoneOffset(EventTime(local-after), loc) == after
	switch {
	case okBefore && okAfter: // ambiguous: the later instant is standard time
		return EventTime(local - min(before, after))
	case okBefore:
		return EventTime(local - before)
	case okAfter:
		return EventTime(local - after)
	}
	return EventTime(local - before) // skipped: the old offset goes on
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var tmp [20]byte
	d := strconv.AppendInt(tmp[:0], n, 10)
	for i := len(d); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, d...)
}

func appendDate(dst []byte, days int64) []byte {
	switch days {
	case dateMin:
		return append(dst, "-infinity"...)
	case dateMax:
		return append(dst, "infinity"...)
	}
	y, m, d := CivilFromDays(days)
	dst = appendYMD(dst, y, m, d)
	if y <= 0 {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendYMD(dst []byte, y int64, m, d int) []byte {
	if y <= 0 {
		y = 1 - y
	}
	dst = appendPadded(dst, y, 4)
	dst = append(dst, '-', byte('0'+m/10), byte('0'+m%10), '-', byte('0'+d/10), byte('0'+d%10))
	return dst
}

// appendClock prints hh:mm:ss[.ffffff] without trailing zeros.
func appendClock(dst []byte, us int64) []byte {
	dst = appendPadded(dst, us/microsPerHour, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, us/microsPerMinute%60, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, us/microsPerSecond%60, 2)
	return appendFraction(dst, us%microsPerSecond)
}

func appendFraction(dst []byte, us int64) []byte {
	if us == 0 {
		return dst
	}
	dst = append(dst, '.')
	for width := int64(100_000); us > 0; width /= 10 {
		dst = append(dst, byte('0'+us/width))
		us %= width
	}
	return dst
}

// appendLocal prints date and time of microseconds counted in local time, and tells whether " BC" must follow.
func appendLocal(dst []byte, us int64) (out []byte, bc bool) {
	days := floorDiv(us, microsPerDay)
	y, m, d := CivilFromDays(days)
	dst = appendYMD(dst, y, m, d)
	dst = append(dst, ' ')
	return appendClock(dst, us-days*microsPerDay), y <= 0
}

func appendInfinity(dst []byte, t EventTime) ([]byte, bool) {
	switch t {
	case MinTime:
		return append(dst, "-infinity"...), true
	case MaxTime:
		return append(dst, "infinity"...), true
	}
	return dst, false
}

func appendTimestamp(dst []byte, t EventTime) []byte {
	dst, done := appendInfinity(dst, t)
	if done {
		return dst
	}
	dst, bc := appendLocal(dst, int64(t))
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

func appendTimestampTZ(dst []byte, t EventTime, loc *time.Location) []byte {
	dst, done := appendInfinity(dst, t)
	if done {
		return dst
	}
	off := ZoneOffset(t, loc)
	dst, bc := appendLocal(dst, int64(t)+off)
	dst = appendZone(dst, off/microsPerSecond)
	if bc {
		dst = append(dst, " BC"...)
	}
	return dst
}

// appendZone prints +hh[:mm[:ss]] of an offset in seconds.
func appendZone(dst []byte, off int64) []byte {
	sign := byte('+')
	if off < 0 {
		sign, off = '-', -off
	}
	dst = append(dst, sign)
	dst = appendPadded(dst, off/3600, 2)
	if off%3600 != 0 {
		dst = append(dst, ':')
		dst = appendPadded(dst, off/60%60, 2)
	}
	if off%60 != 0 {
		dst = append(dst, ':')
		dst = appendPadded(dst, off%60, 2)
	}
	return dst
}

// AppendTimestampISO appends a timestamptz as RFC 3339 in UTC with microseconds only where needed; JSON output uses it.
func AppendTimestampISO(dst []byte, t EventTime) []byte {
	n := len(dst)
	dst = appendTimestamp(dst, t)
	if len(dst) > n+10 && dst[n+10] == ' ' {
		dst[n+10] = 'T'
		dst = append(dst, 'Z')
	}
	return dst
}
