package worker

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

const (
	// patternMax bounds a regular expression, in bytes; patternsMax how many a function keeps compiled.
	patternMax  = 4096
	patternsMax = 256
	// distanceMax bounds the strings of utils.levenshtein, in characters: it is a native loop, which no interrupt stops.
	distanceMax = 2048
)

// utils are the helpers that rules need and JavaScript lacks, or has too slow.
type utils struct {
	r        *realm
	patterns map[string]*regexp.Regexp
}

// newUtils makes the global object utils; lockdown freezes it.
func newUtils(r *realm) *goja.Object {
	u := &utils{r: r, patterns: map[string]*regexp.Regexp{}}
	o := r.rt.NewObject()
	for _, m := range []struct {
		name string
		test func(s, t string) bool
	}{
		{"matches", u.matches}, {"includesIgnoreCase", containsFold}, {"startsWithIgnoreCase", prefixFold},
		{"equalsIgnoreCase", strings.EqualFold}, {"inCidr", u.inCIDR}, {"isSubdomain", isSubdomain},
	} {
		r.method(o, m.name, func(c goja.FunctionCall) goja.Value {
			s, ok := u.str(c, m.name, 0)
			t, also := u.str(c, m.name, 1)
			return r.rt.ToValue(ok && also && m.test(s, t))
		})
	}
	for _, m := range []struct {
		name string
		make func(s string) goja.Value
	}{
		{"domainOf", u.domainOf}, {"b64decode", u.base64Decode}, {"hexdecode", u.hexDecode},
	} {
		r.method(o, m.name, func(c goja.FunctionCall) goja.Value {
			s, ok := u.str(c, m.name, 0)
			if !ok {
				return goja.Null()
			}
			return m.make(s)
		})
	}
	for _, m := range []struct {
		name string
		make func(b []byte) any
	}{
		{"b64encode", func(b []byte) any { return base64.StdEncoding.EncodeToString(b) }},
		{"hexencode", func(b []byte) any { return hex.EncodeToString(b) }},
		{"md5", func(b []byte) any { h := md5.Sum(b); return hex.EncodeToString(h[:]) }},
		{"sha1", func(b []byte) any { h := sha1.Sum(b); return hex.EncodeToString(h[:]) }},
		{"sha256", func(b []byte) any { h := sha256.Sum256(b); return hex.EncodeToString(h[:]) }},
		{"entropy", func(b []byte) any { return entropy(b) }},
		{"utf8", func(b []byte) any { return strings.ToValidUTF8(string(b), "\uFFFD") }},
		{"utf16le", func(b []byte) any { return fromUTF16LE(b) }},
	} {
		r.method(o, m.name, func(c goja.FunctionCall) goja.Value {
			b, ok := u.octets(c, m.name)
			if !ok {
				return goja.Null()
			}
			return r.rt.ToValue(m.make(b))
		})
	}
	r.method(o, "levenshtein", u.levenshtein)
	return o
}

// str returns an argument that must be a string; null and undefined are not ok, anything else throws.
func (u *utils) str(c goja.FunctionCall, method string, i int) (string, bool) {
	v := c.Argument(i)
	if s, ok := v.(goja.String); ok {
		return s.String(), true
	}
	if goja.IsNull(v) || goja.IsUndefined(v) {
		return "", false
	}
	panic(u.r.rt.NewTypeError("utils.%s: argument %d must be a string", method, i+1))
}

// octets returns the first argument, a string (as UTF-8) or bytes.
func (u *utils) octets(c goja.FunctionCall, method string) ([]byte, bool) {
	if o, ok := c.Argument(0).(*goja.Object); ok {
		if o.ExportType() == bytesType {
			b, _ := o.Export().([]byte)
			return b, true
		}
		panic(u.r.rt.NewTypeError("utils.%s: argument 1 must be a string or a Uint8Array", method))
	}
	s, ok := u.str(c, method, 0)
	return []byte(s), ok
}

// matches is RE2: its time is linear in the text, whatever the pattern.
func (u *utils) matches(s, pattern string) bool {
	re := u.patterns[pattern]
	if re == nil {
		if len(pattern) > patternMax {
			panic(u.r.rt.NewTypeError("utils.matches: the pattern is longer than %d bytes", patternMax))
		}
		var err error
		if re, err = regexp.Compile(pattern); err != nil {
			panic(u.r.rt.NewTypeError("utils.matches: %s", err.Error()))
		}
		if len(u.patterns) >= patternsMax {
			clear(u.patterns)
		}
		u.patterns[strings.Clone(pattern)] = re
	}
	return re.MatchString(s)
}

