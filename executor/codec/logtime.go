package codec

import (
	"bytes"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// logTime reads the timestamps that logs carry, in the forms of parse. Those without a year get one by the arrival of their
// payload, those without a zone the stream's.
type logTime struct {
	iso  timeParser
	loc  *time.Location // nil: UTC
	year int64          // of timestamps without one; 0: by arrival
	// ceiling is the latest time that a timestamp without a year may mean: a day after the arrival.
	ceiling     int64
	ceilingYear int64
}

// logTimeParams are the options of newLogTime.
var logTimeParams = []string{"timezone", "year"}

// newLogTime reads the options timezone and year.
func newLogTime(params map[string]string) (logTime, error) {
	var l logTime
	if name := params["timezone"]; name != "" && name != "UTC" {
		loc, err := time.LoadLocation(name)
		if err != nil || name == "Local" {
			return l, sqlerr.New(sqlerr.InvalidParameterValue, "time zone %q is not recognized", name).
				WithHint("Write a name of the IANA list, such as timezone = 'Europe/Berlin'.")
		}
		l.loc = loc
	}
	if s, ok := params["year"]; ok {
		y, digits := parseInt([]byte(s))
		if !digits || y < 1970 || y > 9999 {
			return l, sqlerr.New(sqlerr.InvalidParameterValue, "option year must be a year from 1970 to 9999, not %q", s)
		}
		l.year = y
	}
	l.at(0)
	return l, nil
}

// at tells when the payload came that is decoded next.
func (l *logTime) at(arrival types.EventTime) {
	ceiling := int64(arrival) + microsPerDay
	if ceiling == l.ceiling && l.ceilingYear != 0 {
		return
	}
	l.ceiling = ceiling
	l.ceilingYear = int64(time.UnixMicro(ceiling).UTC().Year())
}

// civil is a point in time as a log writes it.
type civil struct {
	year, month, day, hour, minute, second int64 // year 0: not written
	micros                                 int64 // below a second
}

func (c *civil) valid() bool {
	return c.month >= 1 && c.month <= 12 && c.day >= 1 && c.hour <= 23 && c.minute <= 59 && c.second <= 60 &&
		(c.year == 0 && c.day <= 31 || c.year > 0 && c.day <= daysIn(c.year, c.month))
}

// utc is the point in time if the zone is UTC. A leap second is the next minute's first.
func (c *civil) utc() int64 {
	return daysSince1970(c.year, c.month, c.day)*microsPerDay + (c.hour*60+c.minute)*microsPerMinute + c.second*microsPerSecond + c.micros
}

// local is the point in time in the stream's zone.
func (l *logTime) local(c *civil) int64 {
	if l.loc == nil {
		return c.utc()
	}
	return time.Date(int(c.year), time.Month(c.month), int(c.day), int(c.hour), int(c.minute), int(c.second), int(c.micros)*1000, l.loc).UnixMicro()
}

// resolve turns a point in time without zone into microseconds. Where the year is missing it is the option's, or the latest in
// which the time is not more than a day after the arrival.
func (l *logTime) resolve(c *civil) (int64, bool) {
	if c.year != 0 || l.year != 0 {
		if c.year == 0 {
			c.year = l.year
		}
		return l.local(c), c.day <= daysIn(c.year, c.month)
	}
	y := l.ceilingYear
	if l.loc != nil {
		y++ // there it may be the next year already
	}
	for ; y > l.ceilingYear-9; y-- { // a 29 February may be eight years ago
		if c.day > daysIn(y, c.month) {
			continue
		}
		c.year = y
		if t := l.local(c); t <= l.ceiling {
			return t, true
		}
	}
	return 0, false
}

// parse reads a timestamp at the start of s and returns its microseconds and length, 0 when there is none. Forms, each with an
// optional fraction behind a point or a comma: 2024-05-06T07:08:09Z (or a blank, no zone, an offset, slashes), May  6 07:08:09,
// May 6 2024 07:08:09, May 6 07:08:09 2024, Mon May 6 07:08:09 2024, 6 May 2024 07:08:09, 06/May/2024:07:08:09 +0000.
func (l *logTime) parse(s []byte) (micros int64, n int) {
	if len(s) < 14 {
		return 0, 0
	}
	switch c := s[0]; {
	case c-'0' <= 9 && len(s) >= 19 && (s[4] == '-' || s[4] == '/'):
		return l.parseISO(s)
	case c-'0' <= 9 || c == ' ' && s[1]-'0' <= 9:
		return l.dayFirst(s)
	case len(s) > 18 && s[3] == ' ' && monthOf(s) == 0 && monthOf(s[4:]) != 0: // a weekday
		t, n := l.monthFirst(s[4:])
		if n > 0 {
			n += 4
		}
		return t, n
	}
	return l.monthFirst(s)
}

// parseISO reads the forms that begin with a year.
func (l *logTime) parseISO(s []byte) (int64, int) {
	if s[4] == '-' {
		t, n := l.iso.parse(s)
		if n == 0 {
			return 0, 0
		}
		zoned := s[n-1]|0x20 == 'z' || n > 19 && bytes.IndexByte(s[19:n], '+') >= 0 || n > 19 && bytes.IndexByte(s[19:n], '-') >= 0
		if n == 19 && len(s) > 20 && s[19] == ',' {
			if f, k := fraction(s[20:]); k > 0 {
				var m int
				if t, m = zone(s, 20+k, t+f); m == 0 {
					return 0, 0
				}
				zoned, n = m > 20+k, m
			}
		}
		if zoned || l.loc == nil {
			return t, n
		}
		u := time.UnixMicro(t).UTC()
		return time.Date(u.Year(), u.Month(), u.Day(), u.Hour(), u.Minute(), u.Second(), u.Nanosecond(), l.loc).UnixMicro(), n
	}
	var c civil
	hi, ok1 := two(s, 0)
	lo, ok2 := two(s, 2)
	mo, ok3 := two(s, 5)
	d, ok4 := two(s, 8)
	if !(ok1 && ok2 && ok3 && ok4) || s[7] != '/' {
		return 0, 0
	}
	c.year, c.month, c.day = hi*100+lo, mo, d
	return l.clock(s, 11, &c)
}

// dayFirst reads 6 May 2024 07:08:09 and 06/May/2024:07:08:09.
func (l *logTime) dayFirst(s []byte) (int64, int) {
	var c civil
	d, i := digits(s, 0, 2)
	if i == 0 || len(s) < i+13 {
		return 0, 0
	}
	c.day, c.month = d, monthOf(s[i+1:])
	y, n := digits(s, i+5, 4)
	if sep := s[i]; c.month == 0 || n != i+9 || s[i+4] != sep || sep != '/' && sep != ' ' && sep != '-' {
		return 0, 0
	}
	c.year = y
	return l.clock(s, n+1, &c)
}

// monthFirst reads the forms that begin with a month's name.
func (l *logTime) monthFirst(s []byte) (int64, int) {
	var c civil
	if c.month = monthOf(s); c.month == 0 || len(s) < 14 || s[3] != ' ' {
		return 0, 0
	}
	i := 4
	if s[i] == ' ' {
		i++
	}
	var n int
	if c.day, n = digits(s, i, 2); n == i || n >= len(s) {
		return 0, 0
	}
	i = n
	if s[i] == ',' && i+1 < len(s) {
		i++
	}
	if s[i] != ' ' {
		return 0, 0
	}
	i++
	if y, n := digits(s, i, 4); n == i+4 && n < len(s) && s[n] == ' ' {
		c.year, i = y, n+1
	}
	return l.clock(s, i, &c)
}

// clock reads the time of day at s[i:], what follows it, and resolves all. What may follow: a fraction, a year where there was
// none, an offset or UTC.
func (l *logTime) clock(s []byte, i int, c *civil) (int64, int) {
	h, n := digits(s, i, 2)
	m, ok1 := two(s, n+1)
	sec, ok2 := two(s, n+4)
	if n == i || !ok1 || !ok2 || s[n] != ':' || s[n+3] != ':' {
		return 0, 0
	}
	c.hour, c.minute, c.second = h, m, sec
	i = n + 6
	if i+1 < len(s) && (s[i] == '.' || s[i] == ',') {
		if f, k := fraction(s[i+1:]); k > 0 {
			c.micros, i = f, i+1+k
		}
	}
	if c.year == 0 && i < len(s) && s[i] == ' ' {
		if y, n := digits(s, i+1, 4); n == i+5 && (n == len(s) || s[n] == ' ' || s[n] == ':' || s[n] == ']') && y >= 1970 {
			c.year, i = y, n
		}
	}
	if !c.valid() {
		return 0, 0
	}
	return l.zoned(s, i, c)
}

// zoned applies the zone behind a time of day, if one is written there.
func (l *logTime) zoned(s []byte, i int, c *civil) (int64, int) {
	at := i
	if at < len(s) && s[at] == ' ' {
		at++
	}
	switch rest := s[min(at, len(s)):]; {
	case len(rest) >= 3 && (string(rest[:3]) == "UTC" || string(rest[:3]) == "GMT"):
		return l.offset(c, 0, at+3)
	case at == i && len(rest) > 0 && rest[0] == 'Z':
		return l.offset(c, 0, at+1)
	case len(rest) >= 5 && (rest[0] == '+' || rest[0] == '-'):
		off, n := zoneOffset(rest[1:])
		if n < 4 {
			break
		}
		if rest[0] == '-' {
			off = -off
		}
		return l.offset(c, off, at+1+n)
	}
	t, ok := l.resolve(c)
	if !ok {
		return 0, 0
	}
	return t, i
}

// offset resolves a point in time whose zone is known.
func (l *logTime) offset(c *civil, off int64, n int) (int64, int) {
	loc := l.loc
	l.loc = nil
	t, ok := l.resolve(c)
	l.loc = loc
	if !ok {
		return 0, 0
	}
	return t - off, n
}

// digits reads one to most digits at s[i:] and returns the place behind them; i when there are none.
func digits(s []byte, i, most int) (v int64, end int) {
	for end = i; end < len(s) && end < i+most && s[end]-'0' <= 9; end++ {
		v = v*10 + int64(s[end]-'0')
	}
	return v, end
}

// monthOf reads an English month's first three letters; 0: none.
func monthOf(s []byte) int64 {
	if len(s) < 3 {
		return 0
	}
	switch string(s[:3]) {
	case "Jan":
		return 1
	case "Feb":
		return 2
	case "Mar":
		return 3
	case "Apr":
		return 4
	case "May":
		return 5
	case "Jun":
		return 6
	case "Jul":
		return 7
	case "Aug":
		return 8
	case "Sep":
		return 9
	case "Oct":
		return 10
	case "Nov":
		return 11
	case "Dec":
		return 12
	}
	return 0
}

// appendMicros appends a point in time as text.
func appendMicros(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}
