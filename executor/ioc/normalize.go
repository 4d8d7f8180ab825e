package ioc

import (
	"encoding/hex"
	"net/mail"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// valueMax bounds an indicator's length in bytes.
const valueMax = 8 << 10

// Normalize returns the canonical form of an indicator of a type, so that equal indicators are equal strings:
//   - ip, cidr: netip's text; IPv4-mapped IPv6 becomes IPv4; host bits of a prefix are cleared
//   - domain: lower case, no trailing dot; email: lower case; hash: lower-case hex of 16, 20, 32 or 64 bytes
//   - url: scheme and host in lower case, default port and fragment dropped, an empty path is "/"
//   - text: as it is
//
// An indicator that is not of the type gives 22P02.
func Normalize(kind, text string) (string, error) {
	v := strings.TrimSpace(text)
	if v == "" || len(v) > valueMax || !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
		return "", invalid(kind, text)
	}
	ok := true
	switch kind {
	case IP:
		a, err := netip.ParseAddr(v)
		ok = err == nil && a.Zone() == ""
		v = a.Unmap().String()
	case CIDR:
		p, good := parsePrefix(v)
		ok = good
		v = p.String()
	case Domain:
		v = strings.TrimSuffix(strings.ToLower(v), ".")
		ok = validDomain(v)
	case Hash:
		v = strings.ToLower(v)
		b, err := hex.DecodeString(v)
		ok = err == nil && (len(b) == 16 || len(b) == 20 || len(b) == 32 || len(b) == 64)
	case Email:
		v = strings.ToLower(v)
		a, err := mail.ParseAddress(v)
		ok = err == nil && a.Address == v
	case URL:
		v, ok = canonicalURL(v)
	case Text:
		v = text
	default:
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "IOC list type %q does not exist", kind).
			WithHint("The types are %s.", strings.Join(Kinds(), ", "))
	}
	if !ok {
		return "", invalid(kind, text)
	}
	return v, nil
}

var expected = map[string]string{
	IP: "an IPv4 or IPv6 address", CIDR: "a network such as 10.0.0.0/8, or an address", Domain: "a domain name",
	URL: "an absolute URL", Hash: "an MD5, SHA-1, SHA-256 or SHA-512 digest in hexadecimal", Email: "an e-mail address",
	Text: "text",
}

func invalid(kind, text string) error {
	if len(text) > 80 {
		text = text[:80] + "..."
	}
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid indicator of type %s: %q", kind, text).
		WithHint("Expected %s.", expected[kind])
}

func parsePrefix(v string) (netip.Prefix, bool) {
	if !strings.Contains(v, "/") {
		a, err := netip.ParseAddr(v)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(v)
	if err != nil {
		return netip.Prefix{}, false
	}
	if a := p.Addr(); a.Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, false
		}
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// prefixOf reads a canonical prefix.
func prefixOf(v string) netip.Prefix {
	p, _ := parsePrefix(v)
	return p
}

// validDomain accepts names of at most 253 bytes in labels of at most 63 (RFC 1035, with underscores as seen in DNS logs;
// UTF-8 labels stay as they are: sensors log either form, and a list should hold the form its logs have).
func validDomain(v string) bool {
	if len(v) == 0 || len(v) > 253 {
		return false
	}
	for _, label := range strings.Split(v, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
		for _, c := range label {
			if c <= ' ' || strings.ContainsRune("/\\:@?#[]()<>\"'`*,;=&%$!|~^{}+", c) {
				return false
			}
		}
	}
	return true
}

func canonicalURL(v string) (string, bool) {
	u, err := url.Parse(v)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return "", false
	}
	u.Scheme, u.Host, u.Fragment = strings.ToLower(u.Scheme), strings.ToLower(u.Host), ""
	if p := u.Port(); p == "80" && u.Scheme == "http" || p == "443" && u.Scheme == "https" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u.String(), true
}
