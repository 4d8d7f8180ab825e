package fn

import (
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/types"
)

func formatTimeDefs() []Def {
	numberOf := func(s string, f string) (value, error) {
		out, err := formatNumber(s, f)
		return types.NewText(out), err
	}
	return []Def{
		def("to_char", args{tTimestamp, tText}, tText, toCharTime).about("Prints by a template of YYYY MM DD HH24 MI SS MS US Mon Dy TZ and the like.",
			"to_char(timestamp '2002-04-20 17:31:12.66', 'HH12:MI:SS.MS Dy DD Mon YYYY')", "05:31:12.660 Sat 20 Apr 2002"),
		def("to_char", args{tTimestampTZ, tText}, tText, toCharTime).stable().about("The same in the session's time zone.",
			"to_char(timestamptz '2002-04-20 17:31:12+00', 'YYYY-MM-DD\"T\"HH24:MI:SSOF')", "2002-04-20T17:31:12+00"),
		def("to_char", args{tInt8, tText}, tText, func(_ *Ctx, a values) (value, error) { return numberOf(itoa(a[0].I), a[1].S) }).
			about("Prints a number by a template of 9 0 . , S MI FM.", "to_char(1485, '9,999')", " 1,485", "to_char(125, '999')", " 125"),
		def("to_char", args{tNumeric, tText}, tText, func(_ *Ctx, a values) (value, error) { return numberOf(a[0].S, a[1].S) }).
			about("Prints a number by a template.", "to_char(-125.8, '999D99')", "-125.80", "to_char(0.1, 'FM0.99')", "0.1"),
		def("to_char", args{tFloat8, tText}, tText, func(_ *Ctx, a values) (value, error) {
			return numberOf(types.NumericFromFloat(a[0].F, false), a[1].S)
		}).about("Prints a number by a template.", "to_char(125.8::float8, '999D9')", " 125.8"),
	}
}

// moment is an instant taken apart for printing.
type moment struct {
	year             int64
	month, day       int
	days, us, offset int64 // days since 1970, microseconds of the day, microseconds east of UTC
	zone             string
	tz               bool
}

func newMoment(us int64, loc *time.Location, tz bool) moment {
	m := moment{tz: tz}
	if tz {
		m.offset = offset(us, loc)
		if loc == nil {
			loc = time.UTC
		}
		m.zone, _ = time.UnixMicro(us).In(loc).Zone()
	}
	local := us + m.offset
	m.us = mod(local, microsPerDay)
	m.days = (local - m.us) / microsPerDay
	m.year, m.month, m.day = types.CivilFromDays(m.days)
	return m
}

var (
	monthNames  = []string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
	romanMonths = []string{"I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"}
	dayNames    = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"}
)

