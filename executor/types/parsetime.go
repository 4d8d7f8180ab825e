package types

import (
	"errors"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zone names must mean the same on machines without a zone database

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// clock is what a date or timestamp text said.
type clock struct {
	year             int64
	month, day       int
	us               int64 // of the day
	haveDate, haveUs bool
	bc, pm, am       bool
	zone             bool
	off              int64 // microseconds east of UTC, when zone
	loc              *time.Location
	special          string // epoch, infinity, -infinity, now, today, tomorrow, yesterday
}

func badTime(t Type, s string) error {
	name := t.String()
	if t.Kind == Timestamp {
		name = "timestamp"
	}
	return sqlerr.New(sqlerr.InvalidDatetimeFormat, "invalid input syntax for type %s: \"%s\"", name, clip(s))
}

func timeRange(s string) error {
	return sqlerr.New(sqlerr.DatetimeFieldOverflow, "date/time field value out of range: \"%s\"", clip(s))
}

func timestampRange(t Type, s string) error {
	name := "timestamp"
	if t.Kind == Date {
		name = "date"
	}
	return sqlerr.New(sqlerr.DatetimeFieldOverflow, "%s out of range: \"%s\"", name, clip(s))
}

func parseTimestamp(t Type, s string, f *TextFormat) (int64, error) {
	if len(s) >= 19 && len(s) <= 40 {
		if us, rest, ok := parseISO([]byte(s)); ok {
			if len(rest) == 0 && t.Kind == TimestampTZ {
				return int64(LocalToUTC(us, f.location())), nil
			}
			if off, ok := parseISOZone(rest); ok {
				if t.Kind == Timestamp {
					off = 0 // the zone of a timestamp without time zone is ignored
				}
				return us - off, nil
			}
		}
	}
	c, err := readClock(t, s)
	if err != nil {
		return 0, err
	}
	if c.special != "" {
		return specialTime(t, c.special, s, f)
	}
	local := DaysFromCivil(c.year, c.month, c.day)*microsPerDay + c.us
	switch {
	case t.Kind == Timestamp:
		return local, nil
	case c.loc != nil:
		return int64(LocalToUTC(local, c.loc)), nil
	case c.zone:
		return local - c.off, nil
	}
	return int64(LocalToUTC(local, f.location())), nil
}

func parseDate(s string, f *TextFormat) (int64, error) {
	t := T(Date)
	c, err := readClock(t, s)
	if err != nil {
		return 0, err
	}
	switch c.special {
	case "":
		return DaysFromCivil(c.year, c.month, c.day), nil
	case "infinity":
		return dateMax, nil
	case "-infinity":
		return dateMin, nil
	}
	us, err := specialTime(T(Timestamp), c.special, s, f)
	return floorDiv(us, microsPerDay), err
}

func specialTime(t Type, word, s string, f *TextFormat) (int64, error) {
	switch word {
	case "epoch":
		return 0, nil
	case "infinity":
		return int64(MaxTime), nil
	case "-infinity":
		return int64(MinTime), nil
	}
	if f == nil || f.Now == 0 {
		return 0, sqlerr.New(sqlerr.InvalidDatetimeFormat, "invalid input syntax for type %s: \"%s\" has no meaning where there is no clock", t, word).
			WithHint("Write the date and time in full.")
	}
	local := int64(f.Now) + ZoneOffset(f.Now, f.location())
	day := floorDiv(local, microsPerDay)
	switch word {
	case "now":
	case "tomorrow":
		local = (day + 1) * microsPerDay
	case "yesterday":
		local = (day - 1) * microsPerDay
	default: // today
		local = day * microsPerDay
	}
	if t.Kind == TimestampTZ {
		if word == "now" {
			return int64(f.Now), nil
		}
		return int64(LocalToUTC(local, f.location())), nil
	}
	return local, nil
}

// errZoneRange is worded by readClock, which knows the whole text.
var errZoneRange = errors.New("types: zone out of range")

// readClock reads Postgres' date and time forms: ISO 8601, compact digits, month names, US order for slashes.
func readClock(t Type, s string) (clock, error) {
	var c clock
	tokens := splitClock(s)
	if len(tokens) == 0 || len(tokens) > 16 {
		return c, badTime(t, s)
	}
	var nums []string
	for _, tok := range tokens {
		ok, err := c.token(tok, &nums)
		if err == errZoneRange {
			err = sqlerr.New("22009", "time zone displacement out of range: \"%s\"", clip(s))
		}
		if err != nil {
			return c, err
		}
		if !ok {
			return c, badTime(t, s)
		}
	}
	if c.special != "" {
		if len(tokens) > 1 {
			return c, badTime(t, s)
		}
		return c, nil
	}
	if !c.useNumbers(nums) || !c.haveDate {
		return c, badTime(t, s)
	}
	return c, c.check(t, s)
}

// splitClock cuts at spaces and commas between fields, and at the T between a date and a time.
func splitClock(s string) []string {
	s = trim(s)
	for i := 1; i+1 < len(s); i++ {
		if (s[i] == 'T' || s[i] == 't') && isDigit(s[i-1]) && isDigit(s[i+1]) {
			s = s[:i] + " " + s[i+1:]
			break
		}
	}
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '\t' || r == '\n' || r == '\r' })
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isAlpha(c byte) bool { return c|32 >= 'a' && c|32 <= 'z' }

