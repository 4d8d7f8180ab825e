package types

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// IntervalValue is an interval taken apart.
type IntervalValue struct {
	Months, Days int32
	Micros       int64
}

// AppendIntervalBytes appends the stored form: months and days as 4, microseconds as 8 big-endian bytes.
func AppendIntervalBytes(dst []byte, iv IntervalValue) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(iv.Months))
	dst = binary.BigEndian.AppendUint32(dst, uint32(iv.Days))
	return binary.BigEndian.AppendUint64(dst, uint64(iv.Micros))
}

func (iv IntervalValue) stored() string {
	var tmp [16]byte
	return string(AppendIntervalBytes(tmp[:0], iv))
}

// NewInterval returns an interval value.
func NewInterval(iv IntervalValue) Value { return NewBytes(Interval, iv.stored()) }

// DecodeInterval reads the stored form.
func DecodeInterval(s string) (IntervalValue, error) {
	if len(s) != 16 {
		return IntervalValue{}, fmt.Errorf("stored interval has %d bytes, not 16", len(s))
	}
	b := []byte(s)
	return IntervalValue{int32(binary.BigEndian.Uint32(b)), int32(binary.BigEndian.Uint32(b[4:])), int64(binary.BigEndian.Uint64(b[8:]))}, nil
}

// Span returns the length in microseconds, a month counting 30 days; saturated at the ends of 64 bits.
func (iv IntervalValue) Span() int64 {
	hi, lo := iv.span()
	if hi > math.MaxInt64/microsPerDay-1 {
		return math.MaxInt64
	}
	if hi < math.MinInt64/microsPerDay+1 {
		return math.MinInt64
	}
	return hi*microsPerDay + lo
}

// span returns whole days and the microseconds left (0 <= lo < a day): a form that compares without overflow.
func (iv IntervalValue) span() (days, lo int64) {
	days = int64(iv.Months)*30 + int64(iv.Days) + floorDiv(iv.Micros, microsPerDay)
	return days, iv.Micros - floorDiv(iv.Micros, microsPerDay)*microsPerDay
}

// AppendText appends Postgres' default style: 1 year 2 mons 3 days 04:05:06.5.
func (iv IntervalValue) AppendText(dst []byte) []byte {
	start, negative := len(dst), false
	part := func(n int64, unit string) {
		if n == 0 {
			return
		}
		if len(dst) > start {
			dst = append(dst, ' ')
		}
		if negative && n > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, n, 10)
		dst = append(dst, ' ')
		dst = append(dst, unit...)
		if n != 1 {
			dst = append(dst, 's')
		}
		negative = n < 0
	}
	part(int64(iv.Months/12), "year")
	part(int64(iv.Months%12), "mon")
	part(int64(iv.Days), "day")
	if iv.Micros == 0 && len(dst) > start {
		return dst
	}
	if len(dst) > start {
		dst = append(dst, ' ')
	}
	us := uint64(iv.Micros)
	if iv.Micros < 0 {
		dst = append(dst, '-')
		us = -us
	} else if negative {
		dst = append(dst, '+')
	}
	dst = appendPadded(dst, int64(us/uint64(microsPerHour)), 2)
	return append(dst, appendClock(nil, int64(us%uint64(microsPerHour)))[2:]...)
}

func badInterval(s string) error {
	return sqlerr.New(sqlerr.InvalidDatetimeFormat, "invalid input syntax for type interval: \"%s\"", clip(s))
}

func intervalRange(s string) error {
	return sqlerr.New("22015", "interval field value out of range: \"%s\"", clip(s))
}

// intervalUnit is what one of a unit is worth.
type intervalUnit struct {
	months, days, micros float64
}

var intervalUnits = map[string]intervalUnit{
	"microsecond": {0, 0, 1}, "us": {0, 0, 1}, "usec": {0, 0, 1}, "millisecond": {0, 0, 1e3}, "ms": {0, 0, 1e3}, "msec": {0, 0, 1e3},
	"second": {0, 0, 1e6}, "sec": {0, 0, 1e6}, "s": {0, 0, 1e6}, "minute": {0, 0, 6e7}, "min": {0, 0, 6e7}, "m": {0, 0, 6e7},
	"hour": {0, 0, 3.6e9}, "hr": {0, 0, 3.6e9}, "h": {0, 0, 3.6e9}, "day": {0, 1, 0}, "d": {0, 1, 0}, "week": {0, 7, 0}, "w": {0, 7, 0},
	"month": {1, 0, 0}, "mon": {1, 0, 0}, "year": {12, 0, 0}, "yr": {12, 0, 0}, "y": {12, 0, 0}, "decade": {120, 0, 0}, "dec": {120, 0, 0},
	"century": {1200, 0, 0}, "centurie": {1200, 0, 0}, "cent": {1200, 0, 0}, "c": {1200, 0, 0}, "millennium": {12000, 0, 0}, "millennia": {12000, 0, 0}, "mil": {12000, 0, 0},
}

