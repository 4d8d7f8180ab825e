package feed

import (
	"net/netip"
	"strings"

	"github.com/vigil-sql/vigil/executor/ioc"
)

// alternative is one value that a STIX pattern asks for, or why a part of it cannot be held by a list.
type alternative struct {
	kind, value string
	why         error
}

// The bounds of a pattern.
const (
	patternDepthMax = 32
	patternPartsMax = 10_000
)

// parsePattern reads a STIX pattern that asks for single values: comparisons with = and IN (ISSUBSET for addresses) of the
// usual objects, joined by OR. Hashes may be joined by AND, because each of them alone is that file. What asks for several
// things at once is refused: one of them alone would hit what the pattern does not mean.
func parsePattern(text string) ([]alternative, error) {
	p := &pattern{rest: text}
	found, err := p.observations(0)
	if err == nil && p.peek() != "" {
		err = p.unexpected()
	}
	return found, err
}

type pattern struct {
	rest  string
	parts int
}

// token is the next token and what comes after it: a word or a path, a string in its quotes, or a sign; "" at the end.
func (p *pattern) token() (tok, rest string) {
	s := strings.TrimLeft(p.rest, " \t\r\n")
	if s == "" {
		return "", ""
	}
	end := 1
	switch {
	case s[0] == '\'':
		end = quotedEnd(s)
	case pathByte(s[0]):
		end = pathEnd(s)
	case strings.HasPrefix(s, "!=") || strings.HasPrefix(s, "<=") || strings.HasPrefix(s, ">="):
		end = 2
	}
	return s[:end], s[end:]
}

func (p *pattern) peek() string {
	tok, _ := p.token()
	return tok
}

func (p *pattern) next() string {
	tok, rest := p.token()
	p.rest = rest
	return tok
}

// accept takes the next token if it is a word or a sign.
func (p *pattern) accept(word string) bool {
	tok, rest := p.token()
	if !strings.EqualFold(tok, word) {
		return false
	}
	p.rest = rest
	return true
}

func pathByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_-.:", c) >= 0
}

// pathEnd is where an object path ends: names, 'quoted' steps after a dot, and [n] or [*].
func pathEnd(s string) int {
	i := 0
	for i < len(s) {
		switch {
		case pathByte(s[i]):
			i++
		case s[i] == '\'' && s[i-1] == '.':
			i += quotedEnd(s[i:])
		case s[i] == '[' && strings.IndexByte(s[:i], ':') > 0 && strings.IndexByte(s[i:], ']') > 0:
			i += strings.IndexByte(s[i:], ']') + 1
		default:
			return i
		}
	}
	return i
}

// quotedEnd is where a quoted text ends; a backslash escapes.
func quotedEnd(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(s)
}

func (p *pattern) unexpected() error {
	tok := p.peek()
	if tok == "" {
		return refusal("invalid pattern: it ends too early")
	}
	return refusal("invalid pattern: unexpected %q", short(tok))
}

func (p *pattern) expect(sign string) error {
	if !p.accept(sign) {
		return p.unexpected()
	}
	return nil
}

// observations reads [..] OR [..].
func (p *pattern) observations(depth int) (all []alternative, err error) {
	if depth > patternDepthMax {
		return nil, refusal("invalid pattern: it is nested too deep")
	}
	for {
		var found []alternative
		switch {
		case p.accept("["):
			found, err = p.or(depth)
			if err == nil {
				err = p.expect("]")
			}
		case p.accept("("):
			found, err = p.observations(depth + 1)
			if err == nil {
				err = p.expect(")")
			}
		default:
			err = p.unexpected()
		}
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		switch word := strings.ToUpper(p.peek()); word {
		case "OR":
			p.next()
		case "AND", "FOLLOWEDBY":
			return nil, refusal("the pattern asks for several observations at once (%s), which a list of values cannot", word)
		case "WITHIN", "REPEATS", "START":
			return nil, refusal("the pattern asks for observations in time (%s), which a list of values cannot", word)
		default:
			return all, nil
		}
	}
}

// or reads comparisons joined by OR.
func (p *pattern) or(depth int) (all []alternative, err error) {
	if depth > patternDepthMax {
		return nil, refusal("invalid pattern: it is nested too deep")
	}
	for {
		found, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
		if !p.accept("OR") {
			return all, nil
		}
	}
}

// and reads comparisons joined by AND.
func (p *pattern) and(depth int) (all []alternative, err error) {
	terms, hashes := 0, true
	for {
		found, err := p.comparison(depth)
		if err != nil {
			return nil, err
		}
		terms++
		hashes = hashes && len(found) == 1 && found[0].kind == ioc.Hash && found[0].why == nil
		all = append(all, found...)
		if p.accept("AND") {
			continue
		}
		if terms > 1 && !hashes {
			return nil, refusal("the pattern asks for several things at once (AND), which a list of values cannot")
		}
		return all, nil
	}
}

