package ioc

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// notOfType is the reason of a value about which there is no more to say.
const notOfType = "it is not of the type"

// canonical appends the canonical form of a value to dst. A reason tells why it is not of the type; the form is then of no
// use. What is canonical is its own canonical form. Values that may be looked up are not bounded in length.
func canonical(dst []byte, kind string, v []byte) (out []byte, reason string) {
	switch kind {
	case IP:
		return appendIP(dst, v)
	case CIDR:
		p, reason := parsePrefix(v)
		if reason != "" {
			return dst, reason
		}
		return p.AppendTo(dst), ""
	case Domain:
		return appendDomain(dst, v)
	case Hash:
		return appendHash(dst, v)
	case Email:
		return appendEmail(dst, v)
	case URL:
		return appendURL(dst, v)
	}
	return append(dst, v...), ""
}

func appendIP(dst, v []byte) ([]byte, string) {
	if bytes.IndexByte(v, '/') >= 0 {
		p, reason := parsePrefix(v)
		switch {
		case reason != "":
			return dst, reason
		case !p.IsSingleIP():
			return dst, "it is a network; a list of type cidr holds networks"
		}
		return p.Addr().AppendTo(dst), ""
	}
	a, reason := parseAddr(v)
	if reason != "" {
		return dst, reason
	}
	return a.AppendTo(dst), ""
}

// parseAddr reads an address, IPv4-mapped ones as IPv4, without allocating for IPv4.
func parseAddr(v []byte) (netip.Addr, string) {
	if a, ok := parse4(v); ok {
		return a, ""
	}
	if n := len(v); n > 2 && v[0] == '[' && v[n-1] == ']' {
		v = v[1 : n-1]
	}
	a, err := netip.ParseAddr(string(v))
	switch {
	case err != nil:
		return a, whyNoAddress(v)
	case a.Zone() != "":
		return a, "it has a zone"
	}
	return a.Unmap(), ""
}

func whyNoAddress(v []byte) string {
	i := bytes.LastIndexByte(v, ':')
	if i > 0 && digits(v[i+1:]) {
		if _, err := netip.ParseAddrPort(string(v)); err == nil {
			return "it has a port"
		}
	}
	for _, octet := range bytes.Split(v, []byte(".")) {
		if !digits(octet) {
			return notOfType
		}
		if len(octet) > 1 && octet[0] == '0' {
			return "an octet with a leading zero may be octal or decimal"
		}
	}
	return notOfType
}

// digits reports whether v is decimal digits, at least one.
func digits(v []byte) bool {
	for _, c := range v {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(v) > 0
}

// parse4 reads four decimal octets without leading zeros.
func parse4(v []byte) (netip.Addr, bool) {
	var a [4]byte
	octet, n, seen := 0, 0, 0
	for i := 0; i <= len(v); i++ {
		if i == len(v) || v[i] == '.' {
			if seen == 0 || n == 4 {
				return netip.Addr{}, false
			}
			a[n] = byte(octet)
			n, octet, seen = n+1, 0, 0
			continue
		}
		c := v[i]
		if c < '0' || c > '9' || seen > 0 && octet == 0 {
			return netip.Addr{}, false
		}
		octet, seen = octet*10+int(c-'0'), seen+1
		if octet > 255 {
			return netip.Addr{}, false
		}
	}
	return netip.AddrFrom4(a), n == 4
}

// parsePrefix reads addr, addr/bits or addr/mask; host bits are cleared.
func parsePrefix(v []byte) (netip.Prefix, string) {
	slash := bytes.IndexByte(v, '/')
	if slash < 0 {
		a, reason := parseAddr(v)
		if reason != "" {
			return netip.Prefix{}, reason
		}
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	if mask, ok := parse4(v[slash+1:]); ok {
		return maskedPrefix(v[:slash], mask)
	}
	p, err := netip.ParsePrefix(string(v))
	if err != nil {
		return netip.Prefix{}, notOfType
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, "an IPv4-mapped network has at least 96 bits"
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), ""
}

func maskedPrefix(addr []byte, mask netip.Addr) (netip.Prefix, string) {
	a, ok := parse4(addr)
	if !ok {
		return netip.Prefix{}, notOfType
	}
	m := mask.As4()
	word := uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3])
	bits := 0
	for ; bits < 32 && word&(1<<31) != 0; bits++ {
		word <<= 1
	}
	if word != 0 {
		return netip.Prefix{}, "its mask has a gap"
	}
	return netip.PrefixFrom(a, bits).Masked(), ""
}

// prefixOf reads a canonical prefix.
func prefixOf(v string) netip.Prefix {
	p, _ := parsePrefix([]byte(v))
	return p
}

// digests are the hashes that lists hold, by their hexadecimal digits.
var digests = []struct {
	name   string
	digits int
}{{"md5", 32}, {"sha1", 40}, {"sha224", 56}, {"sha256", 64}, {"sha384", 96}, {"sha512", 128}}

// appendHash accepts the digest alone, or after its name and a colon.
func appendHash(dst, v []byte) ([]byte, string) {
	named := ""
	if i := bytes.IndexByte(v, ':'); i >= 0 && i <= len("sha-256") {
		named = strings.ReplaceAll(strings.ToLower(string(v[:i])), "-", "")
		v = v[i+1:]
	}
	if len(v) > 128 {
		return dst, notOfType
	}
	n := len(dst)
	for _, c := range v {
		switch {
		case c >= '0' && c <= '9' || c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		default:
			return dst[:n], notOfType
		}
		dst = append(dst, c)
	}
	for _, d := range digests {
		if d.digits != len(v) {
			continue
		}
		if named != "" && named != d.name {
			return dst[:n], "its length is not that of the digest it names"
		}
		return dst, ""
	}
	return dst[:n], notOfType
}

// emailMax bounds what stands before the @ of an address; RFC 5321 has 64, mail in the wild more.
const emailMax = 256

// appendEmail accepts an address, also in angle brackets, or "@domain".
func appendEmail(dst, v []byte) ([]byte, string) {
	if n := len(v); n > 2 && v[0] == '<' && v[n-1] == '>' {
		v = v[1 : n-1]
	}
	at := bytes.LastIndexByte(v, '@')
	if at < 0 || at > emailMax || !validMailbox(v[:at]) {
		return dst, notOfType
	}
	n := len(dst)
	dst = append(lower(dst, v[:at]), '@')
	out, reason := appendName(dst, v[at+1:])
	if reason != "" {
		return dst[:n], reason
	}
	return out, ""
}

// validMailbox accepts what stands before the @ of an address, quoted or not; nothing, too.
func validMailbox(v []byte) bool {
	quoted := len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"'
	if quoted {
		v = v[1 : len(v)-1]
	}
	for _, c := range v {
		if c < ' ' || c == 0x7f || c == '"' || !quoted && strings.IndexByte(" ()<>[]:;,\\@", c) >= 0 {
			return false
		}
	}
	return utf8.Valid(v)
}

// lower appends s in lower case.
func lower(dst, s []byte) []byte {
	n := len(dst)
	for _, c := range s {
		if c >= 0x80 {
			return append(dst[:n], bytes.ToLower(s)...)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}
