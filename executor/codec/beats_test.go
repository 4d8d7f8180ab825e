package codec

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// beatsCase is a log of the Beats modules' tests, with the events that Filebeat makes of it.
type beatsCase struct {
	name string
	log  []byte
	// events have log.offset, where the event's first line begins.
	events []map[string]any
}

// beatsCases reads the logs whose path has a prefix.
func beatsCases(t testing.TB, prefix string) (out []beatsCase) {
	t.Helper()
	z, err := zip.OpenReader(filepath.Join("..", "..", "..", "shared", "data", "events", "vendor-logs", "beats-module-tests.zip"))
	if err != nil {
		t.Skip("../shared/data/events/vendor-logs is missing; put the shared material beside the checkout")
	}
	defer z.Close()
	read := func(f *zip.File) []byte {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	logs := map[string][]byte{}
	for _, f := range z.File {
		if strings.HasPrefix(f.Name, prefix) && strings.HasSuffix(f.Name, ".log") {
			logs[f.Name] = read(f)
		}
	}
	for _, f := range z.File {
		log := logs[strings.TrimSuffix(f.Name, "-expected.json")]
		if log == nil || !strings.HasSuffix(f.Name, "-expected.json") {
			continue
		}
		c := beatsCase{name: strings.TrimPrefix(strings.TrimSuffix(f.Name, "-expected.json"), prefix), log: log}
		if err := json.Unmarshal(read(f), &c.events); err != nil {
			t.Fatal(f.Name, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		t.Fatalf("no log has the prefix %s", prefix)
	}
	return out
}

// line is the log's line at an event's offset.
func (c *beatsCase) line(e map[string]any) []byte {
	return c.log[int(e["log.offset"].(float64)):][:lineLen(c.log[int(e["log.offset"].(float64)):])]
}

// golden compares rows with what somebody else made of the same events.
type golden struct {
	format    string
	normalize string
	params    map[string]string
	cols      []types.Column
	from      []string
	keys      []string // the keys of the expected events, by column; nil: the columns' names
	arrival   time.Time
	heading   bool // the log's first line comes before each event
	millis    bool // the events' times have milliseconds only
}

// column adds a column and the field it is filled from; the column's name is the expected event's key.
func (g *golden) column(name string, k types.Kind, from string) {
	g.cols, g.from = append(g.cols, types.Column{Name: name, Type: types.T(k)}), append(g.from, from)
}

// text is a value as it is compared.
func (g *golden) text(v types.Value) string {
	if g.millis && v.Type.Kind == types.TimestampTZ {
		v.I -= v.I % 1000
	}
	return v.Text()
}

// run decodes each event's line and compares every column with the event's value; differ tells which differences are meant. It
// returns the number of events and of values that are equal.
func (g *golden) run(t *testing.T, cases []beatsCase, differ func(e map[string]any, col string) bool) (events, values int) {
	t.Helper()
	s := &types.Schema{Cols: g.cols}
	d := newDecoder(t, g.format, Options{Schema: s, TimeCol: -1, From: g.from, Params: g.params, Normalize: g.normalize})
	if timed, ok := d.(Timed); ok {
		timed.At(types.EventTime(g.arrival.UnixMicro()), 0)
	}
	for _, c := range cases {
		for _, e := range c.events {
			raw := c.line(e)
			if g.heading {
				raw = append(bytes.Clone(c.log[:lineLen(c.log)]), raw...)
			}
			b := batch.New(s, nil)
			var rej []Reject
			if n := d.Decode(bytes.Clone(raw), b, 10, &rej); n != len(raw) || b.N != 1 || len(rej) != 0 {
				t.Errorf("%s: %q: %d rows, rejects %v", c.name, raw, b.N, rej)
				continue
			}
			events++
			for i := range s.Cols {
				name := s.Cols[i].Name
				if g.keys != nil {
					name = g.keys[i]
				}
				got, want := "NULL", "NULL"
				if !b.Cols[i].IsNull(0) {
					got = g.text(b.Cols[i].Value(0))
				}
				if v, ok := e[name]; ok {
					want = strings.TrimSuffix(fmt.Sprintf("%v", v), "\n")
					if f, ok := v.(float64); ok {
						want = types.NewFloat(f).Text()
					}
					if x, err := types.ParseText(s.Cols[i].Type, want, nil); err == nil {
						want = x.Text()
					}
				}
				if got != want && (differ == nil || !differ(e, name)) {
					t.Errorf("%s: %q: %s is %q, want %q", c.name, raw, name, got, want)
				}
				if want != "NULL" && got == want {
					values++
				}
			}
		}
	}
	return events, values
}

func TestSyslogAsBeats(t *testing.T) {
	g := golden{format: "SYSLOG", arrival: time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)}
	g.column("host.hostname", types.Text, "hostname")
	g.column("process.name", types.Text, "app_name")
	g.column("process.pid", types.Int8, "proc_id")
	g.column("message", types.Text, "message")
	differ := func(e map[string]any, col string) bool {
		name, _ := e["process.name"].(string)
		_, multi := e["log.flags"]
		switch {
		case multi && col == "message": // vigil reads lines
			return true
		case strings.HasPrefix(name, "com.apple.xpc.launchd[1] ("): // Filebeat takes the service for a part of the name
			return true
		}
		return false
	}
	events, values := g.run(t, beatsCases(t, "filebeat/module/system/syslog/test/"), differ)
	t.Logf("%d events, %d values", events, values)
	if events != 108 {
		t.Errorf("%d events", events)
	}
}

func TestSyslogHeaderAsBeats(t *testing.T) {
	g := golden{format: "SYSLOG", arrival: time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)}
	g.column("host.hostname", types.Text, "hostname")
	g.column("process.name", types.Text, "app_name")
	g.column("process.pid", types.Int8, "proc_id")
	events, values := g.run(t, beatsCases(t, "filebeat/module/system/auth/test/"), nil)
	t.Logf("%d events, %d values", events, values)
	if events != 212 {
		t.Errorf("%d events", events)
	}
}

func TestCEFAsBeats(t *testing.T) {
	g := golden{format: "CEF"}
	cases := beatsCases(t, "x-pack/filebeat/module/cef/log/test/")
	seen := map[string]bool{}
	for _, c := range cases {
		for _, e := range c.events {
			for k, v := range e {
				rest, ok := strings.CutPrefix(k, "cef.extensions.")
				if _, isText := v.(string); !ok || seen[k] || !isText && !strings.HasSuffix(k, "Port") && !strings.HasSuffix(k, "Id") {
					continue
				}
				seen[k] = true
				kind := types.Text
				if strings.HasSuffix(k, "Time") || strings.Contains(k, "CustomDate") && !strings.HasSuffix(k, "Label") {
					continue // compared in TestCEFTimes
				}
				g.column(k, kind, rest)
			}
		}
	}
	g.column("cef.version", types.Text, "cef_version")
	g.column("cef.device.vendor", types.Text, "device_vendor")
	g.column("cef.device.product", types.Text, "device_product")
	g.column("cef.device.version", types.Text, "device_version")
	g.column("cef.device.event_class_id", types.Text, "signature_id")
	g.column("cef.name", types.Text, "name")
	g.column("cef.severity", types.Text, "severity")
	events, values := g.run(t, cases, nil)
	t.Logf("%d events, %d values of %d fields", events, values, len(g.cols))
	if events != 17 {
		t.Errorf("%d events", events)
	}
}

func TestKVAsBeats(t *testing.T) {
	g := golden{format: "KV", params: map[string]string{"header": "syslog"}, arrival: time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)}
	g.column("source.ip", types.Inet, "SRC")
	g.column("destination.ip", types.Inet, "DST")
	g.column("source.port", types.Int4, "SPT")
	g.column("destination.port", types.Int4, "DPT")
	g.column("iptables.ttl", types.Int4, "TTL")
	g.column("iptables.id", types.Int8, "ID")
	g.column("iptables.length", types.Int8, "LEN")
	g.column("iptables.input_device", types.Text, "IN")
	g.column("iptables.output_device", types.Text, "OUT")
	g.column("iptables.icmp.code", types.Int4, "CODE")
	differ := func(e map[string]any, col string) bool {
		line, _ := e["event.original"].(string)
		switch col {
		case "iptables.ttl": // Filebeat takes HOPLIMIT, and what is left of TTL in lines that were cut
			return !strings.Contains(line, " TTL=")
		case "iptables.id", "source.port", "destination.port": // ICMP has an id of its own, and quotes the packet that it is about
			return strings.Contains(line, " PROTO=ICMP")
		}
		return false
	}
	events, values := g.run(t, beatsCases(t, "x-pack/filebeat/module/iptables/log/test/"), differ)
	t.Logf("%d events, %d values", events, values)
	if events != 34 {
		t.Errorf("%d events", events)
	}
}
