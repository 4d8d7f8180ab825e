package ioc

import (
	"bytes"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// canonicalForms are values of each type with their form, or with the reason for which they are refused ("!reason").
var canonicalForms = []struct{ kind, in, want string }{
	{IP, "[2001:db8::1]", "2001:db8::1"}, {IP, "10.0.0.1/32", "10.0.0.1"}, {IP, "0:0:0:0:0:FFFF:102:304", "1.2.3.4"},
	{IP, "::ffff:1.2.3.4/128", "1.2.3.4"}, {IP, "::", "::"}, {IP, "255.255.255.255", "255.255.255.255"}, {IP, "\t1.1.1.1\r", "1.1.1.1"},
	{IP, "10.0.0.0/8", "!it is a network; a list of type cidr holds networks"}, {IP, "1.2.3.4:80", "!it has a port"},
	{IP, "[::1]:80", "!it has a port"}, {IP, "fe80::1%eth0", "!it has a zone"}, {IP, "1.2.3.04", "!an octet with a leading zero may be octal or decimal"},
	{IP, "1.2.3.256", "!"}, {IP, "1.2.3", "!"}, {IP, "1.2.3.4.5", "!"}, {IP, "1..2.3", "!"}, {IP, "evil.example", "!"}, {IP, "", "!it is empty"},

	{CIDR, "10.1.2.3/255.0.0.0", "10.0.0.0/8"}, {CIDR, "10.1.2.3/255.255.255.255", "10.1.2.3/32"}, {CIDR, "10.1.2.3/0.0.0.0", "0.0.0.0/0"},
	{CIDR, "2001:DB8:1::/32", "2001:db8::/32"}, {CIDR, "::ffff:10.0.0.0/96", "0.0.0.0/0"}, {CIDR, "2001:db8::1", "2001:db8::1/128"},
	{CIDR, "10.0.0.0/255.0.255.0", "!its mask has a gap"}, {CIDR, "::ffff:10.0.0.0/95", "!an IPv4-mapped network has at least 96 bits"},
	{CIDR, "10.0.0.0/33", "!"}, {CIDR, "10.0.0.0/", "!"}, {CIDR, "10.0.0.0/08", "!"}, {CIDR, "/8", "!"}, {CIDR, "10.0.0.0/8/8", "!"}, {CIDR, "::1/255.0.0.0", "!"},

	{Domain, "WWW.Example.COM", "www.example.com"}, {Domain, "example.com.", "example.com"}, {Domain, "*.example.com", "example.com"},
	{Domain, ".example.com", "example.com"}, {Domain, "bücher.example", "xn--bcher-kva.example"}, {Domain, "BÜCHER.example", "xn--bcher-kva.example"},
	{Domain, "XN--BCHER-KVA.example", "xn--bcher-kva.example"}, {Domain, "faß.de", "xn--fa-hia.de"}, {Domain, "例え。テスト", "xn--r8jz45g.xn--zckzah"},
	{Domain, "ｅｖｉｌ．example", "evil.example"}, {Domain, "_dmarc.a-.example", "_dmarc.a-.example"}, {Domain, "localhost", "localhost"},
	{Domain, "r3---sn-x.example", "r3---sn-x.example"}, {Domain, "1.example", "1.example"}, {Domain, "a.1a", "a.1a"},
	{Domain, strings.Repeat("a", 63) + ".b", strings.Repeat("a", 63) + ".b"}, {Domain, strings.Repeat("a", 64) + ".b", "!a label has at most 63 bytes"},
	{Domain, strings.Repeat("a.", 126) + "b", strings.Repeat("a.", 126) + "b"}, {Domain, strings.Repeat("a.", 126) + "bb", "!a domain name has at most 253 bytes"},
	{Domain, strings.Repeat("a.", 126) + "b.", strings.Repeat("a.", 126) + "b"}, {Domain, "a..b", "!a label is empty"}, {Domain, "a.b..", "!a label is empty"},
	{Domain, "1.2.3.4", "!it is a number or an address, no domain name"}, {Domain, "::1", "!it has a port, or is an IPv6 address"}, {Domain, "e.example:53", "!it has a port, or is an IPv6 address"},
	{Domain, "http://e.example", "!it is a URL"}, {Domain, "e.example/x", "!it has a path"}, {Domain, "a@e.example", "!it is an e-mail address"},
	{Domain, "a b", "!"}, {Domain, "*", "!"}, {Domain, ".", "!"}, {Domain, "*evil.example", "!"}, {Domain, "a.*.b", "!"}, {Domain, "xn--a.bü.\u200d", "!it is not a valid internationalised name"},

	{Hash, "MD5:D41D8CD98F00B204E9800998ECF8427E", "d41d8cd98f00b204e9800998ecf8427e"}, {Hash, "sha-1:DA39A3EE5E6B4B0D3255BFEF95601890AFD80709", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
	{Hash, strings.Repeat("aB", 28), strings.Repeat("ab", 28)}, {Hash, strings.Repeat("aB", 32), strings.Repeat("ab", 32)}, {Hash, strings.Repeat("0F", 64), strings.Repeat("0f", 64)},
	{Hash, "sha256:d41d8cd98f00b204e9800998ecf8427e", "!its length is not that of the digest it names"}, {Hash, strings.Repeat("a", 31), "!"}, {Hash, strings.Repeat("a", 33), "!"},
	{Hash, strings.Repeat("g", 32), "!"}, {Hash, strings.Repeat("a", 256), "!"},

	{Email, "<Mallory@EVIL.example.>", "mallory@evil.example"}, {Email, "@Evil.Example", "@evil.example"}, {Email, "a@bücher.example", "a@xn--bcher-kva.example"},
	{Email, `"a b"@e.example`, `"a b"@e.example`}, {Email, "A+B@e.example", "a+b@e.example"}, {Email, "Ü@e.example", "ü@e.example"},
	{Email, "a b@e.example", "!"}, {Email, "a@b@e.example", "!"}, {Email, "a@", "!"}, {Email, "e.example", "!"}, {Email, "M <m@e.example>", "!"}, {Email, "a@e..x", "!a label is empty"},

	{URL, "HTTP://User:Pw@Evil.Example.:80/a?b#c", "http://evil.example/a?b"}, {URL, "https://e.example:443", "https://e.example/"}, {URL, "https://e.example:80/", "https://e.example:80/"},
	{URL, "http://e.example?", "http://e.example/"}, {URL, "http://e.example:/x", "http://e.example/x"}, {URL, "http://e.example:008/", "http://e.example:8/"},
	{URL, "http://e.example/a/./b/../c/.", "http://e.example/a/c/"}, {URL, "http://e.example/../../x", "http://e.example/x"}, {URL, "http://e.example/a/..", "http://e.example/"},
	{URL, "http://e.example/%7euser/%2e%2E/%2f%c3%BC", "http://e.example/%2F%C3%BC"}, {URL, "http://e.example/ü x%zz%", "http://e.example/%C3%BC%20x%25zz%25"},
	{URL, "http://e.example/a//b", "http://e.example/a//b"}, {URL, `http:\\e.example\a`, "http://e.example/a"}, {URL, `http://e.example/?a\b`, `http://e.example/?a%5Cb`},
	{URL, "http://bücher.example/", "http://xn--bcher-kva.example/"}, {URL, "http://[2001:DB8::1]:8080/", "http://[2001:db8::1]:8080/"}, {URL, "http://[::ffff:1.2.3.4]/", "http://1.2.3.4/"},
	{URL, "ftp://1.2.3.4:21/x", "ftp://1.2.3.4/x"}, {URL, "evil.example/a", "//evil.example/a"}, {URL, "//Evil.example", "//evil.example/"}, {URL, "evil.example:8080/a", "//evil.example:8080/a"},
	{URL, "evil.example:443/a", "https://evil.example/a"}, {URL, "1.2.3.4/x", "//1.2.3.4/x"}, {URL, "http://localhost/", "http://localhost/"},
	{URL, "/path", "!it has no host"}, {URL, "http:///x", "!it has no host"}, {URL, "word", "!it has no scheme"}, {URL, "a@e.example", "!it has no scheme, or is an e-mail address"},
	{URL, "http://e.example:65536/", "!its port is not a number up to 65535"}, {URL, "http://e.example:+1/", "!its port is not a number up to 65535"},
	{URL, "http://a b/", "!its host is neither an address nor a domain name"}, {URL, "http://1.2.3/", "!its host is neither an address nor a domain name"},
	{URL, "http://[::1/", "!its host is neither an address nor a domain name"}, {URL, "http://e.example/a\tb", "!it has a control character"},
	{URL, "http://e.example/" + strings.Repeat("ü", 3000), "!it is longer than 8192 bytes"},

	{Text, "  As It\tIs ", "  As It\tIs "}, {Text, "a\x00b", "!it has a zero byte"}, {Text, "\xff", "!it is not UTF-8"}, {Text, " ", "!it is empty"},
	{Text, strings.Repeat("x", valueMax+1), "!it is longer than 8192 bytes"},
}

func TestCanonicalForms(t *testing.T) {
	for _, c := range canonicalForms {
		got, err := Normalize(c.kind, c.in)
		reason, refused := strings.CutPrefix(c.want, "!")
		switch {
		case !refused && (err != nil || got != c.want):
			t.Errorf("Normalize(%s, %q) = %q, %v; want %q", c.kind, c.in, got, err, c.want)
		case refused && sqlerr.CodeOf(err) != sqlerr.InvalidTextRepresentation:
			t.Errorf("Normalize(%s, %q) = %q, %v; want an error", c.kind, c.in, got, err)
		case refused:
			end := ""
			if reason != "" {
				end = ": " + reason
			}
			if m := sqlerr.As(err).Message; !strings.HasSuffix(m, `"`+end) && !strings.HasSuffix(m, `..."`+end) {
				t.Errorf("Normalize(%s, %q): %q does not end in %q", c.kind, c.in, m, end)
			}
		}
	}
	if _, err := Normalize("wrong", "x"); sqlerr.CodeOf(err) != sqlerr.InvalidParameterValue {
		t.Errorf("unknown type: %v", err)
	}
	for n, want := range map[int]string{32: "md5", 40: "sha1", 56: "sha224", 64: "sha256", 96: "sha384", 128: "sha512", 33: ""} {
		if got := HashKind(strings.Repeat("a", n)); got != want {
			t.Errorf("%d digits are %q, want %q", n, got, want)
		}
	}
}

// TestLowerIsIdempotent holds for each rune what the canonical form of an e-mail address rests on.
func TestLowerIsIdempotent(t *testing.T) {
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		once := lower(nil, []byte(string(r)))
		if twice := lower(nil, once); !bytes.Equal(once, twice) {
			t.Errorf("%U: %q, then %q", r, once, twice)
		}
	}
}

// FuzzNormalize: no panic; the canonical form is its own; an entry is hit by what it was written as, and by its form; and the
// entry that is found is the form.
func FuzzNormalize(f *testing.F) {
	for _, c := range canonicalForms {
		f.Add(c.kind, c.in)
	}
	f.Fuzz(func(t *testing.T, kind, in string) {
		form, err := Normalize(kind, in)
		if err != nil {
			if c := sqlerr.CodeOf(err); c != sqlerr.InvalidTextRepresentation && c != sqlerr.InvalidParameterValue {
				t.Fatalf("%s %q: %v", kind, in, err)
			}
			return
		}
		if again, err := Normalize(kind, form); err != nil || again != form {
			t.Fatalf("%s %q: form %q, whose form is %q, %v", kind, in, form, again, err)
		}
		for _, mode := range []string{"", Exact, Subdomains, Prefix} {
			s := newSet(t).With(Change{List: "l", Create: true, Kind: kind, Mode: mode}, Change{List: "l", Add: []string{form}})
			hits := 0
			err := s.FindEntries("l", textVec(in, form), func(_ int, e string, _ func() string) {
				hits++
				if e != form {
					t.Fatalf("%s %q found as %q, want %q", kind, in, e, form)
				}
			})
			if err != nil || hits != 2 {
				t.Fatalf("%s list (%s) of %q, written %q: %d hits, %v", kind, mode, form, in, hits, err)
			}
		}
	})
}

// hit is the entry of a list that a text hits.
func hit(t *testing.T, s *Set, text string) string {
	t.Helper()
	found := ""
	if err := s.FindEntries("l", textVec(text), func(_ int, e string, _ func() string) { found = e }); err != nil {
		t.Fatal(err)
	}
	in, err := s.Match([]string{"l"}, textVec(text), batch.All(1), nil)
	if err != nil || (len(in) == 1) != (found != "") {
		t.Fatalf("%q: Match says %v, %v, FindEntries %q", text, in, err, found)
	}
	return found
}

func TestModes(t *testing.T) {
	for _, c := range []struct {
		kind, mode string
		entries    []string
		want       map[string]string
	}{
		{Domain, "", []string{"evil.example", "a.b.evil.example"}, map[string]string{"evil.example": "evil.example", "x.Evil.example.": "evil.example",
			"x.a.b.evil.example": "a.b.evil.example", "b.evil.example": "evil.example", "evil.example.com": "", "example": "", "devil.example": "", "1.2.3.4": ""}},
		{Domain, Exact, []string{"evil.example"}, map[string]string{"EVIL.example": "evil.example", "x.evil.example": ""}},
		{Email, "", []string{"@evil.example", "bob@evil.example", "al@good.example"}, map[string]string{"x@evil.example": "@evil.example", "Bob@evil.example": "bob@evil.example",
			"al@good.example": "al@good.example", "x@good.example": "", "x@sub.evil.example": "", "evil.example": ""}},
		{URL, "", []string{"http://e.example/a", "//f.example/b"}, map[string]string{"http://e.example/a": "http://e.example/a", "https://e.example/a": "", "http://e.example/a/": "",
			"e.example/a": "http://e.example/a", "https://f.example/b": "//f.example/b", "f.example/b": "//f.example/b", "ftp://f.example/b": "", "http://f.example/b?c": ""}},
		{URL, Prefix, []string{"http://e.example/a", "http://e.example/a/b/", "//f.example/", "http://e.example/q?x=1"}, map[string]string{
			"http://e.example/a": "http://e.example/a", "http://e.example/a?x": "http://e.example/a", "http://e.example/a/z": "http://e.example/a", "http://e.example/ab": "",
			"http://e.example/a/b/c?d": "http://e.example/a/b/", "http://e.example/a/b": "http://e.example/a", "https://f.example/x/y": "//f.example/",
			"http://e.example/q?x=1&y=2": "http://e.example/q?x=1", "http://e.example/q?x=12": "", "http://e.example/": "", "http://e.example:8080/a": "",
			"http://e.example/a/" + strings.Repeat("x/", 9000): "http://e.example/a"}},
		{CIDR, "", []string{"10.0.0.0/8", "10.1.0.0/16", "2001:db8::/32"}, map[string]string{"10.1.2.3": "10.1.0.0/16", "10.2.0.0": "10.0.0.0/8", "10.1.2.0/24": "10.1.0.0/16",
			"10.0.0.0/7": "", "::ffff:10.1.1.1": "10.1.0.0/16", "2001:db8::5": "2001:db8::/32", "11.0.0.0": "", "x": ""}},
		{IP, "", []string{"10.0.0.1"}, map[string]string{" 10.0.0.1 ": "10.0.0.1", "10.0.0.1/32": "10.0.0.1", "10.0.0.1/24": "", "::FFFF:a00:1": "10.0.0.1"}},
		{Hash, "", []string{"d41d8cd98f00b204e9800998ecf8427e"}, map[string]string{"MD5:D41D8CD98F00B204E9800998ECF8427E": "d41d8cd98f00b204e9800998ecf8427e", "d4": ""}},
	} {
		s := newSet(t).With(Change{List: "l", Create: true, Kind: c.kind, Mode: c.mode}, Change{List: "l", Add: c.entries})
		for in, want := range c.want {
			if got := hit(t, s, in); got != want {
				t.Errorf("%s list (%s): %q hits %q, want %q", c.kind, c.mode, in, got, want)
			}
		}
	}
}

// TestURLPrefixAgainstModel compares prefixes with all entries, tried one by one.
func TestURLPrefixAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	word := func(n int) string {
		b := []byte("http://e.example/")
		for range rng.Intn(n) {
			b = append(b, "ab//?&="[rng.Intn(7)])
		}
		form, err := Normalize(URL, string(b))
		if err != nil {
			t.Fatal(err)
		}
		return form
	}
	none, some := 0, 0
	for range 200 {
		var entries []string
		for range 1 + rng.Intn(6) {
			entries = append(entries, word(8))
		}
		s := newSet(t).With(Change{List: "l", Create: true, Kind: URL, Mode: Prefix}, Change{List: "l", Add: entries})
		for range 50 {
			in, want := word(14), ""
			for _, e := range entries {
				rest, ok := strings.CutPrefix(in, e)
				if ok && (rest == "" || strings.HasSuffix(e, "/") || strings.ContainsAny(rest[:1], "/?&")) && len(e) > len(want) {
					want = e
				}
			}
			if got := hit(t, s, in); got != want {
				t.Fatalf("%q in %q: %q, want %q", in, entries, got, want)
			}
			if want == "" {
				none++
			} else {
				some++
			}
		}
	}
	if none < 1000 || some < 1000 {
		t.Fatalf("%d misses and %d hits", none, some)
	}
}