func toCharTime(ctx *Ctx, a values) (value, error) {
	if infinite(a[0].I) || a[1].S == "" {
		return null(tText)
	}
	m := newMoment(a[0].I, zoneFor(ctx, a[0].Type.Kind), a[0].Type.Kind == types.TimestampTZ)
	var out []byte
	for f := a[1].S; f != ""; {
		if f[0] == '"' {
			end := strings.IndexByte(f[1:], '"')
			if end < 0 {
				end = len(f) - 1
			}
			out = append(out, f[1:1+end]...)
			f = f[min(end+2, len(f)):]
			continue
		}
		fill := true
		if rest, ok := cutFold(f, "FM"); ok {
			fill, f = false, rest
		}
		if rest, ok := strings.CutPrefix(f, "TM"); ok { // names in the language of the server, without blanks
			fill, f = false, rest
		}
		n, s := m.pattern(f, fill)
		if n == 0 {
			if f != "" {
				out = append(out, f[0])
				f = f[1:]
			}
			continue
		}
		f = f[n:]
		if rest, ok := strings.CutPrefix(f, "TH"); ok {
			s, f = s+strings.ToUpper(ordinal(s)), rest
		} else if rest, ok := strings.CutPrefix(f, "th"); ok {
			s, f = s+ordinal(s), rest
		}
		out = append(out, s...)
	}
	return text(string(out))
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

func ordinal(s string) string {
	n := len(s)
	if n == 0 || n > 1 && s[n-2] == '1' {
		return "th"
	}
	switch s[n-1] {
	case '1':
		return "st"
	case '2':
		return "nd"
	case '3':
		return "rd"
	}
	return "th"
}

// numberPatterns in the order of search: longer ones first. width 0: as many digits as it takes.
var numberPatterns = []struct {
	name  string
	width int
	get   func(m *moment) int64
}{
	{"HH24", 2, func(m *moment) int64 { return m.us / microsPerHour }},
	{"HH12", 2, func(m *moment) int64 { return (m.us/microsPerHour+11)%12 + 1 }},
	{"HH", 2, func(m *moment) int64 { return (m.us/microsPerHour+11)%12 + 1 }},
	{"MI", 2, func(m *moment) int64 { return m.us / (60 * microsPerSecond) % 60 }},
	{"SSSSS", 0, func(m *moment) int64 { return m.us / microsPerSecond }},
	{"SSSS", 0, func(m *moment) int64 { return m.us / microsPerSecond }},
	{"SS", 2, func(m *moment) int64 { return m.us / microsPerSecond % 60 }},
	{"MS", 3, func(m *moment) int64 { return m.us % microsPerSecond / 1000 }},
	{"US", 6, func(m *moment) int64 { return m.us % microsPerSecond }},
	{"FF1", 1, func(m *moment) int64 { return m.us % microsPerSecond / 100_000 }},
	{"FF2", 2, func(m *moment) int64 { return m.us % microsPerSecond / 10_000 }},
	{"FF3", 3, func(m *moment) int64 { return m.us % microsPerSecond / 1000 }},
	{"FF4", 4, func(m *moment) int64 { return m.us % microsPerSecond / 100 }},
	{"FF5", 5, func(m *moment) int64 { return m.us % microsPerSecond / 10 }},
	{"FF6", 6, func(m *moment) int64 { return m.us % microsPerSecond }},
	{"IYYY", 4, func(m *moment) int64 { y, _ := isoWeek(m.days); return max(y, 1-y) }},
	{"IW", 2, func(m *moment) int64 { _, w := isoWeek(m.days); return w }},
	{"IDDD", 3, func(m *moment) int64 { _, w := isoWeek(m.days); return (w-1)*7 + mod(m.days+3, 7) + 1 }},
	{"ID", 1, func(m *moment) int64 { return mod(m.days+3, 7) + 1 }},
	{"YYYY", 4, func(m *moment) int64 { return m.shownYear() }},
	{"YYY", 3, func(m *moment) int64 { return m.shownYear() % 1000 }},
	{"YY", 2, func(m *moment) int64 { return m.shownYear() % 100 }},
	{"MM", 2, func(m *moment) int64 { return int64(m.month) }},
	{"DDD", 3, func(m *moment) int64 { return m.days - types.DaysFromCivil(m.year, 1, 1) + 1 }},
	{"DD", 2, func(m *moment) int64 { return int64(m.day) }},
	{"WW", 2, func(m *moment) int64 { return (m.days-types.DaysFromCivil(m.year, 1, 1))/7 + 1 }},
	{"CC", 2, func(m *moment) int64 { return centuries(m.year, 100) }},
	{"TZH", 2, func(m *moment) int64 { return m.offset / microsPerHour }},
	{"TZM", 2, func(m *moment) int64 { return max(m.offset, -m.offset) / (60 * microsPerSecond) % 60 }},
	{"Y", 1, func(m *moment) int64 { return m.shownYear() % 10 }},
	{"D", 1, func(m *moment) int64 { return mod(m.days+4, 7) + 1 }},
	{"W", 1, func(m *moment) int64 { return int64(m.day-1)/7 + 1 }},
	{"Q", 1, func(m *moment) int64 { return int64(m.month-1)/3 + 1 }},
	{"J", 0, func(m *moment) int64 { return m.days + 2440588 }},
}

func (m *moment) shownYear() int64 {
	if m.year <= 0 {
		return 1 - m.year
	}
	return m.year
}

// pattern prints the template pattern at the start of f and returns its length, 0 if there is none.
func (m *moment) pattern(f string, fill bool) (int, string) {
	if n, s := m.namePattern(f, fill); n > 0 {
		return n, s
	}
	if _, ok := cutFold(f, "Y,YYY"); ok {
		y := m.shownYear()
		s := itoa(y % 1000)
		for len(s) < 3 {
			s = "0" + s
		}
		return len("Y,YYY"), itoa(y/1000) + "," + s
	}
	for _, p := range numberPatterns {
		if _, ok := cutFold(f, p.name); !ok {
			continue
		}
		v := p.get(m)
		s := itoa(max(v, -v))
		for fill && len(s) < p.width {
			s = "0" + s
		}
		switch {
		case v < 0:
			s = "-" + s
		case p.name == "TZH":
			s = "+" + s
		}
		return len(p.name), s
	}
	return 0, ""
}

// namePattern prints names of months and days, AM/PM, eras and zones.
func (m *moment) namePattern(f string, fill bool) (int, string) {
	pm := m.us >= 12*microsPerHour
	half := map[bool]string{false: "am", true: "pm"}[pm]
	for _, p := range []struct{ name, value string }{
		{"MONTH", monthNames[m.month-1]}, {"MON", monthNames[m.month-1][:3]},
		{"DAY", dayNames[mod(m.days+4, 7)]}, {"DY", dayNames[mod(m.days+4, 7)][:3]},
	} {
		if len(f) < len(p.name) || !strings.EqualFold(f[:len(p.name)], p.name) {
			continue
		}
		s := p.value
		if fill && len(p.name) != 3 && p.name != "DY" || fill && p.name == "DAY" {
			s += strings.Repeat(" ", max(9-len(s), 0))
		}
		return len(p.name), likeCase(f, s)
	}
	if strings.HasPrefix(f, "RM") || strings.HasPrefix(f, "rm") {
		s := romanMonths[m.month-1]
		if fill {
			s += strings.Repeat(" ", 4-len(s))
		}
		return 2, likeCase(f, s)
	}
	switch {
	case strings.HasPrefix(f, "A.M.") || strings.HasPrefix(f, "P.M."):
		return 4, strings.ToUpper(half[:1] + "." + half[1:] + ".")
	case strings.HasPrefix(f, "a.m.") || strings.HasPrefix(f, "p.m."):
		return 4, half[:1] + "." + half[1:] + "."
	case strings.HasPrefix(f, "AM") || strings.HasPrefix(f, "PM"):
		return 2, strings.ToUpper(half)
	case strings.HasPrefix(f, "am") || strings.HasPrefix(f, "pm"):
		return 2, half
	case strings.HasPrefix(f, "AD") || strings.HasPrefix(f, "BC"):
		return 2, map[bool]string{false: "AD", true: "BC"}[m.year <= 0]
	case strings.HasPrefix(f, "OF"):
		s := string(types.AppendText(nil, types.NewTime(0), &types.TextFormat{TimeZone: time.FixedZone("", int(m.offset/microsPerSecond))}))
		return 2, s[19:]
	case strings.HasPrefix(f, "TZ") && !strings.HasPrefix(f, "TZH") && !strings.HasPrefix(f, "TZM"):
		return 2, m.zone
	case strings.HasPrefix(f, "tz") && !strings.HasPrefix(f, "tzh") && !strings.HasPrefix(f, "tzm"):
		return 2, strings.ToLower(m.zone)
	}
	return 0, ""
}

// likeCase writes a name in the case of its pattern: MONTH, Month or month.
func likeCase(f, s string) string {
	switch {
	case f[0] >= 'a' && f[0] <= 'z':
		return strings.ToLower(s)
	case f[1] >= 'A' && f[1] <= 'Z':
		return strings.ToUpper(s)
	}
	return s
}
