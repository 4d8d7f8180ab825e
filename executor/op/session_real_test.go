package op

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/need"
)

// TestSessionsOfRealTraffic: the sessions of a capture's RDP log, whose rows are out of order, are those that a brute-force
// script found.
func TestSessionsOfRealTraffic(t *testing.T) {
	text, err := os.ReadFile(need.Shared(t, "data/events/expected-windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	type answer struct {
		Orig  string    `json:"orig_h"`
		Resp  string    `json:"resp_h"`
		Start time.Time `json:"session_start"`
		Last  time.Time `json:"last_event"`
		N     int64
	}
	var questions []struct {
		ID   string
		Rows json.RawMessage
	}
	if err := json.Unmarshal(text, &questions); err != nil {
		t.Fatal(err)
	}
	const gap = 30e6
	var want []string
	for _, q := range questions {
		if q.ID != "rdp_session_30s" {
			continue
		}
		var rows []answer
		if err := json.Unmarshal(q.Rows, &rows); err != nil {
			t.Fatal(err)
		}
		for _, a := range rows {
			want = append(want, windowText(a.Start.UnixMicro(), a.Last.UnixMicro()+gap, a.Orig+" "+a.Resp, fmt.Sprint(a.N)))
		}
	}
	slices.Sort(want)
	rows := rdpRows(t)
	if len(want) == 0 || len(rows) < 4000 {
		t.Fatalf("%d answers, %d rows", len(want), len(rows))
	}
	s := sessionSpec(t, gap, 0)
	s.Aggs = []spec.AggCall{aggOf(t, "count")}
	for _, mode := range []spec.EmitMode{spec.EmitFinal, spec.EmitUpdate} {
		s.Emit.Mode = mode
		d := &driver{t: t, rng: rand.New(rand.NewPCG(1, 2)), batchMax: 50, restarts: true, build: func() unaligned { return newSession(t, s, countOver(19)) }}
		d.run(rows)
		sameRows(t, fmt.Sprint("mode ", mode), d.out.sorted(), want)
		if d.late != 0 || d.restarted == 0 {
			t.Errorf("%d late rows, %d restarts", d.late, d.restarted)
		}
	}
}

// rdpRows reads the log; its rows are up to minutes out of order.
func rdpRows(t *testing.T) (rows []eventRow) {
	t.Helper()
	f, err := os.Open(need.Shared(t, "data/events/zeek-json/rdp.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	newest := int64(types.MinTime)
	wm, behind := newest, 0
	for d := json.NewDecoder(z); d.More(); {
		var line struct {
			TS   time.Time `json:"ts"`
			Orig string    `json:"id.orig_h"`
			Resp string    `json:"id.resp_h"`
		}
		if err := d.Decode(&line); err != nil {
			t.Fatal(err)
		}
		at := line.TS.UnixMicro()
		if at < newest {
			behind++
		}
		rows = append(rows, eventRow{t: at, user: line.Orig + " " + line.Resp, wm: wm})
		newest = max(newest, at)
		wm = max(wm, newest-30*60e6)
	}
	if behind == 0 {
		t.Fatal("the rows are in order")
	}
	return rows
}
