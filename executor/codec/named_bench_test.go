package codec

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// benchNamed decodes 1,024 records again and again; the allocations are per record.
func benchNamed(b *testing.B, format string, params map[string]string, record func(i int) string, cols ...types.Column) {
	s := &types.Schema{Cols: cols}
	var payload bytes.Buffer
	for i := range batch.RowsMax {
		payload.WriteString(record(i))
	}
	var d Decoder
	for _, def := range Builtins() {
		if def.Name == format {
			var err error
			if d, err = def.New(Options{Schema: s, TimeCol: 0, Params: params}); err != nil {
				b.Fatal(err)
			}
		}
	}
	out := batch.New(s, nil)
	var rej []Reject
	b.SetBytes(int64(payload.Len() / batch.RowsMax))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if n%batch.RowsMax != 0 {
			continue // one round is one record
		}
		out.Reset(nil)
		if d.Decode(payload.Bytes(), out, batch.RowsMax, &rej); out.N != batch.RowsMax || len(rej) > 0 {
			b.Fatal(out.N, rej)
		}
	}
}

func benchColumn(name string, k types.Kind) types.Column {
	return types.Column{Name: name, Type: types.T(k)}
}

func BenchmarkSyslog3164(b *testing.B) {
	benchNamed(b, "SYSLOG", nil, func(i int) string {
		return fmt.Sprintf("<38>Feb 21 21:%02d:12 host-%d sshd[%d]: Failed password for root from 10.0.%d.%d port 29160 ssh2\n", i/60%60, i%50, i, i/256, i%256)
	}, benchColumn("ts", types.TimestampTZ), benchColumn("host", types.Text), benchColumn("app_name", types.Text), benchColumn("proc_id", types.Int4), benchColumn("severity", types.Text), benchColumn("message", types.Text))
}

func BenchmarkSyslog5424(b *testing.B) {
	benchNamed(b, "SYSLOG", nil, func(i int) string {
		return fmt.Sprintf("<38>1 2024-02-21T21:%02d:12.123456Z host-%d sshd %d - [x@1 user=\"u%d\"] Failed password for root from 10.0.%d.%d port 29160 ssh2\n", i/60%60, i%50, i, i%9, i/256, i%256)
	}, benchColumn("ts", types.TimestampTZ), benchColumn("host", types.Text), benchColumn("app_name", types.Text), benchColumn("proc_id", types.Int4), benchColumn("structured_data", types.JSONB), benchColumn("message", types.Text))
}

func BenchmarkCEF(b *testing.B) {
	benchNamed(b, "CEF", nil, func(i int) string {
		return fmt.Sprintf("CEF:0|Vendor|Product|1.0|100|Connection|5|rt=1543270652%03d src=10.0.%d.%d spt=%d dst=10.1.2.3 dpt=443 act=Drop proto=TCP suser=user%d msg=a text of some words\n", i%1000, i/256, i%256, i, i%50)
	}, benchColumn("rt", types.TimestampTZ), benchColumn("src", types.Inet), benchColumn("dst", types.Inet), benchColumn("dpt", types.Int4), benchColumn("act", types.Text), benchColumn("suser", types.Text))
}

func BenchmarkLEEF(b *testing.B) {
	benchNamed(b, "LEEF", nil, func(i int) string {
		return fmt.Sprintf("LEEF:1.0|Vendor|Product|1.0|100|devTime=1543270652%03d\tsrc=10.0.%d.%d\tsrcPort=%d\tdst=10.1.2.3\tdstPort=443\tusrName=user%d\n", i%1000, i/256, i%256, i, i%50)
	}, benchColumn("devtime", types.TimestampTZ), benchColumn("src", types.Inet), benchColumn("dst", types.Inet), benchColumn("dstport", types.Int4), benchColumn("usrname", types.Text))
}