// token takes one field in; ok is false when it is nothing known.
func (c *clock) token(tok string, nums *[]string) (ok bool, err error) {
	if isDigit(tok[0]) && strings.Contains(tok, ":") {
		if date, clock, _ := strings.Cut(tok, ":"); strings.Contains(date, "/") && clock != "" && c.dateToken(date) { // web server logs
			tok = clock
		}
		return c.timeToken(tok)
	}
	tok = strings.TrimSuffix(tok, ",")
	if tok == "" {
		return true, nil
	}
	switch {
	case isDigit(tok[0]) && strings.ContainsAny(tok, "-/"):
		date, zone, glued := strings.Cut(tok, "+") // 2024-01-02+00
		if ok := c.dateToken(date); !ok || !glued {
			return ok, nil
		}
		return c.zoneToken("+" + zone)
	case isDigit(tok[0]) && strings.Count(tok, ".") == 2, isAlpha(tok[0]) && strings.Count(tok, "-") == 2 && monthOf(strings.ToLower(tok[:3])) > 0:
		return c.dateToken(strings.ReplaceAll(tok, ".", "-")), nil
	case isDigit(tok[0]):
		if allDigits(tok) || allDigits(strings.Replace(tok, ".", "", 1)) {
			*nums = append(*nums, tok)
			return true, nil
		}
		return c.timeToken(tok)
	case (tok[0] == '+' || tok[0] == '-') && len(tok) > 1 && isDigit(tok[1]):
		return c.zoneToken(tok)
	}
	return c.word(tok)
}

var monthNames = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
	"november", "december"}

var dayNames = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}

// monthOf returns the month that a name or its three-letter form stands for, 0 if none.
func monthOf(w string) int {
	for i, m := range monthNames {
		if w == m || w == m[:3] || w == "sept" && i == 8 {
			return i + 1
		}
	}
	return 0
}

// zoneAbbrevs are the abbreviations that Postgres' default set knows and people meet, in hours east of UTC.
var zoneAbbrevs = map[string]float64{"utc": 0, "gmt": 0, "z": 0, "zulu": 0, "ut": 0, "est": -5, "edt": -4, "cst": -6, "cdt": -5,
	"mst": -7, "mdt": -6, "pst": -8, "pdt": -7, "cet": 1, "cest": 2, "met": 1, "mest": 2, "bst": 1, "wet": 0, "west": 1, "eet": 2, "eest": 3, "msk": 3,
	"jst": 9, "kst": 9, "ist": 2, "aest": 10, "aedt": 11, "acst": 9.5, "awst": 8, "nzst": 12, "nzdt": 13, "hst": -10, "akst": -9, "akdt": -8}

func (c *clock) word(tok string) (bool, error) {
	w := strings.ToLower(tok)
	if m := monthOf(w); m > 0 {
		if c.month != 0 {
			return false, nil
		}
		c.month = m
		return true, nil
	}
	for _, d := range dayNames {
		if w == d || len(w) >= 3 && strings.HasPrefix(d, w) {
			return true, nil
		}
	}
	switch w {
	case "am":
		c.am = true
	case "pm":
		c.pm = true
	case "bc":
		c.bc = true
	case "ad", "at", "on":
	case "epoch", "infinity", "-infinity", "now", "today", "tomorrow", "yesterday":
		c.special = w
	default:
		return c.zoneName(tok)
	}
	return true, nil
}

func (c *clock) zoneName(tok string) (bool, error) {
	if c.zone {
		return false, nil
	}
	if h, ok := zoneAbbrevs[strings.ToLower(tok)]; ok {
		c.zone, c.off = true, int64(h*float64(microsPerHour))
		return true, nil
	}
	if !strings.Contains(tok, "/") {
		return false, nil
	}
	loc, err := Zone(strings.ToLower(tok))
	if err != nil {
		return false, err
	}
	c.zone, c.loc = true, loc
	return true, nil
}