// comparison reads path = 'value', path IN ('value', ..), or an expression in parentheses.
func (p *pattern) comparison(depth int) ([]alternative, error) {
	if p.parts++; p.parts > patternPartsMax {
		return nil, refusal("the pattern has more than %d parts", patternPartsMax)
	}
	if p.accept("(") {
		found, err := p.or(depth + 1)
		if err == nil {
			err = p.expect(")")
		}
		return found, err
	}
	if tok := p.peek(); !strings.Contains(tok, ":") || tok[0] == '\'' {
		return nil, p.unexpected()
	}
	path := p.next()
	op := strings.ToUpper(p.next())
	not := op == "NOT"
	if not {
		op = strings.ToUpper(p.next())
	}
	values, err := p.values(op)
	if err != nil {
		return nil, err
	}
	kind := pathKind(path)
	var why error
	switch {
	case kind == "":
		why = refusal("%s is nothing that a list holds", short(path))
	case not || op != "=" && op != "IN" && !(op == "ISSUBSET" && kind == ioc.IP):
		why = refusal("a comparison with %s is nothing that a list of values does", short(op))
		if not {
			why = refusal("a negated comparison is nothing that a list of values does")
		}
	}
	if why != nil {
		return []alternative{{why: why}}, nil
	}
	found := make([]alternative, 0, len(values))
	for _, v := range values {
		found = append(found, pathValue(kind, v))
	}
	return found, nil
}

// values reads one literal, or several in parentheses.
func (p *pattern) values(op string) (list []string, err error) {
	if !p.accept("(") {
		v, err := p.literal()
		return []string{v}, err
	}
	if op != "IN" {
		return nil, p.unexpected()
	}
	for {
		v, err := p.literal()
		if err != nil {
			return nil, err
		}
		if list = append(list, v); len(list) > patternPartsMax {
			return nil, refusal("the pattern has more than %d parts", patternPartsMax)
		}
		if p.accept(")") {
			return list, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// literal reads a text, a number or a word, or t'..', h'..' and b'..', of which nothing but a text is a value of a list.
func (p *pattern) literal() (string, error) {
	tok := p.peek()
	if tok == "" || !pathByte(tok[0]) && tok[0] != '\'' && tok[0] != '+' {
		return "", p.unexpected()
	}
	p.next()
	if tok[0] != '\'' {
		if (tok == "t" || tok == "h" || tok == "b") && strings.HasPrefix(p.rest, "'") {
			p.next()
		}
		return tok, nil
	}
	if len(tok) < 2 || tok[len(tok)-1] != '\'' {
		return "", refusal("invalid pattern: a quote is never closed")
	}
	tok = tok[1 : len(tok)-1]
	if strings.IndexByte(tok, '\\') < 0 {
		return tok, nil
	}
	var b strings.Builder
	for i := 0; i < len(tok); i++ {
		if tok[i] == '\\' && i+1 < len(tok) {
			i++
		}
		b.WriteByte(tok[i])
	}
	return b.String(), nil
}

// anyHost is the kind of what may be an address or a name.
const anyHost = "host"

// paths are the object paths whose values lists hold.
var paths = map[string]string{
	"ipv4-addr:value": ioc.IP, "ipv6-addr:value": ioc.IP, "domain-name:value": ioc.Domain, "url:value": ioc.URL,
	"network-traffic:src_ref.value": anyHost, "network-traffic:dst_ref.value": anyHost,
	"email-addr:value": ioc.Email, "email-message:from_ref.value": ioc.Email, "email-message:sender_ref.value": ioc.Email,
	"file:name": ioc.Text, "directory:path": ioc.Text, "mutex:name": ioc.Text, "windows-registry-key:key": ioc.Text,
	"process:name": ioc.Text, "process:command_line": ioc.Text, "user-account:user_id": ioc.Text, "user-account:account_login": ioc.Text,
	"x509-certificate:serial_number": ioc.Text, "software:name": ioc.Text,
}

// pathKind is the type of what a path names; "" when no list holds it.
func pathKind(path string) string {
	if kind := paths[path]; kind != "" {
		return kind
	}
	object, property, _ := strings.Cut(path, ":")
	digest, ok := strings.CutPrefix(property, "hashes.")
	if !ok || object != "file" && object != "artifact" && object != "x509-certificate" {
		return ""
	}
	return digestKind(strings.Trim(digest, "'"))
}

// digestKind is the type of hashes by this name.
func digestKind(name string) string {
	if kinds[strings.ToLower(strings.ReplaceAll(name, "-", ""))] == ioc.Hash {
		return ioc.Hash
	}
	return ""
}

func pathValue(kind, v string) alternative {
	if kind == anyHost {
		kind = ioc.Domain
		if _, err := netip.ParseAddr(v); err == nil {
			kind = ioc.IP
		}
	}
	if kind == ioc.IP && strings.Contains(v, "/") {
		kind = ioc.CIDR
	}
	return alternative{kind: kind, value: v}
}
