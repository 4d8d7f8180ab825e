package codec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

const zeekLog = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tssh\n#fields\tts\tid.orig_h\tid.orig_p\tnote\ttags\tok\n" +
	"#types\ttime\taddr\tport\tstring\tset[string]\tbool\n"

func TestZeek(t *testing.T) {
	runNamed(t, []namedCase{
		{"tab-separated", "ZEEK", nil, zeekLog + "1521911720.865716\t10.0.0.1\t22\ta\\x09b\tx,y\\x2cz\tT\n1521911721\t10.0.0.2\t-\t(empty)\t(empty)\tF\n#close\t2018-03-24\n",
			[]string{"ts ts", "id_orig_h inet", "port int id.orig_p", "note text", "tags jsonb", "ok bool"},
			"ts=2018-03-24 17:15:20.865716+00 id_orig_h=10.0.0.1 port=22 note=a\tb tags=[\"x\", \"y,z\"] ok=t\nts=2018-03-24 17:15:21+00 id_orig_h=10.0.0.2 note= tags=[] ok=f"},
		{"the rest", "ZEEK", nil, zeekLog + "1\t::1\t22\ta\tx,y\t-\n", []string{"ts ts", "r jsonb *"}, `ts=1970-01-01 00:00:01+00 r={"id.orig_h":"::1","id.orig_p":"22","note":"a","tags":"x,y"}`},
		{"wrong numbers of fields", "ZEEK", nil, zeekLog + "1\t::1\n1\t::1\t22\ta\tx\tT\tmore\n2\t::1\t22\ta\tx\tT\n", []string{"ts ts"}, "ts=1970-01-01 00:00:02+00\n" +
			"! 22P04 invalid Zeek log: the record has 2 fields, not 6 | 1\t::1\n! 22P04 invalid Zeek log: the record has more than 6 fields | 1\t::1\t22\ta\tx\tT\tmore"},
		{"no header", "ZEEK", nil, "1\t::1\n", []string{"ts ts"}, "! 22P04 invalid Zeek log: no #fields line comes before the record | 1\t::1"},
		{"JSON", "ZEEK", nil, `{"ts":1521911720.5,"id.orig_h":"10.0.0.1","id":{"orig_p":5}}` + "\n", []string{"ts ts", "id_orig_h inet", "id_orig_p int"}, "ts=2018-03-24 17:15:20.5+00 id_orig_h=10.0.0.1 id_orig_p=5"},
	})
}

func TestWindows(t *testing.T) {
	cols := []string{"ts ts", "eventid int", "targetusername text", "computer text"}
	const want = "ts=2021-05-14 20:40:16.839115+00 eventid=4625 targetusername=bob computer=c"
	runNamed(t, []namedCase{
		{"flattened", "WINDOWS", nil, `{"EventID":4625,"TimeCreated":"2021-05-14T20:40:16.839115000Z","TargetUserName":"bob","Computer":"c"}`, cols, want},
		{"nested", "WINDOWS", nil, `{"Event":{"System":{"EventID":{"#text":4625},"Computer":"c","TimeCreated":{"#attributes":{"SystemTime":"2021-05-14T20:40:16.839115Z"}}},"EventData":{"TargetUserName":"bob"}}}`, cols, want},
		{"of Winlogbeat", "WINDOWS", nil, `{"@timestamp":"2021-05-14T20:40:16.839115Z","winlog":{"event_id":"4625","computer_name":"c","event_data":{"TargetUserName":"bob"}}}`, cols, want},
	})
}

