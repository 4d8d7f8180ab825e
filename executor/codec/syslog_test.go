package codec

import (
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// named decodes text with a format into columns given as "name type from" and prints the rows and rejects.
func decodeNamed(t *testing.T, format string, params map[string]string, text string, cols ...string) string {
	t.Helper()
	s := &types.Schema{}
	var from []string
	kinds := map[string]types.Kind{"text": types.Text, "int": types.Int8, "ts": types.TimestampTZ, "jsonb": types.JSONB, "inet": types.Inet, "bool": types.Bool}
	for _, c := range cols {
		f := append(strings.Fields(c), "")
		s.Cols, from = append(s.Cols, types.Column{Name: f[0], Type: types.T(kinds[f[1]])}), append(from, f[2])
	}
	d := newDecoder(t, format, Options{Schema: s, TimeCol: -1, From: from, Params: params})
	if timed, ok := d.(Timed); ok {
		timed.At(types.EventTime(time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC).UnixMicro()), 0)
	}
	rows, rejects := decodeAll(t, d, s, []byte(text), 100)
	for i, r := range rejects {
		rejects[i] = "! " + r
	}
	return strings.Join(append(rows, rejects...), "\n")
}

type namedCase struct {
	what, format string
	params       map[string]string
	text         string
	cols         []string
	want         string
}

func runNamed(t *testing.T, cases []namedCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			if got := decodeNamed(t, c.format, c.params, c.text, c.cols...); got != c.want {
				t.Errorf("%q\n got %s\nwant %s", c.text, got, c.want)
			}
		})
	}
}

func TestSyslog(t *testing.T) {
	header := []string{"facility text", "severity text", "ts ts", "host text", "app_name text", "proc_id text", "msg_id text", "message text", "structured_data jsonb"}
	runNamed(t, []namedCase{
		{"5424 with structured data", "SYSLOG", nil,
			`<165>1 2003-10-11T22:14:15.003Z mymachine.example.com evntslog - ID47 [exampleSDID@32473 iut="3" eventSource="App\"lic\]ation\\" x="C:\a"][ex2@1] ` + "\ufeffAn application event", header,
			`facility=local4 severity=notice ts=2003-10-11 22:14:15.003+00 host=mymachine.example.com app_name=evntslog msg_id=ID47 message=An application event structured_data={"exampleSDID@32473":{"iut":"3","eventSource":"App\"lic]ation\\","x":"C:\\a"},"ex2@1":{}}`},
		{"numbers of facility and severity", "SYSLOG", nil, "<34>Oct 11 22:14:15 mymachine su: 'su root' failed\n", []string{"facility int", "severity int", "priority int"}, "facility=4 severity=2 priority=34"},
		{"the year of a timestamp without one", "SYSLOG", nil, "<34>Oct 11 22:14:15 m su: a\n<34>Mar  2 11:00:00 m su: b\n<34>Mar  2 13:00:00 m su: c\n<34>Feb 29 00:00:00 m su: d\n",
			[]string{"ts ts"}, "ts=2023-10-11 22:14:15+00\nts=2024-03-02 11:00:00+00\nts=2023-03-02 13:00:00+00\nts=2024-02-29 00:00:00+00"},
		{"a year and a zone by option", "SYSLOG", map[string]string{"year": "2005", "timezone": "Europe/Berlin"}, "<34>Jul 11 22:14:15 m su: a\n<34>1 2024-07-01T00:00:00Z m su - - - b\n2024-07-01T00:00:00 m su: c\n",
			[]string{"ts ts"}, "ts=2005-07-11 20:14:15+00\nts=2024-07-01 00:00:00+00\nts=2024-06-30 22:00:00+00"},
		{"no timestamp: the arrival", "SYSLOG", nil, "<13>su: hello\n", []string{"ts ts", "app_name text", "message text"}, "ts=2024-03-01 12:00:00+00 app_name=su message=hello"},
		{"no host", "SYSLOG", nil, "<13>Feb  1 00:00:00 sshd[12]: hello\nFeb  1 00:00:00 %ASA-6-302013: Built\nFeb 1 2024 00:00:01 fw : %ASA-4-1: x\n",
			[]string{"host text", "app_name text", "proc_id int", "message text"}, "app_name=sshd proc_id=12 message=hello\napp_name=%ASA-6-302013 message=Built\nhost=fw message=: %ASA-4-1: x"},
		{"octet counting and lines", "SYSLOG", nil, "33 <13>Feb  1 00:00:00 h a: two\nline<13>Feb  1 00:00:00 h a: one\n\n31 <13>Feb  1 00:00:00 h a: three!",
			[]string{"message text"}, "message=two\nline\nmessage=one\nmessage=three!"},
		{"a count that is too large loses its line only", "SYSLOG", nil, "99 <13>Feb  1 00:00:00 h a: x\n<13>Feb  1 00:00:00 h a: y\n", []string{"message text"},
			"message=y\n! 22P02 syslog: the octet count is malformed or does not fit the message | 99 <13>Feb  1 00:00:00 h a: x"},
		{"parameters and the rest", "SYSLOG", nil, `<13>1 2024-01-01T00:00:00Z h a - - [x@1 user="eve" n="5" q="\"s"] m`, []string{"u text x@1.user", "rest jsonb *"}, `u=eve rest={"x@1.n":"5","x@1.q":"\"s"}`},
		{"malformed ones", "SYSLOG", nil, "<192>x\nhello\n<13>1 yesterday h a - - - m\n<13>1 - h a - - [x y] m\n", []string{"message text"},
			"! 22P02 invalid syslog message: the priority is malformed | <192>x\n! 22P02 invalid syslog message: there is neither a priority nor a timestamp | hello\n" +
				"! 22P02 invalid syslog message: the timestamp is malformed | <13>1 yesterday h a - - - m\n! 22P02 invalid syslog message: the structured data is malformed | <13>1 - h a - - [x y] m"},
	})
}