// Zone finds a time zone by name ("Europe/Vienna"), abbreviation ("EST") or offset ("+02", "-05:30"); as in Postgres and
// POSIX, and unlike in timestamps, a plus there means west. Errors have SQLSTATE 22023.
func Zone(name string) (*time.Location, error) {
	unknown := sqlerr.New(sqlerr.InvalidParameterValue, "time zone \"%s\" not recognized", clip(name))
	n := trim(name)
	if h, ok := zoneAbbrevs[strings.ToLower(n)]; ok {
		if h == 0 {
			return time.UTC, nil
		}
		return time.FixedZone(strings.ToUpper(n), int(h*3600)), nil
	}
	if n == "" || strings.EqualFold(n, "local") || len(n) > 64 {
		return nil, unknown
	}
	if n[0] == '+' || n[0] == '-' {
		var c clock
		if ok, err := c.zoneToken(n); !ok || err != nil {
			return nil, unknown
		}
		return time.FixedZone("", -int(c.off/microsPerSecond)), nil
	}
	if loc, err := time.LoadLocation(n); err == nil {
		return loc, nil
	}
	if loc, err := time.LoadLocation(zoneCase(n)); err == nil {
		return loc, nil
	}
	return nil, unknown
}

// zoneCase writes a zone name the way the database does: europe/vienna -> Europe/Vienna.
func zoneCase(n string) string {
	b := []byte(strings.ToLower(n))
	up := true
	for i, ch := range b {
		if up && isAlpha(ch) {
			b[i] = ch - 32
		}
		up = ch == '/' || ch == '_' || ch == '-'
	}
	return string(b)
}

// timeToken reads hh:mm[:ss[.frac]] with an optional am/pm and zone glued on.
func (c *clock) timeToken(tok string) (bool, error) {
	end := 0
	for end < len(tok) && (isDigit(tok[end]) || tok[end] == ':' || (tok[end] == '.' || tok[end] == ',') && end+1 < len(tok) && isDigit(tok[end+1])) {
		end++
	}
	us, ok := parseClockDigits(tok[:end])
	if !ok || c.haveUs {
		return false, nil
	}
	c.us, c.haveUs = us, true
	rest := tok[end:]
	if rest == "" || rest == "," {
		return true, nil
	}
	if rest[0] == '+' || rest[0] == '-' {
		return c.zoneToken(rest)
	}
	return c.word(rest)
}

// parseClockDigits reads hh:mm, hh:mm:ss[.frac] or hhmmss[.frac] as microseconds.
func parseClockDigits(s string) (int64, bool) {
	s = strings.Replace(s, ",", ".", 1)
	whole, frac, _ := strings.Cut(s, ".")
	var parts []string
	if strings.Contains(whole, ":") {
		parts = strings.Split(whole, ":")
	} else if len(whole) == 6 || len(whole) == 4 {
		for i := 0; i < len(whole); i += 2 {
			parts = append(parts, whole[i:i+2])
		}
	}
	if len(parts) < 2 || len(parts) > 3 {
		return 0, false
	}
	us := int64(0)
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		limit := 60
		if i == 0 {
			limit = 24
		}
		if err != nil || n < 0 || n > limit || i == 1 && n > 59 || len(p) > 2 {
			return -1, len(p) > 0 && allDigits(p) // out of range, said by check
		}
		us = us*60 + int64(n)
	}
	if len(parts) == 2 {
		us *= 60
	}
	us *= microsPerSecond
	if frac != "" {
		f, err := strconv.ParseFloat("0."+frac, 64)
		if err != nil {
			return 0, false
		}
		us += int64(f*1e6 + 0.5)
	}
	return us, true
}

// zoneToken reads +hh, +hhmm, +hh:mm[:ss], where + is east.
func (c *clock) zoneToken(tok string) (bool, error) {
	d := tok[1:]
	var parts []string
	switch {
	case strings.Contains(d, ":"):
		parts = strings.Split(d, ":")
	case len(d) == 4:
		parts = []string{d[:2], d[2:]}
	case len(d) == 3:
		parts = []string{d[:1], d[1:]}
	default:
		parts = []string{d}
	}
	if len(parts) > 3 || c.zone {
		return false, nil
	}
	unit, off := int64(3600), int64(0)
	for i, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil || !allDigits(p) || len(p) > 2 {
			return false, nil
		}
		if n > 59 || i == 0 && n > 15 {
			return false, errZoneRange
		}
		off += int64(n) * unit
		unit /= 60
	}
	c.zone, c.off = true, off*microsPerSecond
	if tok[0] == '-' {
		c.off = -c.off
	}
	return true, nil
}

