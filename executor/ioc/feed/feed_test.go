package feed

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/need"
)

// told is what a feed gave, as text: entries as "line value source confidence tags first expires", refusals as "line! message | raw".
type told struct {
	lines []string
	stats Stats
	err   error
}

func read(in io.Reader, o Options) told {
	var t told
	t.stats, t.err = Read(in, o, Sink{
		Entry: func(e Entry) error {
			s := fmt.Sprint(e.Line, " ", e.Value)
			for _, extra := range []struct {
				name string
				v    any
				is   bool
			}{{"source", e.Source, e.Source != ""}, {"confidence", e.Confidence, e.Confidence >= 0}, {"tags", e.Tags, len(e.Tags) > 0},
				{"first", day(e.FirstSeen), e.FirstSeen != 0}, {"expires", day(e.Expires), e.Expires != 0}} {
				if extra.is {
					s += fmt.Sprintf(" %s=%v", extra.name, extra.v)
				}
			}
			t.lines = append(t.lines, s)
			return nil
		},
		Refused: func(r Refusal) error {
			t.lines = append(t.lines, fmt.Sprintf("%d! %s | %s", r.Line, sqlerr.As(r.Err).Message, r.Raw))
			return nil
		},
	})
	return t
}

func day(t types.EventTime) string {
	return strings.TrimSuffix(types.NewTime(t).Text(), " 00:00:00+00")
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		in   string
		want []string
		err  string
	}{
		{"lines", Options{Format: "lines", Kind: ioc.IP, Source: "s"}, "\ufeff# a list\r\n\r\n 10.0.0.1 \t# bad\r\n10.0.0.2#x\n10.0.0.3 10.0.0.4\n::FFFF:1.2.3.4", []string{
			"3 10.0.0.1 source=s", `4! invalid indicator of type ip: "10.0.0.2#x" | 10.0.0.2#x`, `5! invalid indicator of type ip: "10.0.0.3 10.0.0.4" | 10.0.0.3 10.0.0.4`, "6 1.2.3.4 source=s"}, ""},
		{"lines of text", Options{Format: "lines", Kind: ioc.Text}, "a # b\n  c\n# d\n \n\xff\n", []string{"1 a # b", "2   c", "5! invalid indicator of type text: \"\\xff\": it is not UTF-8 | \ufffd"}, ""},
		{"nothing", Options{Format: "lines", Kind: ioc.IP}, "", nil, ""},
		{"no format", Options{Format: "xml", Kind: ioc.IP}, "", nil, `feed format "xml" does not exist`},
		{"too large", Options{Format: "lines", Kind: ioc.IP, BytesMax: 10}, "10.0.0.1\n10.0.0.2\n", []string{"1 10.0.0.1"}, "the feed is larger than 10 bytes"},
		{"exactly the bound", Options{Format: "lines", Kind: ioc.IP, BytesMax: 9}, "10.0.0.1\n", []string{"1 10.0.0.1"}, ""},

		{"netset", Options{Format: "netset", Kind: ioc.CIDR}, "# x\n10.0.0.0/8 ; SBL1\n1.2.3.4\ncreate a hash:net\nadd a 5.0.0.0/8 timeout 1\n10.0.0.1-10.0.0.6\n9.0.0.0 - 9.255.255.255\n2-1\n1.1.1.2-1.1.1.1\nevil\n", []string{
			"2 10.0.0.0/8", "3 1.2.3.4/32", "5 5.0.0.0/8", "6 10.0.0.1/32", "6 10.0.0.2/31", "6 10.0.0.4/31", "6 10.0.0.6/32", "7 9.0.0.0/8", `8! invalid indicator of type cidr: "2-1" | 2-1`,
			"9! invalid range: it must go from an address to a later one of the same family | 1.1.1.2-1.1.1.1", `10! invalid indicator of type cidr: "evil" | evil`}, ""},
		{"all of IPv4 and IPv6", Options{Format: "netset", Kind: ioc.CIDR}, "0.0.0.0-255.255.255.255\n::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n::1-1.2.3.4", []string{"1 0.0.0.0/0", "2 ::/0",
			"3! invalid range: it must go from an address to a later one of the same family | ::1-1.2.3.4"}, ""},

		{"csv", Options{Format: "csv", Kind: ioc.Domain}, "# made by hand\nFirst Seen,Domain,Score,Tags,Source,valid_until,more\n2026-01-02,Evil.example,80,\"a; b\",\"x, \"\"y\"\"\",2026-02-01T00:00:00Z,\n,b.example,,,,,z\n,c.example,high,,,,\n,d.example\n,\"e.\nexample\",,,,,\n,f.example,,,,1767225600,\nyesterday,g.example,,,,,\n,1.2.3.4,,,,,\n", []string{
			`3 evil.example source=x, "y" confidence=80 tags=[a b] first=2026-01-02 expires=2026-02-01`, "4 b.example", `5! invalid confidence: "high" | ,c.example,high,,,,`, "6! the record has 2 fields, the header 7 | ,d.example",
			"7! invalid indicator of type domain: \"e.\\nexample\" | e.\nexample", "9 f.example expires=2026-01-01", `10! invalid time: "yesterday" | yesterday,g.example,,,,,`,
			`11! invalid indicator of type domain: "1.2.3.4": it is a number or an address, no domain name | 1.2.3.4`}, ""},
		{"csv with types", Options{Format: "csv", Kind: ioc.IP}, "ioc,ioc_type\n1.2.3.4,ipv4\nevil.example,domain\n1.2.3.5:80,ip:port\n10.0.0.0/8,cidr\n1.2.3.6,\n", []string{"2 1.2.3.4",
			`5! invalid indicator of type ip: "10.0.0.0/8": it is a network; a list of type cidr holds networks | 10.0.0.0/8`, "6 1.2.3.6"}, ""},
		{"csv with stray quotes", Options{Format: "csv", Kind: ioc.IP, Columns: []string{"value", "tags"}}, "1.1.1.1,\"a\n1.1.1.2,\"b\"x\n1.1.1.3,c\n1.1.1.4,\"open\n1.1.1.5,d", []string{
			"1! there is something between a closing quote and the next field | 1.1.1.1,\"a\n1.1.1.2,\"b\"x", "3 1.1.1.3 tags=[c]", "4! a quote is never closed | 1.1.1.4,\"open", "5 1.1.1.5 tags=[d]"}, ""},
		{"csv by tabs", Options{Format: "csv", Kind: ioc.IP, Columns: []string{"value", "", "confidence"}, Delimiter: '\t'}, "1.1.1.1\tx\t5\n", []string{"1 1.1.1.1 confidence=5"}, ""},
		{"csv without values", Options{Format: "csv", Kind: ioc.IP}, "a,b\n1,2\n", nil, "the feed's header has no column for the values: a, b"},
		{"empty csv", Options{Format: "csv", Kind: ioc.IP}, "\n# x\n", nil, ""},

		{"jsonl", Options{Format: "jsonl", Kind: ioc.Hash, Source: "s"}, "{\"sha256\":\"" + strings.Repeat("AB", 32) + "\",\"tags\":[\"x\",\"y\"],\"confidence\":7,\"first_seen\":1767225600}\n\"" + strings.Repeat("a", 32) + "\"\n{\"type\":\"ip\",\"value\":\"1.2.3.4\"}\n{\"value\":{}}\n{\"x\":1}\n[1]\n{\n{\"value\":null}\n{\"value\":\"" + strings.Repeat("b", 40) + "\",\"tags\":[1]}\n", []string{
			"1 " + strings.Repeat("ab", 32) + " source=s confidence=7 tags=[x y] first=2026-01-01", "2 " + strings.Repeat("a", 32) + " source=s", `4! invalid JSON: a string or a number is expected, not {} | {"value":{}}`,
			`5! the object has no value | {"x":1}`, `6! invalid JSON: there is a array where it should not be | [1]`, `7! invalid JSON: unexpected end of JSON input | {`, `8! invalid indicator of type hash: "": it is empty | `,
			`9! invalid JSON: there is a number where it should not be | {"value":"` + strings.Repeat("b", 40) + `","tags":[1]}`}, ""},

		{"misp event", Options{Format: "misp", Kind: ioc.IP, Source: "s"}, `{"Event":{"info":"x","Orgc":{"name":"Org"},
"Attribute":[{"type":"ip-dst","value":"1.2.3.4","to_ids":true,"Tag":[{"name":"own"}],"first_seen":"2026-01-01T00:00:00+00:00"},
 {"type":"ip-src|port","value":"1.2.3.5|80","to_ids":"1"},
 {"type":"ip-dst","value":"1.2.3.6","to_ids":false},{"type":"ip-dst","value":"1.2.3.7","to_ids":true,"deleted":true},
 {"type":"domain|ip","value":"evil.example|1.2.3.8","to_ids":true}, {"type":"domain|ip","value":"evil.example","to_ids":true},
 {"type":"btc","value":"x","to_ids":true}, {"type":"ip-dst","value":"evil","to_ids":true}, 5],
"RelatedEvent":[{"Event":{"Attribute":[{"type":"ip-dst","value":"9.9.9.9","to_ids":true}]}}],
"Object":[{"Attribute":[{"type":"ip-dst","value":"1.2.3.9","to_ids":true}]},
 {"deleted":"1","Attribute":[{"type":"ip-dst","value":"1.2.3.10","to_ids":true}]}],
"Tag":[{"name":"tlp:white"}]}}`, []string{
			`5! an attribute of type "domain|ip" has two values with | between them | evil.example`, "6! invalid JSON: there is a number where it should not be | 5",
			"2 1.2.3.4 source=Org tags=[own tlp:white] first=2026-01-01", "3 1.2.3.5 source=Org tags=[tlp:white]", "5 1.2.3.8 source=Org tags=[tlp:white]",
			`6! invalid indicator of type ip: "evil" | evil`, "8 1.2.3.9 source=Org tags=[tlp:white]"}, ""},
		{"misp response", Options{Format: "misp", Kind: ioc.Hash}, `{"response":[{"Event":{"Attribute":[{"type":"filename|md5","value":"a|b|` + strings.Repeat("c", 32) + `","to_ids":true}]}},{"Event":{"Attribute":null}}]}`,
			[]string{"1 " + strings.Repeat("c", 32)}, ""},
		{"misp warning list", Options{Format: "misp", Kind: ioc.Domain, Source: "s"}, "{\"list\":[\".a.example\",\n\"b.example\", {}, \"x y\"],\"name\":\"n\",\"type\":\"hostname\"}", []string{"1 a.example source=s", "2 b.example source=s",
			"2! invalid JSON: a string or a number is expected, not {} | {}", `2! invalid indicator of type domain: "x y" | x y`}, ""},
		{"misp warning list of patterns", Options{Format: "misp", Kind: ioc.Text}, `{"list":["^a"],"type":"regex"}`, []string{"1 ^a"}, `a warning list of type "regex" has parts of values, which an IOC list cannot hold`},
		{"misp cut short", Options{Format: "misp", Kind: ioc.IP}, "{\"list\":[\"1.1.1.1\",\n\"1.1.1.2\"", []string{"1 1.1.1.1", "2 1.1.1.2"}, "the JSON document ends too early"},
		{"misp that is none", Options{Format: "misp", Kind: ioc.IP}, "<html>", nil, "line 1: invalid JSON: invalid character '<' looking for beginning of value"},
		{"misp of nothing", Options{Format: "misp", Kind: ioc.IP}, " \n", nil, "the feed is empty: a JSON document is expected"},
		{"misp that is a number", Options{Format: "misp", Kind: ioc.IP}, "\n5", nil, "line 2: an object is expected"},

		{"stix", Options{Format: "stix", Kind: ioc.IP, Source: "s"}, `{"type":"bundle","objects":[{"type":"identity","id":"identity--1","name":"Author"},
{"type":"indicator","pattern":"[ipv4-addr:value = '1.2.3.4' OR ipv4-addr:value IN ('1.2.3.5','1.2.3.6')]","pattern_type":"stix","valid_from":"2026-01-01T00:00:00Z","valid_until":"2026-02-01T00:00:00.000Z","confidence":50,"labels":["a"],"indicator_types":["b"],"created_by_ref":"identity--1"},
{"type":"indicator","pattern":"[ipv4-addr:value = '1.2.3.7']","revoked":true},
{"type":"indicator","pattern":"rule x","pattern_type":"yara"},
{"type":"indicator","pattern":"[domain-name:value = 'evil.example']","created_by_ref":"identity--2"},
{"type":"indicator","pattern":"[ipv4-addr:value = 'x'] OR [file:size > 5]"},
{"type":"indicator","pattern":"[ipv4-addr:value = '1.2.3.8' AND domain-name:value = 'x']"},
{"type":"indicator","pattern":5}, {"type":5}, 7,
{"type":"ipv4-addr","value":"9.9.9.9"}], "more": {"a": [1]}}
{"type":"indicator","pattern":"[network-traffic:dst_ref.value = '1.2.3.9']"}`, []string{
			"2 1.2.3.4 source=Author confidence=50 tags=[a b] first=2026-01-01 expires=2026-02-01", "2 1.2.3.5 source=Author confidence=50 tags=[a b] first=2026-01-01 expires=2026-02-01",
			"2 1.2.3.6 source=Author confidence=50 tags=[a b] first=2026-01-01 expires=2026-02-01", `4! a pattern of type "yara" is not one of STIX | rule x`, `6! invalid indicator of type ip: "x" | x`,
			`6! file:size is nothing that a list holds | [ipv4-addr:value = 'x'] OR [file:size > 5]`,
			"7! the pattern asks for several things at once (AND), which a list of values cannot | [ipv4-addr:value = '1.2.3.8' AND domain-name:value = 'x']",
			`8! invalid JSON: "pattern" is a number, which it should not be | {"type":"indicator","pattern":5}`, `8! invalid JSON: "type" is a number, which it should not be | {"type":5}`,
			"8! invalid JSON: there is a number where it should not be | 7", "10 1.2.3.9 source=s"}, ""},
		{"stix without objects", Options{Format: "stix", Kind: ioc.IP}, `{"type":"bundle","objects":{"a":[]}}`, []string{`1! "objects" is no array | `}, ""},
		{"stix cut short", Options{Format: "stix", Kind: ioc.IP}, `[{"type":"bundle","objects":[]}`, nil, "the JSON document ends too early"},
	} {
		got := read(strings.NewReader(c.in), c.o)
		if c.err != "" && (got.err == nil || sqlerr.As(got.err).Message != c.err) || c.err == "" && got.err != nil {
			t.Errorf("%s: error %v, want %q", c.name, got.err, c.err)
		}
		if !slices.Equal(got.lines, c.want) {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, strings.Join(got.lines, "\n"), strings.Join(c.want, "\n"))
		}
		bytewise := read(iotest.OneByteReader(strings.NewReader(c.in)), c.o)
		if !slices.Equal(bytewise.lines, got.lines) || bytewise.stats != got.stats {
			t.Errorf("%s, byte by byte:\n%s\n%v, at once %v", c.name, strings.Join(bytewise.lines, "\n"), bytewise.stats, got.stats)
		}
	}
}