func BenchmarkKV(b *testing.B) {
	benchNamed(b, "KV", nil, func(i int) string {
		return fmt.Sprintf("eventtime=1543270652%03d devname=\"FG 1\" srcip=10.0.%d.%d srcport=%d dstip=10.1.2.3 dstport=443 action=\"deny\" user=\"user%d\"\n", i%1000, i/256, i%256, i, i%50)
	}, benchColumn("eventtime", types.TimestampTZ), benchColumn("srcip", types.Inet), benchColumn("dstip", types.Inet), benchColumn("dstport", types.Int4), benchColumn("action", types.Text), benchColumn("user", types.Text))
}

func BenchmarkZeek(b *testing.B) {
	benchNamed(b, "ZEEK", nil, func(i int) string {
		head := ""
		if i == 0 {
			head = "#separator \\x09\n#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tservice\tduration\n#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tstring\tinterval\n"
		}
		return head + fmt.Sprintf("1521911720.%06d\tCXWv6p3arKYeMETxOg%d\t10.0.%d.%d\t%d\t10.1.2.3\t443\ttcp\t-\t0.25\n", i, i, i/256, i%256, i)
	}, benchColumn("ts", types.TimestampTZ), benchColumn("id_orig_h", types.Inet), benchColumn("id_resp_h", types.Inet), benchColumn("id_resp_p", types.Int4), benchColumn("proto", types.Text), benchColumn("service", types.Text))
}

func BenchmarkEVE(b *testing.B) {
	benchNamed(b, "EVE", nil, func(i int) string {
		return fmt.Sprintf(`{"timestamp":"2024-02-21T21:%02d:12.123456+0000","flow_id":%d,"event_type":"alert","src_ip":"10.0.%d.%d","src_port":%d,"dest_ip":"10.1.2.3","dest_port":443,"proto":"TCP",`+
			`"alert":{"action":"allowed","gid":1,"signature_id":2018959,"rev":3,"signature":"ET POLICY PE EXE or DLL Windows file download HTTP","category":"Potential Corporate Privacy Violation","severity":1}}`+"\n",
			i/60%60, i, i/256, i%256, i)
	}, benchColumn("ts", types.TimestampTZ), benchColumn("src_ip", types.Inet), benchColumn("dest_port", types.Int4), benchColumn("alert_signature", types.Text), benchColumn("alert_severity", types.Int4))
}

func BenchmarkWindows(b *testing.B) {
	benchNamed(b, "WINDOWS", nil, func(i int) string {
		return fmt.Sprintf(`{"EventID":4625,"TimeCreated":"2021-05-14T20:%02d:16.839115Z","Channel":"Security","Hostname":"host-%d","TargetUserName":"user%d","TargetDomainName":"CORP","LogonType":3,"IpAddress":"10.0.%d.%d","Status":"0xc000006d"}`+"\n",
			i/60%60, i%50, i%99, i/256, i%256)
	}, benchColumn("ts", types.TimestampTZ), benchColumn("eventid", types.Int4), benchColumn("computer", types.Text), benchColumn("targetusername", types.Text), benchColumn("ipaddress", types.Inet))
}

func BenchmarkRaw(b *testing.B) {
	benchNamed(b, "RAW", map[string]string{"header": "syslog"}, sshLine, benchColumn("ts", types.TimestampTZ), benchColumn("host", types.Text), benchColumn("message", types.Text))
}

func BenchmarkGrok(b *testing.B) {
	benchNamed(b, "GROK", map[string]string{"header": "syslog", "pattern": `Failed password for (?:invalid user )?%{USERNAME:login} from %{IP:src} port %{INT:port}`}, sshLine,
		benchColumn("ts", types.TimestampTZ), benchColumn("host", types.Text), benchColumn("login", types.Text), benchColumn("src", types.Inet), benchColumn("port", types.Int4))
}

func sshLine(i int) string {
	return fmt.Sprintf("<38>Feb 21 21:%02d:12 host-%d sshd[%d]: Failed password for root from 10.0.%d.%d port 29160 ssh2\n", i/60%60, i%50, i, i/256, i%256)
}
