package ioc

import (
	"bytes"

	"golang.org/x/net/idna"
)

// names maps names beyond ASCII to what DNS has. It is lenient about hyphens and underscores, which sensors see. Rules for
// the direction of writing are left to registries.
var names = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false))

const (
	nameMax  = 253
	labelMax = 63
)

// appendDomain is appendName for entries and values of domain lists: a name may be written as a pattern of its sub-domains,
// *.name or .name.
func appendDomain(dst, v []byte) ([]byte, string) {
	if len(v) > 2 && v[0] == '*' && v[1] == '.' {
		v = v[2:]
	} else if len(v) > 1 && v[0] == '.' {
		v = v[1:]
	}
	return appendName(dst, v)
}

// appendName appends a domain name in lower case and without a trailing dot, its labels as DNS has them. It accepts what
// DNS can hold (RFC 1035: labels of at most 63 bytes, 253 in all) of letters, digits, hyphens and underscores. ASCII costs
// no allocation.
func appendName(dst, v []byte) ([]byte, string) {
	n := len(dst)
	for i, c := range v {
		if c >= 0x80 {
			return appendIDN(dst[:n], v)
		}
		if i > nameMax {
			return dst[:n], "a domain name has at most 253 bytes"
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	if len(dst) > n && dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if reason := validName(dst[n:]); reason != "" {
		return dst[:n], reason
	}
	return dst, ""
}

// appendIDN takes a name with labels beyond ASCII.
func appendIDN(dst, v []byte) ([]byte, string) {
	if len(v) > 4*nameMax {
		return dst, "a domain name has at most 253 bytes"
	}
	ascii, err := names.ToASCII(string(v))
	if err != nil {
		return dst, "it is not a valid internationalised name"
	}
	for i := range len(ascii) {
		if ascii[i] >= 0x80 {
			return dst, "it is not a valid internationalised name"
		}
	}
	return appendName(dst, []byte(ascii))
}

// validName checks a name in lower case.
func validName(v []byte) string {
	if len(v) == 0 {
		return notOfType
	}
	if len(v) > nameMax {
		return "a domain name has at most 253 bytes"
	}
	start, numeric := 0, true
	for i := 0; i <= len(v); i++ {
		if i < len(v) && v[i] != '.' {
			c := v[i]
			if c < '0' || c > '9' {
				numeric = false
			}
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return badInName(v, c)
			}
			continue
		}
		switch {
		case i == start:
			return "a label is empty"
		case i-start > labelMax:
			return "a label has at most 63 bytes"
		case i == len(v) && numeric:
			return "it is a number or an address, no domain name"
		}
		start, numeric = i+1, true
	}
	return ""
}

func badInName(v []byte, c byte) string {
	switch {
	case bytes.Contains(v, []byte("//")):
		return "it is a URL"
	case c == '/':
		return "it has a path"
	case c == ':':
		return "it has a port, or is an IPv6 address"
	case c == '@':
		return "it is an e-mail address"
	}
	return notOfType
}
