package codec

import "github.com/vigil-sql/vigil/executor/types"

const (
	microsPerSecond = 1_000_000
	microsPerMinute = 60 * microsPerSecond
	microsPerDay    = 24 * 60 * microsPerMinute
)

// timeParser reads ISO timestamps. It remembers the minute of the last one, because events come roughly in time order.
type timeParser struct {
	lo, hi uint64 // "YYYY-MM-DDTHH:MM" of the cached minute, as two words
	base   int64  // its microseconds since 1970 UTC
	cached bool
}

// parse reads a timestamp at the start of s, which may go on behind it, and returns its microseconds and length; length 0
// means that it is not in the plain form YYYY-MM-DD(T| )HH:MM:SS[.fraction][Z|+hh[:]mm|+hh] and the full parser must
// decide. Without a zone it is UTC. A fraction has up to nine digits and is rounded half up.
func (p *timeParser) parse(s []byte) (micros int64, n int) {
	if len(s) < 19 {
		return 0, 0
	}
	lo, hi := load(s, 0), load(s, 8)
	if lo != p.lo || hi != p.hi || !p.cached {
		base, ok := minuteOf(s)
		if !ok {
			return 0, 0
		}
		p.lo, p.hi, p.base, p.cached = lo, hi, base, true
	}
	s1, s2 := s[17]-'0', s[18]-'0'
	if s[16] != ':' || s1 > 5 || s2 > 9 {
		return 0, 0
	}
	t := p.base + (int64(s1)*10+int64(s2))*microsPerSecond
	i := 19
	if i < len(s) && s[i] == '.' {
		f, k := shortFraction(s[20:])
		if k == 0 {
			f, k = fraction(s[20:])
		}
		if k == 0 {
			return 0, 0
		}
		t += f
		i = 20 + k
	}
	return zone(s, i, t)
}

// zone applies the zone at s[i:], if there is one.
func zone(s []byte, i int, t int64) (int64, int) {
	if i == len(s) {
		return t, i
	}
	switch s[i] {
	case 'Z', 'z':
		return t, i + 1
	case '+', '-':
		off, n := zoneOffset(s[i+1:])
		if n == 0 {
			return 0, 0
		}
		if s[i] == '+' {
			off = -off
		}
		return t + off, i + 1 + n
	}
	return t, i
}

// zoneOffset reads hh, hhmm or hh:mm and returns microseconds and length, 0 if malformed or beyond Postgres' limit.
func zoneOffset(s []byte) (int64, int) {
	h, ok := two(s, 0)
	if !ok || h > 15 {
		return 0, 0
	}
	n, at := 2, 2
	if len(s) > 2 && s[2] == ':' {
		at = 3
	}
	m, ok := two(s, at)
	switch {
	case ok && m < 60:
		n = at + 2
	case ok || at == 3:
		return 0, 0
	default:
		m = 0
	}
	return (h*60 + m) * microsPerMinute, n
}

// fraction reads up to nine digits after the point and returns microseconds, rounded half up, and the digit count.
func fraction(s []byte) (int64, int) {
	var v int64
	k := 0
	for k < len(s) && s[k]-'0' <= 9 {
		if k == 9 {
			return 0, 0
		}
		v = v*10 + int64(s[k]-'0')
		k++
	}
	if k == 0 {
		return 0, 0
	}
	if k > 6 {
		unit := pow10[k-6]
		return (v + unit/2) / unit, k
	}
	return v * pow10[6-k], k
}

// shortFraction is fraction for one to six digits, without a branch per digit; length 0 leaves it to fraction.
func shortFraction(s []byte) (int64, int) {
	if len(s) < 8 {
		return 0, 0
	}
	x := load(s, 0)
	k := markIndex(notDigit(x))
	if uint(k-1) > 5 {
		return 0, 0
	}
	return int64(digits8(x<<(64-8*k))) * pow10[6-k], k
}

var pow10 = [19]int64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}

// two reads two digits at s[i:].
func two(s []byte, i int) (int64, bool) {
	if len(s) < i+2 {
		return 0, false
	}
	a, b := s[i]-'0', s[i+1]-'0'
	return int64(a)*10 + int64(b), a <= 9 && b <= 9
}

// minuteOf converts "YYYY-MM-DD(T| )HH:MM", s having at least 16 bytes.
func minuteOf(s []byte) (int64, bool) {
	c, ok1 := two(s, 0)
	y, ok2 := two(s, 2)
	mo, ok3 := two(s, 5)
	d, ok4 := two(s, 8)
	h, ok5 := two(s, 11)
	mi, ok6 := two(s, 14)
	y += c * 100
	sep := s[10] == 'T' || s[10] == ' ' || s[10] == 't'
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6 && sep) || s[4] != '-' || s[7] != '-' || s[13] != ':' {
		return 0, false
	}
	if y == 0 || mo < 1 || mo > 12 || d < 1 || d > daysIn(y, mo) || h > 23 || mi > 59 {
		return 0, false
	}
	return daysSince1970(y, mo, d)*microsPerDay + (h*60+mi)*microsPerMinute, true
}

func daysIn(y, m int64) int64 {
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

// daysSince1970 counts days in the proleptic Gregorian calendar; years start in March so that leap days end them.
func daysSince1970(y, m, d int64) int64 {
	if m <= 2 {
		y--
		m += 12
	}
	era := y / 400
	yoe := y - era*400
	doy := (153*(m-3)+2)/5 + d - 1
	return era*146097 + yoe*365 + yoe/4 - yoe/100 + doy - 719468
}

// epochTime reads a JSON number as a point in time: seconds since 1970, or by magnitude milliseconds (above 1e11),
// microseconds (above 1e14) or nanoseconds (above 1e17), with an optional fraction. ok is false for exponents and for
// numbers out of range.
func epochTime(s []byte) (types.EventTime, bool) {
	neg := len(s) > 0 && s[0] == '-'
	if neg {
		s = s[1:]
	}
	var whole int64
	i := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if i == 18 && whole > 900_000_000_000_000_000 || i > 18 {
			return 0, false
		}
		whole = whole*10 + int64(s[i]-'0')
	}
	var micros int64 // the fraction in millionths, rounded half up
	if i < len(s) {
		if s[i] != '.' || i == 0 {
			return 0, false
		}
		if len(s) > i+10 {
			s = s[:i+10] // nanoseconds of a second are enough to round microseconds
		}
		f, k := fraction(s[i+1:])
		if k == 0 || i+1+k != len(s) {
			return 0, false
		}
		micros = f
	}
	var t int64
	switch {
	case whole >= 1e17:
		t = (whole + 500) / 1000
	case whole >= 1e14:
		t = whole + micros/500_000
	case whole >= 1e11:
		t = whole*1000 + (micros+500)/1000
	default:
		t = whole*microsPerSecond + micros
	}
	if neg {
		t = -t
	}
	return types.EventTime(t), i > 0
}
