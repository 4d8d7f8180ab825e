package codec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/valyala/fastjson"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// thesisSchema has the four columns that the demonstration rule reads.
func thesisSchema() *types.Schema {
	return &types.Schema{Cols: []types.Column{
		{Name: "ts", Type: types.T(types.TimestampTZ), NotNull: true},
		{Name: "username", Type: types.T(types.Text)},
		{Name: "dst", Type: types.T(types.Text)},
		{Name: "action", Type: types.T(types.Text)},
	}}
}

// thesisEvents makes n lines of 10 fields, 289 bytes on average.
func thesisEvents(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	actions := []string{"granted", "granted", "denied", "logout", "connect"}
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"ts":"2024-05-06T07:%02d:%02d.%03dZ","host":"srv-%d.corp.example.com","username":"user%d","src_ip":"10.%d.%d.%d",`+
			`"dst":"192.168.%d.%d","port":%d,"action":"%s","bytes":%d,"session_id":"%016x%08x","message":"pam_unix(sshd:auth): authentication %s; logname= uid=0 euid=0 tty=ssh"}`+"\n",
			i/60000%60, i/1000%60, i%1000, r.IntN(500), r.IntN(10000), r.IntN(256), r.IntN(256), r.IntN(256), r.IntN(4), r.IntN(256),
			r.IntN(65536), actions[r.IntN(len(actions))], r.IntN(1000000), r.Uint64(), r.Uint32(), []string{"failure", "success", "refused by policy"}[r.IntN(3)])
	}
	return b.Bytes()
}

const benchEvents = 20000

func perEvent(b *testing.B, data []byte) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchEvents, "ns/event")
	b.ReportMetric(float64(len(data))/benchEvents, "bytes/event")
}

func BenchmarkJSON(b *testing.B) {
	data := thesisEvents(benchEvents)
	d, err := newJSON(Options{Schema: thesisSchema(), TimeCol: 0})
	if err != nil {
		b.Fatal(err)
	}
	rows := batch.New(thesisSchema(), nil)
	var rej []Reject
	b.ReportAllocs()
	for b.Loop() {
		for p := data; len(p) > 0; {
			rows.Reset(nil)
			p = p[d.Decode(p, rows, batch.RowsMax, &rej):]
		}
	}
	if len(rej) != 0 {
		b.Fatal(rej[0].Err)
	}
	perEvent(b, data)
}

// BenchmarkFastJSON is the straight program that many would write: parse, then four Gets.
func BenchmarkFastJSON(b *testing.B) {
	data := thesisEvents(benchEvents)
	rows := batch.New(thesisSchema(), nil)
	var parser fastjson.Parser
	var tp timeParser
	b.ReportAllocs()
	for b.Loop() {
		for p := data; len(p) > 0; {
			if rows.N++; rows.N > batch.RowsMax {
				rows.Reset(nil)
			}
			n := bytes.IndexByte(p, '\n')
			v, err := parser.ParseBytes(p[:n])
			if err != nil {
				b.Fatal(err)
			}
			t, _ := tp.parse(v.GetStringBytes("ts"))
			rows.Cols[0].AppendInt(t)
			rows.Cols[1].AppendBytes(v.GetStringBytes("username"))
			rows.Cols[2].AppendBytes(v.GetStringBytes("dst"))
			rows.Cols[3].AppendBytes(v.GetStringBytes("action"))
			p = p[n+1:]
		}
	}
	perEvent(b, data)
}

func BenchmarkEncodingJSON(b *testing.B) {
	data := thesisEvents(benchEvents)
	b.ReportAllocs()
	for b.Loop() {
		for p := data; len(p) > 0; {
			n := bytes.IndexByte(p, '\n')
			var e struct{ TS, Username, Dst, Action string }
			if err := json.Unmarshal(p[:n], &e); err != nil {
				b.Fatal(err)
			}
			p = p[n+1:]
		}
	}
	perEvent(b, data)
}