func TestCEFAndLEEF(t *testing.T) {
	runNamed(t, []namedCase{
		{"escapes", "CEF", nil, `CEF:0|sec\|ur|prod\\uct|1.0|100|name|10|msg=a\=b\nc \\ d src=10.0.0.1 request=http://h/?a=b&c=d  act=`, []string{"device_vendor text", "device_product text", "msg text", "src inet", "request text", "act text", "severity int"},
			`device_vendor=sec|ur device_product=prod\uct msg=a=b` + "\n" + `c \ d src=10.0.0.1 request=http://h/?a=b&c=d act= severity=10`},
		{"behind syslog, full names, rest", "CEF", nil, "<134>Feb 14 19:04:54 host CEF:0|v|p|1|100|trojan|Very-High|sourceAddress=10.0.0.1 dpt=5 rt=Feb 14 2024 19:04:54 cs1Label=Rule cs1=a b\n",
			[]string{"ts ts timestamp", "host text", "src inet", "destinationPort int", "rt ts", "facility text", "severity text", "rest jsonb *"},
			`ts=2024-02-14 19:04:54+00 host=host src=10.0.0.1 destinationPort=5 rt=2024-02-14 19:04:54+00 facility=local0 severity=Very-High rest={"cs1Label":"Rule","cs1":"a b"}`},
		{"something else before it", "CEF", nil, "2024 gateway CEF:0|v|p|1|100|n|1|src=1.2.3.4\n", []string{"src inet", "host text"}, "src=1.2.3.4"},
		{"LEEF 1", "LEEF", nil, "LEEF:1.0|Microsoft|MSExchange|4.0 SP1|15345|src=192.0.2.0\tdst=172.50.123.1\tsev=5\tusrName=joe black\tdevTime=Feb 14 2024 19:04:54.123 UTC\n",
			[]string{"vendor text", "event_id int", "src inet", "usrName text", "devtime ts", "rest jsonb *"}, `vendor=Microsoft event_id=15345 src=192.0.2.0 usrName=joe black devtime=2024-02-14 19:04:54.123+00 rest={"dst":"172.50.123.1","sev":"5"}`},
		{"LEEF 2 and its separators", "LEEF", nil, "<13>1 2024-01-01T00:00:00Z h a - - - LEEF:2.0|v|p|1|e|^|a=1^b=2 3\nLEEF:2.0|v|p|1|e|x7C|a=1|b=2\nLEEF:2.0|v|p|1|e||a=1\tb=2\nLEEF:2.0|v|p|1|e|a=1\tb=2\n",
			[]string{"a text", "b text", "host text"}, "a=1 b=2 3 host=h\na=1 b=2\na=1 b=2\na=1 b=2"},
	})
}

