package codec

import "bytes"

// old reads what RFC 3164 describes, and what is sent in its name: the timestamp may be ISO 8601 or carry a year, the host may be
// missing, and so may the tag. A message with a priority but no timestamp has the time of its arrival (RFC 3164, 4.3.3).
func (h *syslogHeader) old(n *named, s []byte, i int, prioritised bool) ([]byte, error) {
	for i < len(s) && (s[i] == '*' || s[i] == '.' || s[i] == ' ' && prioritised) { // routers mark a clock that is not set
		i++
	}
	t, k := n.times.parse(s[i:])
	if k > 0 {
		n.storeTime(h.timestamp, t, s[i:i+k])
		i += k
		for i < len(s) && (s[i] == ':' || s[i] == ' ') {
			i++
		}
		i = h.host(n, s, i)
	} else {
		if !prioritised {
			return nil, badSyslog("there is neither a priority nor a timestamp", s, i)
		}
		arrival := n.times.ceiling - microsPerDay
		n.fold = appendMicros(n.fold[:0], arrival)
		n.storeTime(h.timestamp, arrival, n.fold)
	}
	return h.tag(n, s, i), nil
}

// host reads the host at i and returns the place behind it; a word that is a tag is none.
func (h *syslogHeader) host(n *named, s []byte, i int) int {
	f, end := word(s, i)
	if len(f) == 0 || f[len(f)-1] == ':' && !bytes.Contains(f[:len(f)-1], []byte(":")) || bytes.IndexByte(f, '[') > 0 || f[0] == '%' || !hostLike(f) {
		return i
	}
	n.store(h.hostname, bytes.TrimSuffix(f, []byte(":")))
	for end < len(s) && s[end] == ' ' {
		end++
	}
	return end
}

// hostLike reports whether a word can be a host's name or address.
func hostLike(f []byte) bool {
	letter := false
	for _, c := range f {
		switch {
		case c-'0' <= 9, c|0x20-'a' < 26, c >= 0x80:
			letter = true
		case c != '.' && c != '-' && c != '_' && c != ':' && c != '/' && c != '%' && c != '@' && c != '~':
			return false
		}
	}
	return letter
}

// tag puts the program and its number, name[123]: or name:, and returns the message behind them.
func (h *syslogHeader) tag(n *named, s []byte, i int) []byte {
	if i >= len(s) {
		return nil
	}
	rest := s[i:]
	name, after := tagOf(rest)
	if after == 0 {
		return rest
	}
	if open := bytes.IndexByte(name, '['); open > 0 && name[len(name)-1] == ']' {
		if pid := name[open+1 : len(name)-1]; len(pid) > 0 {
			n.store(h.procID, pid)
		}
		name = name[:open]
	}
	n.store(h.appName, name)
	rest = rest[after:]
	if len(rest) > 0 && rest[0] == ' ' {
		rest = rest[1:]
	}
	return rest
}

// tagMax bounds a tag with blanks in it, bytes.
const tagMax = 64

// tagOf finds the tag at the start of s: a word that ends with a colon, name[pid] with or without one, or a name with blanks that
// ends with [pid] and a colon. It returns the place behind it, 0 when there is none.
func tagOf(s []byte) (name []byte, after int) {
	w, end := word(s, 0)
	if k := len(w); k > 1 && w[k-1] == ':' {
		return w[:k-1], k
	}
	if open := bytes.IndexByte(w, '['); open > 0 {
		if cl := bytes.IndexByte(w[open:], ']'); cl > 1 {
			k := open + cl + 1
			switch {
			case k == len(w):
				return w, end
			case w[k] == ':':
				return w[:k], k + 1
			}
		}
	}
	head := s[:min(len(s), tagMax)]
	if k := bytes.Index(head, []byte("]: ")); k > 0 {
		open := bytes.LastIndexByte(head[:k], '[')
		if _, e := digits(head, open+1, 10); open > 0 && e == k && e > open+1 && bytes.IndexAny(head[:open], ":[](){}") < 0 {
			return s[:k+1], k + 2
		}
	}
	if k := bytes.IndexByte(w, ':'); k > 0 && hostLike(w[:k]) && bytes.IndexByte(w[:k], '/') < 0 && k+1 < len(w) && w[0] == '%' {
		return w[:k], k + 1
	}
	return nil, 0
}