// realFeeds are the feeds beside the repository, with what Python's ipaddress, json and encodings count in them.
var realFeeds = []struct {
	path, format, kind string
	columns            []string
	want               Stats
	distinct           int
}{
	{"ipsum-ip-score.tsv.gz", "csv", ioc.IP, []string{"value", "confidence"}, Stats{Entries: 120430}, 120430},
	{"maltrail-ip.tsv.gz", "csv", ioc.IP, []string{"value", "tags"}, Stats{Entries: 1111}, 1111},
	{"maltrail-domain.tsv.gz", "csv", ioc.Domain, []string{"value", "tags"}, Stats{Entries: 59860}, 59829},
	{"maltrail-url.tsv.gz", "csv", ioc.URL, []string{"value", "tags"}, Stats{Entries: 19709}, -1},
	{"maltrail-path.tsv.gz", "csv", ioc.URL, []string{"value", "tags"}, Stats{Refused: 16703}, 0},
	{"maltrail-ipport.tsv.gz", "csv", ioc.IP, []string{"value", "tags"}, Stats{Refused: 39581}, 0},
	{"maltrail-ipport.tsv.gz", "csv", ioc.URL, []string{"value", "tags"}, Stats{Entries: 39579, Refused: 2}, -1},
	{"eset-hashes.tsv.gz", "csv", ioc.Hash, []string{"value", "tags"}, Stats{Entries: 7277}, 7274},
	{"stix2/apt1.json", "stix", ioc.CIDR, nil, Stats{Entries: 4, OtherType: 6, Refused: 2}, 4},
	{"stix2/apt1.json", "stix", ioc.IP, nil, Stats{OtherType: 6, Refused: 6}, 0},
	{"stix2/apt1.json", "stix", ioc.Domain, nil, Stats{Entries: 3, OtherType: 7, Refused: 2}, 3},
	{"stix2/apt1.json", "stix", ioc.Hash, nil, Stats{Entries: 3, OtherType: 7, Refused: 2}, 3},
	{"stix2/indicator-for-c2-ip-address.json", "stix", ioc.IP, nil, Stats{Entries: 1}, 1},
	{"stix2/indicator-to-campaign-relationship.json", "stix", ioc.IP, nil, Stats{Entries: 1}, 1},
	{"stix2/indicators-for-C2-with-COA.json", "stix", ioc.IP, nil, Stats{Entries: 1, OtherType: 1}, 1},
	{"stix2/indicators-for-C2-with-COA.json", "stix", ioc.Hash, nil, Stats{Entries: 1, OtherType: 1}, 1},
	{"stix2/interop-objectmarking-test.json", "stix", ioc.IP, nil, Stats{}, 0},
	{"eset-misp/*", "misp", ioc.IP, nil, Stats{Entries: 47, OtherType: 430, Inactive: 548}, 47},
	{"eset-misp/*", "misp", ioc.Domain, nil, Stats{Entries: 274, OtherType: 203, Inactive: 548}, 272},
	{"eset-misp/*", "misp", ioc.Hash, nil, Stats{Entries: 147, OtherType: 330, Inactive: 548}, 147},
	{"eset-misp/*", "misp", ioc.Text, nil, Stats{Entries: 475, OtherType: 2, Inactive: 548}, -1},
	{"warninglists/amazon-aws.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 3847}, -1},
	{"warninglists/cisco_top20k.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 20000}, -1},
	{"warninglists/cloudflare.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 22}, 22},
	{"warninglists/common-ioc-false-positive.json.gz", "misp", ioc.Hash, nil, Stats{Entries: 69}, -1},
	{"warninglists/common-ioc-false-positive.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 46, Refused: 23}, -1},
	{"warninglists/crl-hostname.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 222}, -1},
	{"warninglists/disposable-email.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 8201}, -1},
	{"warninglists/empty-hashes.json.gz", "misp", ioc.Hash, nil, Stats{Entries: 5, Refused: 1}, -1},
	{"warninglists/google-gcp.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 471}, -1},
	{"warninglists/ipv6-linklocal.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 1}, 1},
	{"warninglists/majestic_million.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 9999}, -1},
	{"warninglists/multicast.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 16}, -1},
	{"warninglists/public-dns-v4.json.gz", "misp", ioc.IP, nil, Stats{Entries: 62745}, -1},
	{"warninglists/rfc1918.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 3}, 3},
	{"warninglists/rfc3849.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 1}, 1},
	{"warninglists/rfc5735.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 15}, 15},
	{"warninglists/rfc6598.json.gz", "misp", ioc.CIDR, nil, Stats{Entries: 1}, 1},
	{"warninglists/tlds.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 1438}, -1},
	{"warninglists/tranco10k.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 10000}, -1},
	{"warninglists/url-shortener.json.gz", "misp", ioc.Domain, nil, Stats{Entries: 255}, -1},
}

func TestRealFeeds(t *testing.T) {
	for _, c := range realFeeds {
		paths := []string{need.Shared(t, "data/ioc/"+strings.TrimSuffix(c.path, "/*"))}
		if strings.HasSuffix(c.path, "/*") {
			entries, err := os.ReadDir(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			dir := paths[0]
			paths = nil
			for _, e := range entries {
				paths = append(paths, dir+"/"+e.Name())
			}
		}
		var sum Stats
		distinct, last := map[string]bool{}, ""
		for _, path := range paths {
			in, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			st, err := Read(in, Options{Format: c.format, Kind: c.kind, Columns: c.columns, Delimiter: '\t'}, Sink{
				Entry:   func(e Entry) error { distinct[e.Value] = true; return nil },
				Refused: func(r Refusal) error { last = fmt.Sprint(r.Line, ": ", r.Err, ": ", r.Raw); return nil }})
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			in.Close()
			sum = Stats{sum.Entries + st.Entries, sum.Refused + st.Refused, sum.OtherType + st.OtherType, sum.Inactive + st.Inactive}
		}
		if sum != c.want || c.distinct >= 0 && len(distinct) != c.distinct {
			t.Errorf("%s as %s: %+v with %d values, want %+v with %d; last refusal %s", c.path, c.kind, sum, len(distinct), c.want, c.distinct, last)
		}
	}
}

// TestPatterns reads patterns by themselves.
func TestPatterns(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`[ipv4-addr:value = '10.0.0.0/8']`, "cidr 10.0.0.0/8"}, {`[ipv4-addr:value ISSUBSET '10.0.0.0/8']`, "cidr 10.0.0.0/8"},
		{`[file:hashes.'SHA-256' = 'a']`, "hash a"}, {`[file:hashes.MD5 = 'a' AND file:hashes.'SHA-1' = 'b']`, "hash a, hash b"},
		{`[(file:hashes.MD5 = 'a' OR file:hashes.MD5 = 'b') AND file:hashes.'SHA-1' = 'c']`, "! several things at once"},
		{`[url:value = 'http://e.example/it\'s\\x']`, `url http://e.example/it's\x`}, {"([a:b = 1]\n or\t[url:value in ('x' , 'y')])", "! a:b is nothing that a list holds, url x, url y"},
		{`[network-traffic:src_ref.value = '::1'] OR [network-traffic:dst_ref.value = 'e.example']`, "ip ::1, domain e.example"},
		{`[email-message:from_ref.value = 'a@b' OR mutex:name = 'm']`, "email a@b, text m"}, {`[file:hashes.SSDEEP = 'x']`, "! file:hashes.SSDEEP is nothing that a list holds"},
		{`[url:value LIKE 'x%']`, "! comparison with LIKE"}, {`[url:value != 'x']`, "! comparison with !="}, {`[url:value NOT = 'x']`, "! negated"}, {`[url:value MATCHES 'x']`, "! comparison with MATCHES"},
		{`[process:extensions.'windows-service-ext'.service_name = 'x']`, "! is nothing that a list holds"}, {`[email-message:body_multipart[*].body_raw_ref.name = 'x']`, "! is nothing that a list holds"},
		{`[url:value = 'x'] AND [url:value = 'y']`, "! several observations at once (AND)"}, {`[url:value = 'x'] FOLLOWEDBY [url:value = 'y']`, "! (FOLLOWEDBY)"},
		{`[url:value = 'x'] WITHIN 5 SECONDS`, "! in time (WITHIN)"}, {`[a:t = t'2026-01-01T00:00:00Z']`, "! a:t is nothing"}, {``, "! ends too early"}, {`[url:value = 'x'`, "! ends too early"},
		{`[url:value = 'x`, "! a quote is never closed"}, {`[url:value = ]`, `! unexpected "]"`}, {`url:value = 'x'`, `! unexpected "url:value"`}, {`['x' = 'y']`, `! unexpected "'x'"`}, {`[url:value = 'x'] ]`, `! unexpected "]"`},
		{strings.Repeat("(", 100), "! nested too deep"}, {"[" + strings.Repeat("(", 100), "! nested too deep"}, {`[url:value IN ('a','b'`, "! ends too early"}, {`[url:value = ('a')]`, `! unexpected "'a'"`},
	} {
		found, err := parsePattern(c.in)
		var parts []string
		for _, a := range found {
			if a.why != nil {
				parts = append(parts, "! "+sqlerr.As(a.why).Message)
			} else {
				parts = append(parts, a.kind+" "+a.value)
			}
		}
		got := strings.Join(parts, ", ")
		if err != nil {
			got = "! " + sqlerr.As(err).Message
		}
		if why, refused := strings.CutPrefix(c.want, "! "); refused && !strings.Contains(c.want, ", ") {
			if !strings.HasPrefix(got, "! ") || !strings.Contains(got, why) {
				t.Errorf("%s: %s, want %s", c.in, got, c.want)
			}
		} else if got != c.want {
			t.Errorf("%s: %s, want %s", c.in, got, c.want)
		}
	}
}

func zipped(s string) *bytes.Buffer {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(s))
	_ = z.Close()
	return &b
}

func TestCompressed(t *testing.T) {
	o := Options{Format: "lines", Kind: ioc.IP}
	if got := read(zipped("1.1.1.1\n1.1.1.2\n"), o); got.err != nil || len(got.lines) != 2 {
		t.Errorf("compressed: %v, %v", got.lines, got.err)
	}
	cut := zipped(strings.Repeat("1.1.1.1\n", 1000)).Bytes()
	if got := read(bytes.NewReader(cut[:len(cut)-4]), o); got.err == nil || !strings.Contains(got.err.Error(), "the feed cannot be read") {
		t.Errorf("cut short: %v", got.err)
	}
	o.BytesMax = 1 << 20
	if got := read(zipped(strings.Repeat("#", 1<<21)), o); sqlerr.CodeOf(got.err) != sqlerr.ProgramLimitExceeded {
		t.Errorf("a bomb: %v", got.err)
	}
	if got := read(strings.NewReader("\x1f\x8bno"), o); got.err == nil {
		t.Error("what only begins like gzip is an error")
	}
	broken := errors.New("the cable was cut")
	if got := read(io.MultiReader(strings.NewReader("1.1.1.1\n1.1."), iotest.ErrReader(broken)), Options{Format: "lines", Kind: ioc.IP}); got.err == nil || !strings.Contains(got.err.Error(), "the cable was cut") || len(got.lines) != 1 {
		t.Errorf("broken: %v, %v", got.lines, got.err)
	}
}

// endless repeats a text between a head and a tail.
func endless(head, body, tail string, bytesAll int) io.Reader {
	return io.MultiReader(strings.NewReader(head), io.LimitReader(&cycle{body: body}, int64(bytesAll/len(body)*len(body))), strings.NewReader(tail))
}

type cycle struct {
	body string
	at   int
}

func (c *cycle) Read(p []byte) (int, error) {
	n := copy(p, c.body[c.at:])
	c.at = (c.at + n) % len(c.body)
	return n, nil
}

// TestMemoryIsBounded reads large feeds of each format, and hostile ones, while the heap stays small.
func TestMemoryIsBounded(t *testing.T) {
	const size, heapMax = 12 << 20, 10 << 20
	for _, c := range []struct {
		name, format     string
		head, body, tail string
		err              string
	}{
		{"lines", "lines", "", "1.2.3.4\n", "", ""}, {"one line", "lines", "", "1.2.3.4 ", "\n1.2.3.4", ""}, {"csv", "csv", "value,x\n", "1.2.3.4,\"a\nb\"\n", "", ""},
		{"open quotes", "csv", "value,x\n", "1.2.3.4,\"a\n\n", "", ""}, {"one open quote", "csv", "value,x\n1.2.3.4,\"", "a\n", "", ""}, {"jsonl", "jsonl", "", "{\"value\":\"1.2.3.4\"}\n", "", ""},
		{"warning list", "misp", `{"list":["1.2.3.4"`, ",\n\"1.2.3.4\"", "]}", ""}, {"stix", "stix", `{"type":"bundle","objects":[{}`, `,{"type":"indicator","pattern":"[ipv4-addr:value='1.2.3.4']"}`, "]}", ""},
		{"what is skipped", "misp", `{"Event":{"x":[0`, ",\n{\"a\":[]}", "]}}", ""}, {"a text without end", "misp", `{"list":["`, "xxxxxxxx", `"]}`, "is larger than"},
		{"an object without end", "stix", `{"objects":[{"a":[0`, ",1", "]}]}", "is larger than"}, {"keys without end", "stix", "{\"a\":0", ",\"x\":0", "}", "is larger than"}, {"nesting without end", "stix", "", "[[[[[[[[", "", "is nested deeper than"}, {"nesting that is skipped", "misp", `{"a":[`, "[{\"a\":[", "", "is nested deeper than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var peak uint64
			n := 0
			look := func() {
				if n++; n%200_000 == 1 {
					runtime.GC()
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
				}
			}
			st, err := Read(endless(c.head, c.body, c.tail, size), Options{Format: c.format, Kind: ioc.IP}, Sink{Entry: func(Entry) error { look(); return nil }, Refused: func(Refusal) error { look(); return nil }})
			look()
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
			if peak > heapMax {
				t.Errorf("%s: %d bytes on the heap after %+v", c.name, peak, st)
			}
		})
	}
}

// FuzzRead: no panic; what is accepted is canonical; lines do not go back further than documents allow; counts agree; a second reading,
// byte by byte, gives the same.
func FuzzRead(f *testing.F) {
	f.Add(uint8(0), uint8(0), "1.2.3.4\n# x\n")
	f.Add(uint8(1), uint8(2), "value,tags,first_seen\ne.example,\"a;b\",2026-01-01\n\"")
	f.Add(uint8(2), uint8(4), `{"value":"d41d8cd98f00b204e9800998ecf8427e","tags":["a"],"expires":1767225600}`)
	f.Add(uint8(3), uint8(0), `{"type":"bundle","objects":[{"type":"indicator","pattern":"[ipv4-addr:value = '1.2.3.4' OR (url:value IN ('a','b'))]","labels":["x"]}]}`)
	f.Add(uint8(4), uint8(1), `{"Event":{"Attribute":[{"type":"domain|ip","value":"e.example|10.0.0.0/8","to_ids":true}],"Tag":[{"name":"t"}]}}`)
	f.Add(uint8(4), uint8(2), `{"list":["a.example"],"type":"hostname"}`)
	f.Add(uint8(5), uint8(1), "10.0.0.1-10.0.0.9\nadd x 1.2.3.0/24\n")
	f.Fuzz(func(t *testing.T, format, kind uint8, in string) {
		o := Options{Format: Formats()[int(format)%len(Formats())], Kind: ioc.Kinds()[int(kind)%len(ioc.Kinds())], BytesMax: 1 << 20}
		entries, refused := int64(0), int64(0)
		st, err := Read(strings.NewReader(in), o, Sink{
			Entry: func(e Entry) error {
				entries++
				if again, err := ioc.Normalize(o.Kind, e.Value); err != nil || again != e.Value {
					t.Fatalf("%q is not canonical: %q, %v", e.Value, again, err)
				}
				if e.Line < 1 || e.Line > int64(strings.Count(in, "\n"))+1 || e.Confidence < -1 || e.Confidence > 100 || len(e.Tags) > tagsMax {
					t.Fatalf("entry %+v", e)
				}
				return nil
			},
			Refused: func(r Refusal) error {
				refused++
				if r.Line < 1 || r.Line > int64(strings.Count(in, "\n"))+1 || len(r.Raw) > 3*rawMax || r.Err == nil {
					t.Fatalf("refusal %+v", r)
				}
				return nil
			}})
		if st.Entries != entries || st.Refused != refused {
			t.Fatalf("%d entries, %d refused, told as %+v", entries, refused, st)
		}
		if err != nil && sqlerr.CodeOf(err) == sqlerr.InternalError {
			t.Fatalf("an error without a code: %v", err)
		}
		a, b := read(strings.NewReader(in), o), read(iotest.OneByteReader(strings.NewReader(in)), o)
		if !slices.Equal(a.lines, b.lines) || a.stats != b.stats || (a.err == nil) != (b.err == nil) {
			t.Fatalf("at once %v %v, byte by byte %v %v", a.lines, a.err, b.lines, b.err)
		}
	})
}