// dateToken reads y-m-d, m/d/y, d-Mon-y, Mon-d-y.
func (c *clock) dateToken(tok string) bool {
	if c.haveDate {
		return false
	}
	sep := "-"
	if strings.Contains(tok, "/") {
		sep = "/"
	}
	p := strings.Split(tok, sep)
	if len(p) != 3 {
		return false
	}
	c.haveDate = true
	m := monthOf(strings.ToLower(p[1]))
	if first := monthOf(strings.ToLower(p[0])); first > 0 {
		c.month = first
		return allDigits(p[1]) && allDigits(p[2]) && c.setDay(p[1]) && c.setYear(p[2])
	}
	switch {
	case m > 0 && allDigits(p[0]) && allDigits(p[2]):
		c.month = m
		if len(p[0]) > 2 {
			return c.setYear(p[0]) && c.setDay(p[2])
		}
		return c.setDay(p[0]) && c.setYear(p[2])
	case !allDigits(p[0]) || !allDigits(p[1]) || !allDigits(p[2]):
		return false
	case len(p[0]) > 2:
		return c.setYear(p[0]) && c.setMonth(p[1]) && c.setDay(p[2])
	}
	return c.setMonth(p[0]) && c.setDay(p[1]) && c.setYear(p[2])
}

func (c *clock) setYear(s string) bool {
	y, err := strconv.ParseInt(s, 10, 32)
	if len(s) <= 2 {
		y += 1900
		if y < 1970 {
			y += 100
		}
	}
	c.year = y
	return err == nil
}

func (c *clock) setMonth(s string) bool {
	m, err := strconv.Atoi(s)
	if m == 0 || m > 12 {
		m = 99
	}
	c.month = m
	return err == nil
}

func (c *clock) setDay(s string) bool {
	d, err := strconv.Atoi(s)
	c.day = d
	return err == nil
}

// useNumbers gives meaning to bare numbers: a compact date, a compact time, or day and year beside a month name.
func (c *clock) useNumbers(nums []string) bool {
	for _, n := range nums {
		switch {
		case c.month == 0 && !c.haveDate && len(n) == 8 && allDigits(n):
			c.haveDate = true
			if !c.setYear(n[:4]) || !c.setMonth(n[4:6]) || !c.setDay(n[6:]) {
				return false
			}
		case c.month == 0 && !c.haveDate && len(n) == 6 && allDigits(n):
			c.haveDate = true
			if !c.setYear(n[:2]) || !c.setMonth(n[2:4]) || !c.setDay(n[4:]) {
				return false
			}
		case c.haveDate && !c.haveUs && len(mantissaPoint(n)) >= 4:
			us, ok := parseClockDigits(n)
			if !ok {
				return false
			}
			c.us, c.haveUs = us, true
		case c.month != 0 && !c.haveDate && c.day == 0 && len(n) <= 2:
			if !c.setDay(n) {
				return false
			}
		case c.month != 0 && !c.haveDate && c.year == 0:
			if !c.setYear(n) {
				return false
			}
		default:
			return false
		}
	}
	if c.month != 0 && c.day != 0 && c.year != 0 {
		c.haveDate = true
	}
	return true
}

func mantissaPoint(s string) string {
	whole, _, _ := strings.Cut(s, ".")
	return whole
}

// check validates the fields and applies am/pm and BC.
func (c *clock) check(t Type, s string) error {
	if c.us < 0 || c.us > microsPerDay || c.year == 0 && !c.bc {
		return timeRange(s)
	}
	if c.am || c.pm {
		h := c.us / microsPerHour
		if h > 12 || h == 0 {
			return timeRange(s)
		}
		if c.pm && h != 12 {
			c.us += 12 * microsPerHour
		} else if c.am && h == 12 {
			c.us -= 12 * microsPerHour
		}
	}
	if c.bc {
		c.year = 1 - c.year
	}
	if c.month < 1 || c.month > 12 || c.day < 1 || c.day > DaysInMonth(c.year, c.month) {
		err := timeRange(s).(*sqlerr.Error)
		if c.month > 12 {
			return err.WithHint("Perhaps you need a different \"datestyle\" setting.")
		}
		return err
	}
	if c.year < yearMin || c.year == yearMin && c.month*100+c.day < 1124 || c.year > yearMax && t.Kind != Date || c.year > 5874897 {
		return timestampRange(t, s)
	}
	return nil
}