func TestRaw(t *testing.T) {
	runNamed(t, []namedCase{
		{"a line is a row", "RAW", nil, "one\n\ntwo\r\n", []string{"message text"}, "message=one\nmessage=two"},
		{"patterns", "GROK", map[string]string{"pattern": `%{IP:src} %{WORD:action:keyword} %{NUMBER:n}`, "pattern_2": `user (?<source.user>\w+)`}, "x 10.0.0.1 drop 5\nuser eve\nnothing\n",
			[]string{"src inet", "action text", "n int", "u text source.user", "r jsonb *"}, "src=10.0.0.1 action=drop n=5\nu=eve\n! 22P02 the line matches no pattern | nothing"},
		{"an access log", "GROK", map[string]string{"pattern": "%{COMBINEDAPACHELOG}"}, `10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 200 2326 "http://h/" "M \d"` + "\n",
			[]string{"timestamp ts", "clientip inet", "verb text", "request text", "response int", "agent text"}, `timestamp=2000-10-10 20:55:36+00 clientip=10.0.0.1 verb=GET request=/a?b=c response=200 agent=M \d`},
		{"lines without a match kept", "RAW", map[string]string{"pattern": "a=(?P<a>\\d+)", "mismatch": "keep"}, "a=1\nb\n", []string{"a int", "message text"}, "a=1 message=a=1\nmessage=b"},
	})
	for _, p := range []string{"(", "%{NOPE}", "(?=x)", "%{IP"} {
		_, err := newRaw(Options{Schema: lawSchema(), TimeCol: -1, Params: map[string]string{"pattern": p}})
		if (err == nil) != (p == "%{IP") {
			t.Errorf("%q: %v", p, err)
		}
	}
	for name := range grokPatterns {
		if _, err := compileGrok("%{" + name + ":x}"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFail2ban: the labelled lines of sshd give the address and the time of fail2ban's labels.
func TestFail2ban(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "events", "fail2ban", "sshd"))
	if err != nil {
		t.Skip("../shared/data/events/fail2ban is missing; put the shared material beside the checkout")
	}
	s := &types.Schema{Cols: []types.Column{benchColumn("ts", types.TimestampTZ), benchColumn("host", types.Text)}}
	d := newDecoder(t, "GROK", Options{Schema: s, TimeCol: -1, From: []string{"timestamp", "addr"}, Params: map[string]string{"header": "syslog",
		"pattern":   `^Failed \S+ for .*? ?from %{IP:addr} port \d+(?: ssh\d)?(?:: .*)?$`,
		"pattern_2": `authenticating user .* %{IP:addr} port \d+(?: \[preauth\])?$`, "pattern_3": `error for \S+ from %{IPORHOST:addr} via`,
		"pattern_4": `(?i)^.*\bfrom (?:\S*[@\[])?%{IP:addr}`, "pattern_5": `(?i)\buser \S* ?%{IP:addr}`, "pattern_6": `(?i)rhost=%{IPORHOST:addr}`,
		"pattern_7": `(?i)(?:by|with|for) (?:.* )?%{IP:addr}`, "pattern_8": `(?i)\bfrom %{IPORHOST:addr}`}})
	d.(Timed).At(types.EventTime(time.Date(2005, 8, 13, 12, 0, 0, 0, time.UTC).UnixMicro()), 0)
	labelled, hosts, dated, times := 0, 0, 0, 0
	var label struct {
		Time  string
		Match bool
		Host  string
	}
	for text := range bytes.Lines(data) {
		if _, js, ok := bytes.Cut(text, []byte("failJSON:")); ok && bytes.HasPrefix(text, []byte("#")) {
			label.Match, label.Host = false, ""
			_ = json.Unmarshal(js, &label) // a label that is no JSON labels nothing
			continue
		}
		if text[0] == '#' || !label.Match || !bytes.Contains(text, []byte(label.Host)) { // fail2ban knows some from the lines before
			label.Match = label.Match && text[0] == '#'
			continue
		}
		labelled++
		b := batch.New(s, nil)
		var rej []Reject
		d.Decode(text, b, 1, &rej)
		label.Match = false
		if b.N == 0 {
			t.Logf("%s: %v", text, rej)
			continue
		}
		if got := b.Cols[1].Value(0).Text(); strings.TrimPrefix(got, "::ffff:") == label.Host {
			hosts++
		} else {
			t.Logf("%s: %s, want %s", text, got, label.Host)
		}
		if monthOf(text) == 0 {
			continue // fail2ban gives times with a zone in a zone of its own
		}
		dated++
		if got := strings.Replace(b.Cols[0].Value(0).Text(), " ", "T", 1); strings.HasPrefix(got, label.Time) {
			times++
		} else {
			t.Logf("%s: %s, want %s", text, got, label.Time)
		}
	}
	t.Logf("%d labelled lines, %d addresses; %d with a time, %d equal", labelled, hosts, dated, times)
	if labelled < 90 || hosts < labelled-1 || dated < 80 || times != dated {
		t.Errorf("%d labelled lines, %d addresses; %d with a time, %d equal", labelled, hosts, dated, times)
	}
}

// TestECS compares columns that have ECS names with what Filebeat calls so.
func TestECS(t *testing.T) {
	for _, c := range []struct {
		format, prefix string
		cols           map[string]types.Kind
		events         int
	}{
		{"CEF", "x-pack/filebeat/module/cef/log/test/", map[string]types.Kind{"source.ip": types.Inet, "source.port": types.Int4, "destination.ip": types.Inet, "destination.port": types.Int4,
			"observer.vendor": types.Text, "observer.product": types.Text, "event.code": types.Text, "url.original": types.Text, "http.request.method": types.Text, "destination.user.name": types.Text}, 17},
		{"EVE", "x-pack/filebeat/module/suricata/eve/test/", map[string]types.Kind{"source.ip": types.Inet, "source.port": types.Int4, "destination.ip": types.Inet, "destination.port": types.Int4}, 60},
		{"ZEEK", "x-pack/filebeat/module/zeek/", map[string]types.Kind{"source.ip": types.Inet, "source.port": types.Int4, "destination.ip": types.Inet, "destination.port": types.Int4, "event.id": types.Text}, 14},
	} {
		g := golden{format: c.format, normalize: "ecs"}
		for name, k := range c.cols {
			g.column(name, k, "")
		}
		differ := func(e map[string]any, col string) bool { // Zeek has ICMP's type and code there, Filebeat nothing
			return c.format == "ZEEK" && e["network.transport"] == "icmp" && strings.HasSuffix(col, ".port")
		}
		events, values := g.run(t, beatsCases(t, c.prefix), differ)
		t.Logf("%s: %d events, %d values", c.format, events, values)
		if events != c.events {
			t.Errorf("%s: %d events", c.format, events)
		}
	}
}