func findUnit(w string) (intervalUnit, bool) {
	w = strings.ToLower(w)
	u, ok := intervalUnits[w]
	if !ok {
		u, ok = intervalUnits[strings.TrimSuffix(w, "s")]
	}
	return u, ok
}

// intervalSum collects the parts in floating point fractions but exact wholes.
type intervalSum struct {
	months, days, micros int64
	over                 bool
	seen                 []intervalUnit // units may come once
}

// add adds n of a unit: the fraction of months goes to days (30 each), the fraction of days to time.
func (s *intervalSum) add(whole int64, frac float64, u intervalUnit) {
	switch {
	case u.months > 0:
		s.months += s.mul(whole, int64(u.months))
		if u.months >= 12 {
			s.months += int64(math.Round(frac * u.months))
			return
		}
		s.addDays(frac * 30)
	case u.days > 0:
		s.days += s.mul(whole, int64(u.days))
		s.addDays(frac * u.days)
	default:
		s.addMicros(s.mul(whole, int64(u.micros)), math.RoundToEven(frac*u.micros))
	}
}

func (s *intervalSum) addDays(d float64) {
	whole := math.Trunc(d)
	s.days += int64(whole)
	s.addMicros(0, math.RoundToEven((d-whole)*float64(microsPerDay)))
}

func (s *intervalSum) addMicros(us int64, more float64) {
	sum := s.micros + us
	if (sum > s.micros) != (us > 0) && us != 0 {
		s.over = true
	}
	s.micros = sum + int64(more)
}

func (s *intervalSum) mul(a, b int64) int64 {
	p := a * b
	if a != 0 && (p/a != b || a == math.MinInt64) {
		s.over = true
	}
	return p
}

func (s *intervalSum) value(text string) (IntervalValue, error) {
	if s.months != int64(int32(s.months)) && !s.over {
		return IntervalValue{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "interval out of range")
	}
	if s.over || s.days != int64(int32(s.days)) {
		return IntervalValue{}, intervalRange(text)
	}
	return IntervalValue{int32(s.months), int32(s.days), s.micros}, nil
}

// number reads [+-]digits[.digits] as whole and fraction, both with the sign.
func intervalNumber(t string) (whole int64, frac float64, ok bool) {
	neg := strings.HasPrefix(t, "-")
	d := strings.TrimLeft(t, "+-")
	if len(t)-len(d) > 1 || !plainNumber(d) || mantissa(d) != d {
		return 0, 0, false
	}
	w, f, _ := strings.Cut(d, ".")
	var err error
	if w != "" {
		if whole, err = strconv.ParseInt(w, 10, 64); err != nil {
			return 0, 0, false
		}
	}
	if f != "" {
		frac, _ = strconv.ParseFloat("0."+f, 64)
	}
	if neg {
		return -whole, -frac, true
	}
	return whole, frac, true
}

// parseInterval reads '1 day 2 hours', '1:02:03', '1-2 3 4:05:06', 'P1Y2DT3H', '5 minutes ago'.
func parseInterval(s string) (IntervalValue, error) {
	t := trim(s)
	if strings.HasPrefix(t, "P") {
		return parseISOInterval(s, t)
	}
	fields := intervalFields(t)
	if len(fields) == 0 || len(fields) > 64 {
		return IntervalValue{}, badInterval(s)
	}
	ago := false
	if strings.EqualFold(fields[len(fields)-1], "ago") {
		ago, fields = true, fields[:len(fields)-1]
	}
	var sum intervalSum
	for i := 0; i < len(fields); i++ {
		used, ok := sum.field(fields[i:])
		if !ok {
			return IntervalValue{}, badInterval(s)
		}
		i += used - 1
	}
	if ago {
		sum.months, sum.days, sum.micros = -sum.months, -sum.days, -sum.micros
	}
	return sum.value(s)
}

