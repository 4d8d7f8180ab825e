package sink

import (
	"bufio"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/types"
)

func columns(kv ...any) (cols []types.Column, row []types.Value) {
	for i := 0; i < len(kv); i += 2 {
		v := kv[i+1].(types.Value)
		cols, row = append(cols, types.Column{Name: kv[i].(string), Type: v.Type}), append(row, v)
	}
	return cols, row
}

func mustText(t *testing.T, k types.Kind, text string) types.Value {
	t.Helper()
	v, err := types.ParseText(types.T(k), text, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFormats: rows as the formats have them, with what must be escaped, and their keys.
func TestFormats(t *testing.T) {
	cols, row := columns("ts", mustText(t, types.TimestampTZ, "2026-03-01 12:00:00.123456Z"), "src_ip", mustText(t, types.Inet, "10.0.0.1"),
		"src_addr", types.NewText("again"), "what", types.NewText("a=b|c\\d\n\"e\""), "nothing", types.Null(types.T(types.Text)),
		"detail", types.Value{Type: types.T(types.JSON), S: "{\n  \"x\": [1,\n 2]}"})
	base := Spec{QueryName: "brute|force", Columns: cols, Severity: 8, Options: map[string]string{"key": "src_ip"}}
	for _, c := range []struct {
		name, format string
		options      map[string]string
		id, key      string
		op           batch.Op
		want         string
		text         string
	}{
		{"json", "", nil, idField, "src_ip", batch.Insert, `{"_vigil_id":"7:42","ts":"2026-03-01T12:00:00.123456Z","src_ip":"10.0.0.1","src_addr":"again",` +
			`"what":"a=b|c\\d\n\"e\"","nothing":null,"detail":{"x":[1,2]}}`, "10.0.0.1"},
		{"json without id", "JSON", nil, "none", "src_ip, what", batch.Delete, `{"vigil_op":"-D","ts":"2026-03-01T12:00:00.123456Z","src_ip":"10.0.0.1","src_addr":"again",` +
			`"what":"a=b|c\\d\n\"e\"","nothing":null,"detail":{"x":[1,2]}}`, `["10.0.0.1","a=b|c\\d\n\"e\""]`},
		{"key without a value", "JSON", nil, "i d", "nothing", batch.Insert, `{"i d":"7:42","ts":"2026-03-01T12:00:00.123456Z","src_ip":"10.0.0.1","src_addr":"again",` +
			`"what":"a=b|c\\d\n\"e\"","nothing":null,"detail":{"x":[1,2]}}`, ""},
		{"cef", "CEF", nil, idField, "src_ip", batch.Insert, `CEF:0|vigil|vigil|1|brute\|force|brute\|force|8|vigil_id=7:42 rt=1772366400123 src=10.0.0.1 src_addr=again ` +
			`what=a\=b|c\\d\n"e" detail={\n  "x": [1,\n 2]}`, "10.0.0.1"},
		{"cef with options", "CEF", map[string]string{"vendor": "us", "severity": "3", "name": "x\ny", "key.what": "msg"}, "none", "src_ip", batch.UpdateAfter,
			`CEF:0|us|vigil|1|brute\|force|x y|3|vigilOp=+U rt=1772366400123 src=10.0.0.1 src_addr=again msg=a\=b|c\\d\n"e" detail={\n  "x": [1,\n 2]}`, "10.0.0.1"},
	} {
		s := base
		s.Format, s.FormatOptions, s.Options = c.format, c.options, map[string]string{"key": c.key}
		e, err := newEncoder(&s, c.id)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := string(e.row([]byte("before"), encoded{id: "7:42", op: byte(c.op), vals: row})); got != "before"+c.want {
			t.Errorf("%s:\n got %s\nwant before%s", c.name, got, c.want)
		}
		if got := string(e.key(nil, row)); got != c.text {
			t.Errorf("%s: key %s, want %s", c.name, got, c.text)
		}
	}
}

// receiver takes syslog messages with octet counting from one connection.
func receiver(t *testing.T, l net.Listener, n int) (messages []string) {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Error(err)
		return nil
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for range n {
		size, err := r.ReadString(' ')
		if err != nil {
			t.Error(err)
			return messages
		}
		count, err := strconv.Atoi(strings.TrimSuffix(size, " "))
		if err != nil {
			t.Error(err)
			return messages
		}
		b := make([]byte, count)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Error(err)
			return messages
		}
		messages = append(messages, string(b))
	}
	return messages
}

func syslogTo(t *testing.T, address string, more ...string) connector.Sink {
	t.Helper()
	params := map[string]string{"address": address, "hostname": "ho st"}
	for i := 0; i < len(more); i += 2 {
		params[more[i]] = more[i+1]
	}
	d := syslogDef()
	s, err := d.New(connector.SinkOptions{Params: params, Query: "brüte force"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSyslog: the messages, and a receiver that closes the connection: what it did not take is sent again on another one.
func TestSyslog(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := syslogTo(t, l.Addr().String(), "facility", "1")
	clock := time.Date(2026, 3, 1, 12, 0, 0, 5000, time.UTC).UnixMicro()
	rows := []connector.SinkRow{{ID: "7:0", Clock: clock, Severity: 8, Body: []byte("line\nbreak")}, {ID: "7:1", Clock: clock, Severity: 1, Body: []byte("two")}}
	want := []string{"<11>1 2026-03-01T12:00:00.000005Z ho_st vigil - br_te_force - line\nbreak", "<14>1 2026-03-01T12:00:00.000005Z ho_st vigil - br_te_force - two"}
	for round := range 2 {
		got := make(chan []string)
		go func() { got <- receiver(t, l, 2) }()
		if _, err := s.Open(t.Context(), connector.SinkPosition{}); err != nil {
			t.Fatal(err)
		}
		d, err := s.Deliver(t.Context(), rows)
		messages := <-got // and the connection is closed
		if len(messages) != 2 || messages[0] != want[0] || messages[1] != want[1] {
			t.Fatalf("round %d: %q, %v", round, messages, err)
		}
		if err != nil { // it was closed before Deliver looked: to be sent again
			continue
		}
		if d.Done != 2 {
			t.Fatal(d)
		}
		if d, err := s.Deliver(t.Context(), rows); err == nil || d.Done != 0 {
			t.Errorf("round %d: delivered to a connection that the receiver has closed: %+v %v", round, d, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	s = syslogTo(t, u.LocalAddr().String(), "protocol", "udp", "facility", "1")
	if _, err := s.Open(t.Context(), connector.SinkPosition{}); err != nil {
		t.Fatal(err)
	}
	rows = append(rows, connector.SinkRow{ID: "7:2", Body: make([]byte, datagramMax+1)})
	if d, err := s.Deliver(t.Context(), rows); err != nil || d.Done != 3 || len(d.Dead) != 1 || d.Dead[0].Row != 2 {
		t.Fatal(d, err)
	}
	for i := range 2 {
		b := make([]byte, 1000)
		n, _, err := u.ReadFrom(b)
		if err != nil || string(b[:n]) != want[i] {
			t.Errorf("datagram %d: %q %v", i, b[:n], err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
