package ioc

import (
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// valueMax bounds an indicator's length in bytes.
const valueMax = 8 << 10

// Normalize returns the canonical form of an indicator of a type, so that equal indicators are equal strings; Match brings
// what it looks up into the same form:
//   - ip, cidr: netip's text; IPv4-mapped IPv6 becomes IPv4; host bits of a prefix are cleared
//   - domain: lower case, no trailing dot, labels beyond ASCII as DNS has them (xn--); "*." and a dot before it go
//   - email: lower case, the domain as above; "@domain" stands for all addresses of a domain
//   - hash: lower-case hex of 16, 20, 28, 32, 48 or 64 bytes
//   - url: see appendURL; one without a scheme stands for http and https
//   - text: as it is
//
// An indicator that is not of the type gives 22P02, and the reason where there is more to say than that.
func Normalize(kind, text string) (string, error) {
	if expected[kind] == "" {
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "IOC list type %q does not exist", kind).
			WithHint("The types are %s.", strings.Join(Kinds(), ", "))
	}
	v := strings.TrimSpace(text)
	switch {
	case v == "":
		return "", invalid(kind, text, "it is empty")
	case len(text) > valueMax:
		return "", invalid(kind, text, tooLong)
	case !utf8.ValidString(v):
		return "", invalid(kind, text, "it is not UTF-8")
	case strings.IndexByte(v, 0) >= 0:
		return "", invalid(kind, text, "it has a zero byte")
	}
	if kind == Text {
		return text, nil
	}
	out, reason := canonical(make([]byte, 0, 64), kind, []byte(v))
	if reason == "" && len(out) > valueMax {
		reason = tooLong
	}
	if reason != "" {
		return "", invalid(kind, text, reason)
	}
	return string(out), nil
}

// HashKind names the digest that a canonical hash is, by its length; "" when it is none.
func HashKind(canonical string) string {
	for _, d := range digests {
		if len(canonical) == d.digits {
			return d.name
		}
	}
	return ""
}

const tooLong = "it is longer than 8192 bytes"

var expected = map[string]string{
	IP: "an IPv4 or IPv6 address", CIDR: "a network such as 10.0.0.0/8, or an address", Domain: "a domain name",
	URL: "an absolute URL", Hash: "an MD5, SHA-1, SHA-256 or SHA-512 digest in hexadecimal", Email: "an e-mail address",
	Text: "text",
}

func invalid(kind, text, reason string) error {
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "..."
	}
	if reason != notOfType {
		reason = ": " + reason
	} else {
		reason = ""
	}
	return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid indicator of type %s: %q%s", kind, text, reason).
		WithHint("Expected %s.", expected[kind])
}