func TestKV(t *testing.T) {
	runNamed(t, []namedCase{
		{"logfmt", "KV", nil, `ts=2024-02-14T19:04:54Z level=info msg="a \"quoted\" text\n" path="C:\Windows\x41" debug dur=` + "\n", []string{"ts ts", "level text", "msg text", "path text", "debug bool", "dur text"},
			`ts=2024-02-14 19:04:54+00 level=info msg=a "quoted" text` + "\n" + ` path=C:\WindowsA debug=t dur=`},
		{"a firewall", "KV", map[string]string{"header": "syslog"}, `<189>date=2024-04-23 time=12:17:45 devname="FG 1" srcip=10.0.0.1 srcport=5 eventtime=1587622665000000000 note=` + "\n", []string{"srcip inet", "devname text", "eventtime ts", "severity text", "note int", "rest jsonb *"},
			`srcip=10.0.0.1 devname=FG 1 eventtime=2020-04-23 06:17:45+00 severity=notice rest={"date":"2024-04-23","time":"12:17:45","srcport":"5"}`},
		{"other separators", "KV", map[string]string{"delimiter": ";", "separator": ":"}, "user : root ; cmd: /bin/ls -l;flag\n", []string{"user text", "cmd text", "flag bool"}, "user=root cmd=/bin/ls -l flag=t"},
		{"the first of two counts", "KV", nil, "user=root user=eve\n", []string{"user text"}, "user=root"},
		{"pairs within a value", "KV", nil, "msg=audit(1.2:3): pid=7 msg='op=PAM:auth acct=\"a'b\" exe=\"/bin/su\" res=success'\x1dUID=\"root\"\nmsg='it is' pid=8\nmsg='it is' op='b'\nmsg='a=1 b='c=2' pid=9\n",
			[]string{"msg text", "pid int", "op text", "acct text", "res text", "uid text"}, "msg=audit(1.2:3): pid=7 op=PAM:auth acct=a'b res=success uid=root\nmsg='it pid=8\nmsg='it op='b'\nmsg=a=1 b='c=2 pid=9"},
		{"an open quote within a value", "KV", nil, "msg='a=\"1' pid=1\n", []string{"msg text", "pid int"}, "! 22P02 invalid key=value line: a quoted value does not end | msg='a=\"1' pid=1"},
		{"an open quote", "KV", nil, "a=1 b=\"x\na=2\n", []string{"a int"}, "a=2\n! 22P02 invalid key=value line: a quoted value does not end | a=1 b=\"x"},
		{"a value that does not fit", "KV", nil, "a=x\n", []string{"a int"}, `! 22P02 column "a": invalid input syntax for type bigint: "x" | a=x`},
	})
}

// TestKVLinear: many opening single quotes cost no more than the line's length.
func TestKVLinear(t *testing.T) {
	s := &types.Schema{Cols: []types.Column{benchColumn("a", types.Text)}}
	d := newDecoder(t, "KV", Options{Schema: s, TimeCol: -1})
	took := func(n int, piece string) time.Duration {
		payload := []byte(strings.Repeat(piece, n) + "\n")
		best := time.Hour
		for range 3 {
			b := batch.New(s, nil)
			var rej []Reject
			start := time.Now()
			if d.Decode(payload, b, 1, &rej); b.N != 1 {
				t.Fatal(b.N, rej)
			}
			best = min(best, time.Since(start))
		}
		return best
	}
	for _, piece := range []string{"a='b ", "a='b' ", "a='b ' ", "a='b=c' "} {
		if small, large := took(4000, piece), took(80000, piece); large > 100*small+time.Millisecond {
			t.Errorf("%q: %v for 4,000, %v for 80,000", piece, small, large)
		}
	}
}
