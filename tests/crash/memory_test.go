package crash

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

const (
	memoryMB    = 240
	memoryKeys  = 540_000
	memoryBatch = 2_000
	// memoryAgain is how many of the keys come twice, far from each other.
	memoryAgain = 2_000
)

// residentWatch looks at the resident memory of a process all the time.
type residentWatch struct {
	pid        int
	most       atomic.Int64 // bytes
	end, ended chan struct{}
}

func watchResident(pid int) *residentWatch {
	w := &residentWatch{pid: pid, end: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			w.most.Store(max(w.most.Load(), statusBytes(w.pid, "VmRSS")))
			select {
			case <-tick.C:
			case <-w.end:
				return
			}
		}
	}()
	return w
}

func (w *residentWatch) stop() int64 {
	close(w.end)
	<-w.ended
	return w.most.Load()
}

// statusBytes is a size in the status of a process, files and shared memory included in VmRSS; 0 when it is gone.
func statusBytes(pid int, name string) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

// metric is a value of /metrics.
func metric(t *testing.T, p *harness.Process, name string) float64 {
	t.Helper()
	res, err := http.Get("http://" + p.HTTP + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// postRows sends rows, again while the server asks for it.
func postRows(t *testing.T, p *harness.Process, body []byte) {
	t.Helper()
	for range 10_000 {
		res, err := http.Post("http://"+p.HTTP+"/v1/streams/s/events", "application/x-ndjson", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err, p.Log())
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		switch res.StatusCode {
		case http.StatusOK:
			return
		case http.StatusTooManyRequests:
		default:
			t.Fatalf("%d %s", res.StatusCode, text)
		}
	}
	t.Fatal("the server takes no more events")
}

// TestResidentMemory: a server that holds several times its budget in state never has more than the budget and a quarter in memory, files
// that it has mapped included, and what it finds is right.
func TestResidentMemory(t *testing.T) {
	if statusBytes(os.Getpid(), "VmRSS") == 0 {
		t.Skip("needs /proc, of Linux")
	}
	p := harness.Start(t, t.TempDir(), "--memory", fmt.Sprintf("%dMB", memoryMB), "--checkpoint-every", "4s")
	watch := watchResident(p.PID())
	c := p.Connect(t)
	harness.Exec(t, c, "CREATE STREAM s (ts TIMESTAMPTZ NOT NULL, k TEXT, n BIGINT, WATERMARK FOR ts AS ts)",
		"CREATE CONTINUOUS QUERY days AS SELECT k, count(*) AS c FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day') HAVING count(*) > 1",
		"CREATE CONTINUOUS QUERY weeks AS SELECT k, sum(n) AS total FROM s GROUP BY k, TUMBLE(ts, INTERVAL '7 days') HAVING count(*) > 1",
		"CREATE CONTINUOUS QUERY hops AS SELECT k, count(*) AS c FROM s GROUP BY k, HOP(ts, INTERVAL '1 day', INTERVAL '3 days') HAVING count(*) > 1",
		// As many results in one epoch as there are keys, and a query that reads them.
		"CREATE CONTINUOUS QUERY all_days AS SELECT k, count(*) AS c, window_end FROM s GROUP BY k, TUMBLE(ts, INTERVAL '1 day')",
		"CREATE CONTINUOUS QUERY days_again AS SELECT count(*) AS keys, sum(c) AS c FROM all_days GROUP BY TUMBLE(window_end, INTERVAL '1 day')")
	pad := strings.Repeat("x", 600)
	row := func(b *bytes.Buffer, minute, i int) {
		fmt.Fprintf(b, `{"ts":"2026-03-01T12:%02d:00Z","k":"%s%d","n":%d}`+"\n", minute, pad, i, i)
	}
	for from := 0; from < memoryKeys; from += memoryBatch {
		var b bytes.Buffer
		for i := range memoryBatch {
			row(&b, 1, from+i)
		}
		postRows(t, p, b.Bytes())
	}
	state := metric(t, p, "vigil_memory_state_bytes")
	t.Logf("after the keys came: resident at most %d MiB", watch.most.Load()>>20)
	for from := 0; from < memoryAgain; from += memoryBatch {
		var b bytes.Buffer
		for i := range memoryBatch {
			row(&b, 2, (from+i)*7919%memoryKeys)
		}
		postRows(t, p, b.Bytes())
	}
	t.Logf("after some came again: resident at most %d MiB", watch.most.Load()>>20)
	postRows(t, p, []byte(`{"ts":"2026-04-01T12:00:00Z","k":"end","n":1}`+"\n"))
	for query, want := range map[string]int{"all_days": memoryKeys, "days": memoryAgain, "weeks": memoryAgain, "hops": 3 * memoryAgain} {
		harness.WaitRows(t, c, "SELECT count(*) FROM "+query, func(rows []string) bool { return len(rows) == 1 && rows[0] == strconv.Itoa(want) })
	}
	harness.WaitRows(t, c, "SELECT keys::text || ' ' || c FROM days_again", func(rows []string) bool {
		return len(rows) == 1 && rows[0] == fmt.Sprintf("%d %d", memoryKeys, memoryKeys+memoryAgain)
	})
	if aside := metric(t, p, "vigil_results_set_aside_bytes_total"); aside < memoryKeys*600 {
		t.Errorf("%.0f bytes of results were set aside", aside)
	}
	most := watch.stop()
	t.Logf("budget %d MiB, state %d MiB, resident at most %d MiB", memoryMB, int(state)>>20, most>>20)
	if state < 5*memoryMB<<20 {
		t.Errorf("the state is %d MiB, not five times the budget", int(state)>>20)
	}
	if most > memoryMB<<20*5/4 {
		t.Errorf("%d MiB were in memory, the budget is %d MiB", most>>20, memoryMB)
	}
}
