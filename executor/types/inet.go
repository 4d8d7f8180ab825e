package types

import (
	"net/netip"
	"strconv"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// ParseInet appends the stored form of an address with optional prefix length ("10.1.2.3", "10.0.0.0/8", "2001:db8::1/64"): a
// prefix length byte, then 4 or 16 address bytes. It allocates nothing. ok is false, and dst unchanged, for everything else.
func ParseInet(dst []byte, b []byte) (out []byte, ok bool) {
	end := len(b)
	for i := len(b) - 1; i >= 0 && i >= len(b)-4; i-- {
		if b[i] == '/' {
			end = i
			break
		}
	}
	n := len(dst)
	out = append(dst, 0)
	out, ok = parseIPv4(out, b[:end])
	bits := 32
	if !ok {
		bits = 128
		if out, ok = parseIPv6(out[:n+1], b[:end]); !ok {
			return dst, false
		}
	}
	if end < len(b) {
		p, ok := parsePrefix(b[end+1:], bits)
		if !ok {
			return dst, false
		}
		bits = p
	}
	out[n] = byte(bits)
	return out, true
}

func parsePrefix(b []byte, max int) (int, bool) {
	if len(b) == 0 || len(b) > 3 {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, n <= max
}

// parseIPv4 appends the four bytes of a dotted quad.
func parseIPv4(dst, b []byte) ([]byte, bool) {
	if len(b) < 7 || len(b) > 15 {
		return dst, false
	}
	var v uint32
	octet, digits, dots := uint32(0), 0, 0
	for _, c := range b {
		if d := c - '0'; d <= 9 {
			octet = octet*10 + uint32(d)
			digits++
			if octet > 255 || digits > 3 {
				return dst, false
			}
			continue
		}
		if c != '.' || digits == 0 || dots == 3 {
			return dst, false
		}
		v, octet, digits = v<<8|octet, 0, 0
		dots++
	}
	if dots != 3 || digits == 0 {
		return dst, false
	}
	v = v<<8 | octet
	return append(dst, byte(v>>24), byte(v>>16), byte(v>>8), byte(v)), true
}

// parseIPv6 appends the sixteen bytes of an IPv6 address, which may end in a dotted quad.
func parseIPv6(dst, b []byte) ([]byte, bool) {
	if len(b) < 2 || len(b) > 45 {
		return dst, false
	}
	var ip [16]byte
	n, gap := 0, -1
	if b[0] == ':' {
		if b[1] != ':' {
			return dst, false
		}
		gap, b = 0, b[2:]
	}
	for len(b) > 0 {
		if n == 16 {
			return dst, false
		}
		i, h := 0, uint32(0)
		for i < len(b) && i < 4 && hexDigit(b[i]) < 16 {
			h = h<<4 | uint32(hexDigit(b[i]))
			i++
		}
		if i == 0 {
			return dst, false
		}
		if i < len(b) && b[i] == '.' {
			if n > 12 {
				return dst, false
			}
			if _, ok := parseIPv4(ip[:n], b); !ok { // writes into ip
				return dst, false
			}
			n, b = n+4, nil
			break
		}
		ip[n], ip[n+1] = byte(h>>8), byte(h)
		n += 2
		if b = b[i:]; len(b) == 0 {
			break
		}
		if b[0] != ':' || len(b) == 1 {
			return dst, false
		}
		if b = b[1:]; b[0] == ':' {
			if gap >= 0 {
				return dst, false
			}
			gap, b = n, b[1:]
		}
	}
	if gap < 0 != (n == 16) {
		return dst, false
	}
	if gap >= 0 {
		m := copy(ip[16-(n-gap):], ip[gap:n])
		clear(ip[gap : 16-m])
	}
	return append(dst, ip[:]...), true
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|32 >= 'a' && c|32 <= 'f':
		return c | 32 - 'a' + 10
	}
	return 255
}

func parseInetText(t Type, s string) (string, error) {
	var tmp [17]byte
	out, ok := ParseInet(tmp[:0], []byte(s))
	if !ok && t.Kind == CIDR {
		out, ok = parseShortCIDR(tmp[:0], s)
	}
	if !ok {
		return "", badText(t, s)
	}
	if t.Kind == CIDR && hasHostBits(out) {
		return "", sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid cidr value: \"%s\"", clip(s)).
			WithDetail("Value has bits set to right of mask.")
	}
	return string(out), nil
}