// known is the entry that a text hits, and what is known of it.
func known(t *testing.T, s *Set, text string) string {
	t.Helper()
	entry := hit(t, s, text)
	if entry == "" {
		return ""
	}
	return entry + infoOf(s, entry)
}

// TestInfo: what is known of an entry is that of its newest addition, over rebuilds and drops, and old versions keep theirs.
func TestInfo(t *testing.T) {
	for _, kind := range []string{Text, CIDR} {
		rng := rand.New(rand.NewSource(1))
		model := map[string]string{}
		s := newSet(t).With(Change{List: "l", Create: true, Kind: kind})
		value := func() string {
			if kind == CIDR {
				return fmt.Sprintf("10.%d.%d.0/24", rng.Intn(40), rng.Intn(256))
			}
			return fmt.Sprint("v", rng.Intn(9000))
		}
		for round := range 30 {
			c := Change{List: "l"}
			for range rng.Intn(1500) {
				c.Add, c.Info = append(c.Add, value()), append(c.Info, []byte([]string{"", "a", "b", fmt.Sprint(round)}[rng.Intn(4)]))
			}
			for range rng.Intn(300) {
				c.Drop = append(c.Drop, value())
			}
			old, asked := s, value()
			was := known(t, old, asked)
			s = s.With(c)
			for _, v := range c.Drop {
				delete(model, v)
			}
			for i, v := range c.Add {
				model[v] = string(c.Info[i])
			}
			if s.Len("l") != len(model) || known(t, old, asked) != was {
				t.Fatalf("%s, round %d: %d entries, model %d; %q was %q in the old version", kind, round, s.Len("l"), len(model), asked, was)
			}
			for range 300 {
				v, want := value(), ""
				if info, ok := model[v]; ok {
					want = v + info
				}
				if got := known(t, s, v); got != want {
					t.Fatalf("%s, round %d: %q, want %q", kind, round, got, want)
				}
			}
		}
	}
}

// TestLookupsDoNotAllocate holds for the values that streams have most.
func TestLookupsDoNotAllocate(t *testing.T) {
	for kind, in := range map[string]string{IP: "10.20.30.40", CIDR: "10.20.30.40", Domain: "www.Some.Example", URL: "http://www.some.example/path?q=%20",
		Hash: "D41D8CD98F00B204E9800998ECF8427E", Email: "Bob@some.example"} {
		s := stage(t, newSet(t), Change{List: "l", ID: 1, Create: true, Kind: kind})
		form, err := Normalize(kind, in)
		if err != nil {
			t.Fatal(err)
		}
		s = stage(t, s, Change{List: "l", ID: 1, Add: []string{form}})
		p := prober{set: s}
		l, raw, typ := s.lists["l"], []byte(in), types.T(types.Text)
		if n := testing.AllocsPerRun(100, func() {
			if !p.hits(l, typ, raw) {
				t.Fatalf("%s: %q is not found", kind, in)
			}
		}); n != 0 {
			t.Errorf("a look-up in a list of type %s allocates %v times", kind, n)
		}
	}
}