// intervalFields splits at spaces and between a number and its unit.
func intervalFields(t string) []string {
	var out []string
	for _, f := range strings.Fields(strings.ReplaceAll(t, "@", " ")) {
		f = strings.TrimRight(f, ",")
		for f != "" {
			i := 0
			for i < len(f) && !isAlpha(f[i]) {
				i++
			}
			if i > 0 {
				out = append(out, f[:i])
				f = f[i:]
				continue
			}
			for i < len(f) && isAlpha(f[i]) {
				i++
			}
			out = append(out, f[:i])
			f = f[i:]
		}
	}
	return out
}

// field reads the next number, with the unit after it if there is one, and returns the fields used.
func (s *intervalSum) field(f []string) (used int, ok bool) {
	t := f[0]
	if strings.Contains(t, ":") {
		return 1, s.clock(t)
	}
	if i := strings.LastIndexByte(t, '-'); i > 0 { // years-months
		y, _, ok1 := intervalNumber(t[:i])
		m, _, ok2 := intervalNumber(t[i+1:])
		if !ok1 || !ok2 || m > 11 {
			return 0, false
		}
		if t[0] == '-' {
			m = -m
		}
		s.months += s.mul(y, 12) + m
		return 1, true
	}
	whole, frac, ok := intervalNumber(t)
	if !ok {
		return 0, false
	}
	if len(f) > 1 && isAlpha(f[1][0]) {
		u, ok := findUnit(f[1])
		if !ok || slices.Contains(s.seen, u) {
			return 0, false
		}
		s.seen = append(s.seen, u)
		s.add(whole, frac, u)
		return 2, true
	}
	if len(f) > 1 && strings.Contains(f[1], ":") { // days before a time
		s.add(whole, frac, intervalUnits["day"])
		return 1, true
	}
	if len(f) > 1 {
		return 0, false
	}
	s.add(whole, frac, intervalUnits["second"])
	return 1, true
}

// clock reads [+-]h:mm[:ss[.frac]]; with one colon and a fraction it is mm:ss.
func (s *intervalSum) clock(t string) bool {
	neg := strings.HasPrefix(t, "-")
	d := strings.TrimLeft(t, "+-")
	p := strings.Split(d, ":")
	if len(t)-len(d) > 1 || len(p) > 3 {
		return false
	}
	if len(p) == 2 && strings.Contains(p[1], ".") {
		p = append([]string{"0"}, p...)
	}
	if len(p) == 2 {
		p = append(p, "0")
	}
	h, hf, ok1 := intervalNumber(p[0])
	m, mf, ok2 := intervalNumber(p[1])
	sec, frac, ok3 := intervalNumber(p[2])
	if !ok1 || !ok2 || !ok3 || hf != 0 || mf != 0 || m < 0 || sec < 0 || h < 0 {
		return false
	}
	s.over = s.over || m > 59 || sec > 60
	us := s.mul(h, microsPerHour) + m*microsPerMinute + sec*microsPerSecond + int64(math.RoundToEven(frac*1e6))
	if neg {
		us = -us
	}
	s.addMicros(us, 0)
	return true
}

// parseISOInterval reads P[nY][nM][nW][nD][T[nH][nM][nS]].
func parseISOInterval(s, t string) (IntervalValue, error) {
	var sum intervalSum
	inTime, any := false, false
	for t = t[1:]; t != ""; {
		if t[0] == 'T' {
			inTime, t = true, t[1:]
			continue
		}
		i := 0
		for i < len(t) && (isDigit(t[i]) || t[i] == '.' || t[i] == '-' || t[i] == '+') {
			i++
		}
		if i == len(t) {
			return IntervalValue{}, badInterval(s)
		}
		whole, frac, ok := intervalNumber(t[:i])
		unit, known := isoUnit(t[i], inTime)
		if !ok || !known {
			return IntervalValue{}, badInterval(s)
		}
		sum.add(whole, frac, unit)
		any, t = true, t[i+1:]
	}
	if !any && !inTime {
		return IntervalValue{}, badInterval(s)
	}
	return sum.value(s)
}

func isoUnit(c byte, inTime bool) (intervalUnit, bool) {
	name := ""
	switch {
	case inTime && c == 'H':
		name = "hour"
	case inTime && c == 'M':
		name = "minute"
	case inTime && c == 'S':
		name = "second"
	case !inTime && c == 'Y':
		name = "year"
	case !inTime && c == 'M':
		name = "month"
	case !inTime && c == 'W':
		name = "week"
	case !inTime && c == 'D':
		name = "day"
	}
	u, ok := intervalUnits[name]
	return u, ok
}