// parseShortCIDR reads networks with fewer than four octets: 10/8, 192.168.1.
func parseShortCIDR(dst []byte, s string) ([]byte, bool) {
	addr, dots, slash := s, 0, -1
	for i := 0; i < len(s); i++ {
		if s[i] == '/' {
			slash, addr = i, s[:i]
			break
		}
		if s[i] == '.' {
			dots++
		}
	}
	if dots > 2 || addr == "" {
		return nil, false
	}
	full := addr
	for i := dots; i < 3; i++ {
		full += ".0"
	}
	out, ok := parseIPv4(append(dst, 0), []byte(full))
	if !ok {
		return nil, false
	}
	bits := 8 * (dots + 1)
	if slash < 0 {
		if bits = max(bits, classBits(out[1])); bits == 8 && out[1] == 224 {
			bits = 4
		}
	} else if bits, ok = parsePrefix([]byte(s[slash+1:]), 32); !ok {
		return nil, false
	}
	out[0] = byte(bits)
	return out, true
}

// classBits is the prefix length of the classful network that an address began in.
func classBits(first byte) int {
	switch {
	case first >= 240:
		return 32
	case first >= 224:
		return 8
	case first >= 192:
		return 24
	case first >= 128:
		return 16
	}
	return 8
}

func hasHostBits(stored []byte) bool {
	bits := int(stored[0])
	for i, b := range stored[1:] {
		keep := min(max(bits-8*i, 0), 8)
		if b&(0xff>>keep) != 0 {
			return true
		}
	}
	return false
}

// AppendInetText appends the text of a stored inet; the prefix length only when it is not the whole address.
func AppendInetText(dst, stored []byte) []byte {
	return appendAddr(dst, stored, false)
}

func appendCIDRText(dst, stored []byte) []byte { return appendAddr(dst, stored, true) }

func appendAddr(dst, stored []byte, prefix bool) []byte {
	switch len(stored) {
	case 5:
		for i, b := range stored[1:] {
			if i > 0 {
				dst = append(dst, '.')
			}
			dst = strconv.AppendUint(dst, uint64(b), 10)
		}
	case 17:
		dst = appendIPv6(dst, [16]byte(stored[1:]))
	default:
		return append(dst, "??"...)
	}
	if prefix || int(stored[0]) != 8*(len(stored)-1) {
		dst = append(dst, '/')
		dst = strconv.AppendUint(dst, uint64(stored[0]), 10)
	}
	return dst
}

// appendIPv6 prints as Postgres does, which shows ::1.2.3.4 where the last 32 bits alone are set.
func appendIPv6(dst []byte, ip [16]byte) []byte {
	if [12]byte(ip[:12]) == [12]byte{} && (ip[12] != 0 || ip[13] != 0) {
		dst = append(dst, ':', ':')
		return netip.AddrFrom4([4]byte(ip[12:])).AppendTo(dst)
	}
	return netip.AddrFrom16(ip).AppendTo(dst)
}

// InetAddr takes a stored inet or cidr apart; ok is false when it is malformed.
func InetAddr(stored string) (p netip.Prefix, ok bool) {
	if len(stored) != 5 && len(stored) != 17 || int(stored[0]) > 8*(len(stored)-1) {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice([]byte(stored[1:]))
	return netip.PrefixFrom(a, int(stored[0])), ok
}

// InetContains reports whether network a contains b (address or network), strictly when asked.
func InetContains(a, b string, strict bool) bool {
	if len(a) != len(b) || len(a) < 5 || b[0] < a[0] || strict && a[0] == b[0] {
		return false
	}
	return samePrefix(a, b, int(a[0]))
}

// samePrefix reports whether the first bits of two addresses of one family are equal.
func samePrefix(a, b string, bits int) bool {
	n := bits / 8
	if n > len(a)-1 || a[1:1+n] != b[1:1+n] {
		return false
	}
	if bits%8 == 0 || n == len(a)-1 {
		return true
	}
	mask := byte(0xff) << (8 - bits%8)
	return (a[1+n]^b[1+n])&mask == 0
}

// compareInet is Postgres' order: family, network part, prefix length, address.
func compareInet(a, b string) int {
	if len(a) != len(b) || len(a) < 5 {
		return cmpOrdered(len(a), len(b))
	}
	bits := int(min(a[0], b[0]))
	for i := 1; i < len(a) && bits > 0; i++ {
		mask := byte(0xff)
		if bits < 8 {
			mask = 0xff << (8 - bits)
		}
		if x, y := a[i]&mask, b[i]&mask; x != y {
			return cmpOrdered(x, y)
		}
		bits -= 8
	}
	if a[0] != b[0] {
		return cmpOrdered(a[0], b[0])
	}
	return cmpOrdered(a[1:], b[1:])
}
