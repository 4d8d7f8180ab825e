package types

// two reads two ASCII digits; anything else gives a number above 99.
func two(b []byte) int {
	x, y := b[0]-'0', b[1]-'0'
	if x > 9 || y > 9 {
		return 1000
	}
	return int(x)*10 + int(y)
}

// ParseTimestampTZ reads the ISO 8601 forms that machines write: YYYY-MM-DD, 'T' or a space, hh:mm:ss, an optional fraction
// after '.' or ',' (up to nine digits, rounded half up to microseconds), and an optional zone Z, +hh, +hhmm or +hh:mm;
// without one the time is UTC. It allocates nothing. ok is false for everything else: ParseText reads more forms.
func ParseTimestampTZ(b []byte) (t EventTime, ok bool) {
	us, rest, ok := parseISO(b)
	if !ok {
		return 0, false
	}
	off, ok := parseISOZone(rest)
	return EventTime(us - off), ok
}

// parseISO reads date, time and fraction as microseconds of the written clock and returns what follows.
func parseISO(b []byte) (us int64, rest []byte, ok bool) {
	if len(b) < 19 || b[4] != '-' || b[7] != '-' || (b[10] != 'T' && b[10] != ' ' && b[10] != 't') || b[13] != ':' || b[16] != ':' {
		return 0, nil, false
	}
	y1, y2, mo, d := two(b), two(b[2:]), two(b[5:]), two(b[8:])
	h, mi, s := two(b[11:]), two(b[14:]), two(b[17:])
	if y1 > 99 || y2 > 99 || mo < 1 || mo > 12 || d < 1 || h > 23 || mi > 59 || s > 60 || y1+y2 == 0 {
		return 0, nil, false
	}
	y := int64(y1*100 + y2)
	if d > 28 && d > DaysInMonth(y, mo) {
		return 0, nil, false
	}
	us = DaysFromCivil(y, mo, d)*microsPerDay + int64(h*3600+mi*60+s)*microsPerSecond
	b = b[19:]
	if len(b) == 0 || (b[0] != '.' && b[0] != ',') {
		return us, b, true
	}
	frac, n := 0, 1
	for n < len(b) && n <= 9 && b[n]-'0' <= 9 {
		frac = frac*10 + int(b[n]-'0')
		n++
	}
	if n == 1 {
		return 0, nil, false
	}
	for i := n; i <= 9; i++ {
		frac *= 10
	}
	return us + int64(frac+500)/1000, b[n:], true
}

// parseISOZone reads the zone, all of b, as microseconds east of UTC.
func parseISOZone(b []byte) (off int64, ok bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if len(b) < 3 || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	h, m := two(b[1:]), 0
	switch {
	case len(b) == 5:
		m = two(b[3:])
	case len(b) == 6 && b[3] == ':':
		m = two(b[4:])
	case len(b) != 3:
		return 0, false
	}
	if h > 15 || m > 59 {
		return 0, false
	}
	off = int64(h*3600+m*60) * microsPerSecond
	if b[0] == '-' {
		off = -off
	}
	return off, true
}
