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