// containsFold reports whether t is in s, upper and lower case being the same.
func containsFold(s, t string) bool {
	if !isASCII(s) || !isASCII(t) {
		return strings.Contains(strings.ToLower(s), strings.ToLower(t))
	}
	if t == "" {
		return true
	}
	lo, up := lower(t[0]), upper(t[0])
	for i := 0; i+len(t) <= len(s); i++ {
		if c := s[i]; (c == lo || c == up) && equalASCII(s[i:i+len(t)], t) {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		c -= 'a' - 'A'
	}
	return c
}

// equalASCII compares strings of one length.
func equalASCII(s, t string) bool {
	for i := range len(s) {
		if lower(s[i]) != lower(t[i]) {
			return false
		}
	}
	return true
}

func prefixFold(s, t string) bool {
	if isASCII(s) && isASCII(t) {
		return len(s) >= len(t) && equalASCII(s[:len(t)], t)
	}
	return strings.HasPrefix(strings.ToLower(s), strings.ToLower(t))
}

// inCIDR is false for an address that is none, and throws for a network that is none: that is the rule's own mistake.
func (u *utils) inCIDR(ip, cidr string) bool {
	net, err := netip.ParsePrefix(cidr)
	if err != nil {
		a, err := netip.ParseAddr(cidr)
		if err != nil {
			panic(u.r.rt.NewTypeError("utils.inCidr: argument 2 is not a network"))
		}
		net = netip.PrefixFrom(a, a.BitLen())
	}
	a, err := netip.ParseAddr(ip)
	return err == nil && net.Contains(a.Unmap().WithZone(""))
}

// isSubdomain reports whether d is root or below it.
func isSubdomain(d, root string) bool {
	d, root = strings.TrimSuffix(d, "."), strings.TrimSuffix(root, ".")
	n := len(d) - len(root)
	return root != "" && n >= 0 && strings.EqualFold(d[n:], root) && (n == 0 || d[n-1] == '.')
}

// domainOf returns the host of a URL in lower case, null when it has none.
func (u *utils) domainOf(url string) goja.Value {
	if i := strings.Index(url, "://"); i >= 0 {
		url = url[i+3:]
	}
	if i := strings.IndexAny(url, "/?#\\"); i >= 0 {
		url = url[:i]
	}
	if i := strings.LastIndexByte(url, '@'); i >= 0 {
		url = url[i+1:]
	}
	if strings.HasPrefix(url, "[") {
		url, _, _ = strings.Cut(url[1:], "]")
	} else {
		url, _, _ = strings.Cut(url, ":")
	}
	if url = strings.TrimSuffix(strings.ToLower(url), "."); url == "" {
		return goja.Null()
	}
	return u.r.rt.ToValue(url)
}

// bytesOrNull returns a Uint8Array, null when decoding failed.
func (u *utils) bytesOrNull(b []byte, err error) goja.Value {
	if err != nil {
		return goja.Null()
	}
	o, err := u.r.newBytes(b)
	if err != nil {
		panic(u.r.rt.NewTypeError("%s", err.Error()))
	}
	return o
}

// base64Decode takes both alphabets, with padding or without.
func (u *utils) base64Decode(s string) goja.Value {
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	return u.bytesOrNull(base64.RawStdEncoding.DecodeString(s))
}

func (u *utils) hexDecode(s string) goja.Value { return u.bytesOrNull(hex.DecodeString(s)) }

// fromUTF16LE reads what PowerShell's -EncodedCommand holds; an odd byte at the end is dropped.
func fromUTF16LE(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i]) | uint16(b[2*i+1])<<8
	}
	return string(utf16.Decode(units))
}

// entropy is Shannon's, in bits per byte.
func entropy(b []byte) float64 {
	var count [256]int
	for _, c := range b {
		count[c]++
	}
	h, n := 0.0, float64(len(b))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			h -= p * math.Log2(p)
		}
	}
	return h
}

// levenshtein(a, b [, max]) is the edit distance; where it is more than max the answer is max + 1.
func (u *utils) levenshtein(c goja.FunctionCall) goja.Value {
	s, ok := u.str(c, "levenshtein", 0)
	t, also := u.str(c, "levenshtein", 1)
	if !ok || !also {
		return goja.Null()
	}
	a, b := []rune(s), []rune(t)
	if len(a) > distanceMax || len(b) > distanceMax {
		panic(u.r.rt.NewTypeError("utils.levenshtein: strings of more than %d characters", distanceMax))
	}
	most := max(len(a), len(b))
	if m, ok := primitive(c.Argument(2)).(int64); ok && m >= 0 && m < int64(most) {
		most = int(m)
	}
	return u.r.rt.ToValue(distance(a, b, most))
}

func distance(a, b []rune, most int) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i, x := range a {
		diagonal, best := row[0], i+1
		row[0] = i + 1
		for j, y := range b {
			cost := diagonal
			if x != y {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
			best = min(best, cost)
		}
		if best > most {
			return most + 1
		}
	}
	return min(row[len(b)], most+1)
}
