package ioc

import (
	"bytes"
	"strconv"
)

// appendURL appends the canonical form of a URL, scheme://host[:port]/path[?query]:
//   - scheme and host in lower case, the host as in a list of addresses or domains; user and password, the scheme's own
//     port, an empty query and the fragment go
//   - escapes of letters, digits and -._~ are resolved, others have upper-case digits; bytes that may not stand in a URL are
//     escaped, as is a % that begins no escape; a backslash in http, https, ftp is a slash, as browsers have it
//   - dot segments are resolved; an empty path is "/"
//
// A URL without a scheme is //host..; it stands for http and https. Its host must be an address or have a dot, lest every
// word were a URL. With port 80 or 443 it gets the scheme.
func appendURL(dst, v []byte) ([]byte, string) {
	n := len(dst)
	dst, rest, reason := appendScheme(dst, v)
	if reason != "" {
		return dst[:n], reason
	}
	scheme := string(bytes.TrimSuffix(dst[n:], []byte(":")))
	special := scheme == "" || scheme == "http" || scheme == "https" || scheme == "ftp" || scheme == "ws" || scheme == "wss"
	end := 0
	for end < len(rest) && !endsHost(rest[end], special) {
		end++
	}
	authority, tail := rest[:end], rest[end:]
	if at := bytes.LastIndexByte(authority, '@'); at >= 0 {
		if scheme == "" {
			return dst[:n], "it has no scheme, or is an e-mail address"
		}
		authority = authority[at+1:]
	}
	dst, reason = appendAuthority(dst, n, authority, scheme)
	if reason != "" {
		return dst[:n], reason
	}
	for _, c := range tail {
		if c < ' ' || c == 0x7f {
			return dst[:n], "it has a control character"
		}
	}
	return appendTail(dst, tail, special), ""
}

func endsHost(c byte, special bool) bool {
	return c == '/' || c == '?' || c == '#' || c == '\\' && special
}

// appendScheme appends "scheme:", or nothing, and gives what comes after the two slashes.
func appendScheme(dst, v []byte) (out, rest []byte, reason string) {
	if len(v) > 2 && v[0] == '/' && v[1] == '/' {
		return dst, v[2:], ""
	}
	i := 0
	for i < len(v) && schemeByte(v[i], i == 0) {
		i++
	}
	slash := func(c byte) bool { return c == '/' || c == '\\' }
	if i > 0 && i+2 < len(v) && v[i] == ':' && slash(v[i+1]) && slash(v[i+2]) {
		return append(lower(dst, v[:i]), ':'), v[i+3:], ""
	}
	if len(v) == 0 || v[0] == '/' || v[0] == '?' || v[0] == '#' {
		return dst, nil, "it has no host"
	}
	return dst, v, ""
}

func schemeByte(c byte, first bool) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || !first && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.')
}

// ports are the schemes' own.
var ports = map[string]int{"http": 80, "ws": 80, "https": 443, "wss": 443, "ftp": 21}

// appendAuthority appends //host[:port] to the scheme that begins at n.
func appendAuthority(dst []byte, n int, v []byte, scheme string) ([]byte, string) {
	host, port := v, 0
	if i := bytes.LastIndexByte(v, ':'); i >= 0 && bytes.IndexByte(v[i:], ']') < 0 {
		host = v[:i]
		if i+1 < len(v) {
			p, err := strconv.ParseUint(string(v[i+1:]), 10, 16)
			if err != nil {
				return dst, "its port is not a number up to 65535"
			}
			port = int(p)
		}
	}
	if scheme == "" && (port == 80 || port == 443) {
		scheme = map[int]string{80: "http", 443: "https"}[port]
		dst = append(append(dst[:n], scheme...), ':')
	}
	hadScheme := len(dst) > n
	dst = append(dst, "//"...)
	start := len(dst)
	dst, reason := appendHost(dst, host)
	if reason != "" {
		return dst, reason
	}
	if !hadScheme && bytes.IndexByte(dst[start:], '.') < 0 && dst[start] != '[' {
		return dst, "it has no scheme"
	}
	if port != 0 && port != ports[scheme] {
		dst = strconv.AppendInt(append(dst, ':'), int64(port), 10)
	}
	return dst, ""
}

func appendHost(dst, host []byte) ([]byte, string) {
	if len(host) == 0 {
		return dst, "it has no host"
	}
	if a, ok := parse4(host); ok {
		return a.AppendTo(dst), ""
	}
	if host[0] != '[' {
		out, reason := appendName(dst, host)
		if reason != "" {
			return dst, "its host is neither an address nor a domain name"
		}
		return out, ""
	}
	a, reason := parseAddr(host)
	if reason != "" {
		return dst, "its host is neither an address nor a domain name"
	}
	if a.Is4() {
		return a.AppendTo(dst), ""
	}
	return append(a.AppendTo(append(dst, '[')), ']'), ""
}

// appendTail appends path and query.
func appendTail(dst, v []byte, special bool) []byte {
	if i := bytes.IndexByte(v, '#'); i >= 0 {
		v = v[:i]
	}
	path, query, _ := bytes.Cut(v, []byte("?"))
	start := len(dst)
	dst = appendEscaped(dst, path, special)
	dst = resolveDots(dst, start)
	if len(query) > 0 {
		dst = appendEscaped(append(dst, '?'), query, false)
	}
	return dst
}

const upperHex = "0123456789ABCDEF"

func appendEscaped(dst, v []byte, backslash bool) []byte {
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch {
		case c == '%' && i+2 < len(v) && hexDigit(v[i+1]) >= 0 && hexDigit(v[i+2]) >= 0:
			c = byte(hexDigit(v[i+1])<<4 | hexDigit(v[i+2]))
			i += 2
			if unreserved(c) {
				dst = append(dst, c)
				continue
			}
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		case c == '\\' && backslash:
			dst = append(dst, '/')
		case unreserved(c) || reserved[c]:
			dst = append(dst, c)
		default:
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return dst
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// reserved are the other bytes that stand for themselves in paths and queries.
var reserved = func() (t [256]bool) {
	for _, c := range []byte("!$&'()*+,;=:@/?") {
		t[c] = true
	}
	return t
}()

// resolveDots resolves the . and .. of the path at dst[start:], in place: it never grows but for an empty one.
func resolveDots(dst []byte, start int) []byte {
	path := dst[start:]
	out := dst[:start]
	for len(path) > 0 {
		seg := path[1:]
		next := bytes.IndexByte(seg, '/')
		last := next < 0
		if last {
			path = nil
		} else {
			seg, path = seg[:next], seg[next:]
		}
		switch string(seg) {
		case ".", "..":
			if len(seg) == 2 {
				out = out[:start+max(0, bytes.LastIndexByte(out[start:], '/'))]
			}
			if last {
				out = append(out, '/')
			}
		default:
			out = append(append(out, '/'), seg...)
		}
	}
	if len(out) == start {
		out = append(out, '/')
	}
	return out
}
