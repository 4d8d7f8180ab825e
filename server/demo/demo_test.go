package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/server"
)

// quick is the size of the windows here: a demonstration over a log ends two of them after two seconds of silence.
const quick = 250 * time.Millisecond

// runLogFile shows a log to the end and returns what was printed.
func runLogFile(t *testing.T, name, format string, window time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := Run(ctx, Options{Dir: t.TempDir(), PG: "127.0.0.1:0", HTTP: "127.0.0.1:0", Log: name, Format: format, LogWindow: window,
		Once: true, Terminal: true, Out: &out, Server: server.Config{Workers: 2}})
	if ctx.Err() != nil {
		t.Fatalf("it did not end by itself\n%s", out.String())
	}
	return out.String(), err
}

func writeLog(t *testing.T, name, text string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	var packed bytes.Buffer
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(&packed)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		text = packed.String()
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// lines repeats a JSON line n times, a millisecond apart from the start of a second on; its verbs take milliseconds and i.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format+"\n", i, i)
	}
	return b.String()
}

func alerts(out string) (list []string) {
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "ALERT ") {
			list = append(list, strings.Join(strings.Fields(line)[1:], " "))
		}
	}
	return list
}

// TestLogs runs each format with one burst that alerts, in the window that is open when the log ends, and rows that do not.
func TestLogs(t *testing.T) {
	for _, c := range []struct{ name, format, file, text, want string }{
		{"json", "json", "a.ndjson",
			`{"ts":"2026-01-05T10:00:01.900Z","src_ip":"192.0.2.9","n":1.5}` + "\n" + "{broken\n" +
				lines(60, `{"ts":"2026-01-05T10:00:02.%03dZ","src_ip":"192.0.2.1","n":%d}`),
			"2026-01-05 10:00:02 bursts src_ip=192.0.2.1 n=60"},
		{"gzip", "json", "a.ndjson.gz", lines(50, `{"@timestamp":"2026-01-05T10:00:02.%03dZ","user":"ann","seq":%d}`),
			"2026-01-05 10:00:02 bursts user=ann n=50"},
		{"evtx", "evtx", "e.json",
			lines(12, `{"@timestamp":"2026-01-05T10:00:02.%03dZ","EventID":4625,"IpAddress":"192.0.2.7","TargetUserName":"u%d"}`) +
				lines(30, `{"@timestamp":"2026-01-05T10:00:02.%03dZ","EventID":4624,"IpAddress":"192.0.2.8","TargetUserName":"v%d"}`) +
				lines(10, `{"@timestamp":"2026-01-05T10:00:02.%03dZ","EventID":4625,"IpAddress":"192.0.2.9","TargetUserName":"w%d"}`),
			"2026-01-05 10:00:02 failed_logons IpAddress=192.0.2.7 failures=12 users=12"},
		{"zeek", "zeek", "conn.log",
			lines(50, `{"ts":1767607202.%03d,"id.orig_h":"192.0.2.3","id.resp_h":"198.51.100.%d"}`) +
				lines(49, `{"ts":1767607202.%03d,"id.orig_h":"192.0.2.4","id.resp_h":"198.51.100.%d"}`),
			"2026-01-05 10:00:02 many_connections id.orig_h=192.0.2.3 n=50 targets=50"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := runLogFile(t, writeLog(t, c.file, c.text), c.format, quick)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if got := alerts(out); len(got) != 1 || got[0] != c.want {
				t.Errorf("alerts %q, want %q\n%s", got, c.want, out)
			}
			if rejected := strings.Contains(out, "(1 rejected)"); rejected != (c.name == "json") {
				t.Errorf("the broken line is not told of, or told of where there is none\n%s", out)
			}
		})
	}
}

// TestLogErrors: what cannot be shown ends with a message that says what is wrong, and does not wait for alerts.
func TestLogErrors(t *testing.T) {
	for _, c := range []struct{ name, format, text, want string }{
		{"no JSON", "json", "Jan  5 10:00:02 host sshd[1]: Failed password\n", "not JSON objects"},
		{"empty", "json", "", "not JSON objects"},
		{"no time", "json", `{"a":1}` + "\n", "no column holds the time"},
		{"other format", "zeek", `{"ts":"2026-01-05T10:00:02Z","a":1}` + "\n", `no column "id.orig_h"`},
		{"unknown format", "pcap", `{"ts":"2026-01-05T10:00:02Z","a":1}` + "\n", "STREAM_FORMAT=pcap is not known"},
		{"times that are none", "json", `{"ts":"yesterday, maybe","a":1}` + "\n", "none of its 1 lines is an event"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			out, err := runLogFile(t, writeLog(t, "log", c.text), c.format, quick)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q\n%s", err, c.want, out)
			}
		})
	}
	if _, err := runLogFile(t, filepath.Join(t.TempDir(), "missing"), "json", quick); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
