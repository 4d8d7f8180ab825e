package seeds

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/need"
)

// zeekEvent is what the join needs of a Zeek log.
type zeekEvent struct {
	TS      time.Time `json:"ts"`
	WriteTS time.Time `json:"_write_ts"`
	UID     string    `json:"uid"`
	Orig    string    `json:"id.orig_h"`
	Resp    string    `json:"id.resp_h"`
	port    int
}

func zeekEvents(t *testing.T, port int, file string) []zeekEvent {
	var out []zeekEvent
	for line := range strings.Lines(string(gunzip(t, "data/events/zeek-json/"+file+".json.gz"))) {
		e := zeekEvent{port: port}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// pairsState is a checkpoint in memory, made anew by the first snapshots of workers.
type pairsState struct {
	slices []int64
	blocks map[int64][][]byte
}

func (s *pairsState) Block(slice int64, data []byte) error {
	if s.blocks[slice] == nil {
		s.slices = append(s.slices, slice)
	}
	s.blocks[slice] = append(s.blocks[slice], data)
	return nil
}

func (s *pairsState) Drop(slice int64) error {
	delete(s.blocks, slice)
	s.slices = slices.DeleteFunc(s.slices, func(x int64) bool { return x == slice })
	return nil
}

func (s *pairsState) Rewrite(int64) error { return nil }

func (s *pairsState) Blocks(fn func(int64, []byte) error) error {
	for _, slice := range s.slices {
		for _, b := range s.blocks[slice] {
			if err := fn(slice, b); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairsRun joins events in several workers, which are replaced by others from a checkpoint now and then.
type pairsRun struct {
	t       *testing.T
	spec    *spec.IntervalJoin
	schema  *types.Schema
	router  *op.Router
	workers []*op.IntervalJoin
	marks   [2]int64
	pairs   []string
	behind  int
	late    int64
	state   pairsState
}

// Emit implements op.Emitter.
func (r *pairsRun) Emit(in op.Input) error {
	for _, i := range in.Sel {
		r.pairs = append(r.pairs, string(in.B.Cols[1].Bytes(int(i)))+","+string(in.B.Cols[5].Bytes(int(i))))
	}
	return nil
}

func (r *pairsRun) start(n int) {
	r.workers = nil
	for range n {
		j, err := op.NewIntervalJoin(r.spec, r.schema, r.schema)
		if err == nil {
			err = j.Open(&expr.Ctx{})
		}
		if err != nil {
			r.t.Fatal(err)
		}
		r.workers = append(r.workers, j)
	}
}

func (r *pairsRun) restart(n int) {
	r.state = pairsState{blocks: map[int64][][]byte{}}
	for _, w := range r.workers {
		if err := w.Snapshot(&r.state); err != nil {
			r.t.Fatal(err)
		}
		r.late += w.LateRows()
	}
	r.start(n)
	for i, w := range r.workers {
		if err := w.Restore(&r.state, func(h uint64) bool { return op.Owner(h, n) == i }); err != nil {
			r.t.Fatal(err)
		}
	}
}

// run feeds a run of events of one port, each measured against its stream's watermark, which is delay behind.
func (r *pairsRun) run(events []zeekEvent, delay int64) {
	b := batch.New(r.schema, nil)
	port := events[0].port
	for _, e := range events {
		ts := e.TS.UnixMicro()
		if ts < r.marks[port] {
			b.Behind = append(b.Behind, batch.Behind{Row: uint32(b.N), Watermark: types.EventTime(r.marks[port])})
			r.behind++
		}
		b.AppendRow([]types.Value{types.NewTime(types.EventTime(ts)), types.NewText(e.UID), types.NewText(e.Orig), types.NewText(e.Resp)})
		r.marks[port] = max(r.marks[port], ts-delay)
	}
	parts := make([]op.Part, len(r.workers))
	if err := r.router.Route(op.Input{B: b, Sel: batch.All(b.N)}, parts); err != nil {
		r.t.Fatal(err)
	}
	watermark := types.EventTime(min(r.marks[0], r.marks[1]))
	for i, w := range r.workers {
		in := parts[i].Input(b)
		in.Several, in.Others = true, types.EventTime(r.marks[1-port])
		if err := w.Process(port, in, r); err != nil {
			r.t.Fatal(err)
		}
		if w.Deadline() <= watermark {
			if err := w.Advance(watermark, r); err != nil {
				r.t.Fatal(err)
			}
		}
	}
}

// TestZeekJoin joins remote desktop connections with the NTLM logons between the same hosts in the minute, or the twenty minutes, that
// follow. The logs are in the order of writing, so that times go back.
func TestZeekJoin(t *testing.T) {
	data, err := os.ReadFile(need.Shared(t, "data/events/expected-windows.json"))
	if err != nil {
		t.Fatal(err)
	}
	var questions []struct {
		ID     string
		Count  int
		Sha256 string `json:"sha256_of_sorted_pairs"`
	}
	if err := json.Unmarshal(data, &questions); err != nil {
		t.Fatal(err)
	}
	events := append(zeekEvents(t, 0, "rdp"), zeekEvents(t, 1, "ntlm")...)
	slices.SortStableFunc(events, func(a, b zeekEvent) int { return a.WriteTS.Compare(b.WriteTS) })
	asked := 0
	for _, q := range questions {
		within := map[string]time.Duration{"join_rdp_ntlm_1m": time.Minute, "join_rdp_ntlm_20m": 20 * time.Minute}[q.ID]
		if within == 0 {
			continue
		}
		asked++
		text := types.T(types.Text)
		schema := &types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "uid", Type: text}, {Name: "orig", Type: text}, {Name: "resp", Type: text}}}
		keys := []expr.Expr{&expr.Column{Index: 2, Name: "orig", Typ: text}, &expr.Column{Index: 3, Name: "resp", Typ: text}}
		router, err := op.NewRouter(&spec.Exchange{Keys: keys})
		if err != nil {
			t.Fatal(err)
		}
		router.Open(&expr.Ctx{})
		// Rows may be five minutes behind; the lateness lets those in that are behind the watermark.
		r := &pairsRun{t: t, schema: schema, router: router, state: pairsState{blocks: map[int64][][]byte{}}, spec: &spec.IntervalJoin{LeftKeys: keys, RightKeys: keys,
			Hi: within.Microseconds(), Lateness: (5 * time.Minute).Microseconds()}}
		r.start(3)
		restarts := 0
		for i := 0; i < len(events); {
			n := i + 1
			for n < len(events) && n < i+200 && events[n].port == events[i].port {
				n++
			}
			r.run(events[i:n], (10 * time.Second).Microseconds())
			if n/1000 > i/1000 {
				r.restart(1 + restarts%4)
				restarts++
			}
			i = n
		}
		for _, w := range r.workers {
			r.late += w.LateRows()
		}
		slices.Sort(r.pairs)
		sum := sha256.Sum256([]byte(strings.Join(r.pairs, "\n")))
		if got := hex.EncodeToString(sum[:]); len(r.pairs) != q.Count || got != q.Sha256 {
			t.Errorf("%s: %d pairs with hash %s, want %d with %s; %d rows late", q.ID, len(r.pairs), got, q.Count, q.Sha256, r.late)
		}
		if restarts < 3 || r.behind == 0 {
			t.Errorf("%s: %d restarts, %d rows behind the watermark", q.ID, restarts, r.behind)
		}
	}
	if asked != 2 {
		t.Errorf("%d questions asked", asked)
	}
}
