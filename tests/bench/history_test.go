package bench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/inproc"
)

// historyRows is the number of events of a day.
const historyRows = 500_000

// BenchmarkHistory counts the events of an hour, and those of the whole day by the same stream: the first by the index of the
// event log, the second by reading all of it. It also reads one column and all of them.
func BenchmarkHistory(b *testing.B) {
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(begin.Add(24 * time.Hour))})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Exec("CREATE STREAM s (ts TIMESTAMPTZ, host TEXT, n BIGINT, bytes BIGINT, note TEXT, WATERMARK FOR ts AS ts) WITH (retention = '30 days') FORMAT JSON"); err != nil {
		b.Fatal(err)
	}
	var buf bytes.Buffer
	for i := range historyRows {
		at := begin.Add(24 * time.Hour / historyRows * time.Duration(i))
		fmt.Fprintf(&buf, `{"ts":%q,"host":"host-%d","n":%d,"bytes":%d,"note":"logon of user %d from 10.0.%d.%d"}`+"\n", at.Format(time.RFC3339Nano), i%97, i, i*7%1500, i%1013, i%251, i%241)
		if buf.Len() > 512<<10 || i == historyRows-1 {
			if _, err := db.Append("s", bytes.Clone(buf.Bytes())); err != nil {
				b.Fatal(err)
			}
			buf.Reset()
		}
	}
	measure := func(sql, want string) time.Duration {
		start := time.Now()
		rows, err := db.Rows(sql)
		if err != nil || want != "" && fmt.Sprint(rows) != want {
			b.Fatal(sql, rows, err)
		}
		return time.Since(start)
	}
	all := fmt.Sprintf("[[%d]]", historyRows)
	first := measure("SELECT count(*) FROM s", all) // checks all columns, once
	for b.Loop() {
		whole := measure("SELECT count(*) FROM s WHERE ts >= '2026-03-01 00:00:00Z'", all)
		hour := measure("SELECT count(*) FROM s WHERE ts >= '2026-03-01 12:00:00Z' AND ts < '2026-03-01 13:00:00Z'", "")
		wide := measure("SELECT count(host), count(n), count(bytes), count(note) FROM s WHERE ts >= '2026-03-01 00:00:00Z'", "")
		b.ReportMetric(float64(whole)/float64(hour), "whole/hour")
		b.ReportMetric(float64(wide)/float64(whole), "wide/narrow")
		b.ReportMetric(float64(first)/float64(whole), "first/later")
		b.ReportMetric(float64(historyRows)/whole.Seconds()/1e6, "Mrows/s")
	}
}
