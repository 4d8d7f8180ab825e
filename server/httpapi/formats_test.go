package httpapi_test

import (
	"slices"
	"testing"
)

// TestFormats creates a stream of each format, posts records to it, one of them broken, and reads them, also after a restart.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	f := start(t, dir)
	cases := []struct{ name, create, body, query, want string }{
		{"syslog", "(ts TIMESTAMPTZ NOT NULL, host TEXT, app_name TEXT, pid INT FROM 'proc_id', message TEXT, rest JSONB FROM '*', WATERMARK FOR ts AS ts) WITH (format = 'syslog')",
			"<34>1 2026-01-05T10:00:00Z h sshd 5 - [o@1 ip=\"1.2.3.4\"] hello\nrubbish\n", "host, app_name, pid, message, rest", `h|sshd|5|hello|{"o@1.ip":"1.2.3.4"}`},
		{"cef", "(ts TIMESTAMPTZ NOT NULL FROM 'rt', src INET, name TEXT, WATERMARK FOR ts AS ts) FORMAT CEF",
			"CEF:0|v|p|1|7|worm stopped|10|src=10.0.0.1 rt=1767607200000\nCEF:0|v\n", "src, name, ts = '2026-01-05 10:00:00Z'", "10.0.0.1|worm stopped|t"},
		{"leef", "(ts TIMESTAMPTZ NOT NULL FROM 'devTime', src INET, event_id TEXT, WATERMARK FOR ts AS ts) FORMAT LEEF",
			"LEEF:1.0|v|p|1|7|src=10.0.0.1\tdevTime=Jan 5 2026 10:00:00\nLEEF:1.0|v|p|1|7|src=10.0.0.1\n", "src, event_id", "10.0.0.1|7"},
		{"kv", "(ts TIMESTAMPTZ NOT NULL, src INET, act TEXT, WATERMARK FOR ts AS ts) FORMAT KV (delimiter = ';')",
			"ts=2026-01-05 10:00:00; SRC=10.0.0.1 ; act=deny it\nsrc=1.2.3.4\n", "src, act", "10.0.0.1|deny it"},
		{"json", "(ts TIMESTAMPTZ NOT NULL FROM 'time.at', sig TEXT FROM 'alert.signature', first TEXT FROM 'dns.answers[0].rdata', rest JSONB FROM '*', WATERMARK FOR ts AS ts)",
			`{"time":{"at":"2026-01-05T10:00:00Z"},"alert":{"signature":"x"},"dns":{"answers":[{"rdata":"y"}]},"a":1}` + "\n" + `{"time":{}}`, "sig, first, rest ->> 'a'", "x|y|1"},
	}
	cases = append(cases, []struct{ name, create, body, query, want string }{
		{"zeek", "(ts TIMESTAMPTZ NOT NULL, source_ip INET, source_port INT, WATERMARK FOR ts AS ts) WITH (normalize = 'ecs') FORMAT ZEEK",
			"#separator \\x09\n#fields\tts\tid.orig_h\tid.orig_p\n1767607200.5\t10.0.0.1\t-\n1767607200.5\n", "source_ip, source_port IS NULL", "10.0.0.1|t"},
		{"eve", "(ts TIMESTAMPTZ NOT NULL, src_ip INET, alert_signature TEXT, WATERMARK FOR ts AS ts) FORMAT EVE",
			`{"timestamp":"2026-01-05T10:00:00.5-0100","src_ip":"10.0.0.1","alert":{"signature":"x"}}` + "\n{}\n", "src_ip, alert_signature", "10.0.0.1|x"},
		{"windows", "(ts TIMESTAMPTZ NOT NULL, eventid INT, user_name TEXT, WATERMARK FOR ts AS ts) WITH (format = 'windows', normalize = 'ecs')",
			`{"TimeCreated":"2026-01-05T10:00:00Z","EventID":4625,"TargetUserName":"bob"}` + "\n{}\n", "eventid, user_name", "4625|bob"},
		{"grok", "(ts TIMESTAMPTZ NOT NULL, src INET, message TEXT, WATERMARK FOR ts AS ts) FORMAT GROK (header = 'syslog', pattern = 'from %{IP:src}')",
			"2026-01-05T10:00:00Z h sshd[1]: login from 10.0.0.1\n2026-01-05T10:00:00Z h sshd[1]: bye\n", "src, message", "10.0.0.1|login from 10.0.0.1"},
	}...)
	for _, c := range cases {
		f.sql("CREATE STREAM " + c.name + "_events " + c.create)
		if status, got := f.do(request{"POST", "/v1/streams/" + c.name + "_events/events", "", c.body}); status != 200 || got != `{"accepted":1,"rejected":1}` {
			t.Errorf("%s: %d %s", c.name, status, got)
		}
	}
	check := func() {
		for _, c := range cases {
			if got := f.sql("SELECT " + c.query + " FROM " + c.name + "_events"); !slices.Equal(got, []string{c.want}) {
				t.Errorf("%s: %q, want %q", c.name, got, c.want)
			}
		}
	}
	check()
	f.stop()
	f = start(t, dir)
	check()
	if got := f.sql("SELECT stream, raw, reason FROM vigil.rejected"); len(got) != len(cases) {
		t.Errorf("rejects %q", got)
	}
}
