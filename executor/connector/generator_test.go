package connector

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

func openGenerator(t testing.TB, from int64, kv ...string) Source {
	t.Helper()
	params := map[string]string{"connector": "generator", "start": "2024-01-01T00:00:00Z"}
	for i := 0; i < len(kv); i += 2 {
		params[kv[i]] = kv[i+1]
	}
	def := Builtins()[0]
	o := Options{Stream: "auth", Params: params, Format: "JSON"}
	if err := def.Check(o); err != nil {
		t.Fatal(err)
	}
	s, err := def.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(t.Context(), Offsets{0: from}); err != nil {
		t.Fatal(err)
	}
	return s
}

// readAll polls to the end and checks that offsets are gapless.
func readAll(t testing.TB, s Source, from int64, maxBytes int) []byte {
	t.Helper()
	var all []byte
	for {
		ps, err := s.Poll(t.Context(), nil, maxBytes)
		if err == io.EOF {
			return all
		}
		if err != nil || len(ps) == 0 {
			t.Fatal(err, len(ps))
		}
		for _, p := range ps {
			if p.From != from || int64(bytes.Count(p.Bytes, []byte("\n"))) != p.To-p.From {
				t.Fatalf("payload [%d, %d) after %d has %d lines", p.From, p.To, from, bytes.Count(p.Bytes, []byte("\n")))
			}
			from, all = p.To, append(all, p.Bytes...)
		}
	}
}

type netEvent struct {
	TS       time.Time
	Host     string
	Username string
	SrcIP    string `json:"src_ip"`
	Dst      string
	Action   string
	Bytes    int64
	Detail   map[string]any
}

func TestGeneratorIsAFunctionOfItsOffset(t *testing.T) {
	kv := []string{"rate", "0", "events", "70000", "seed", "7"}
	s := openGenerator(t, 0, kv...)
	all := readAll(t, s, 0, 1000)
	if again := readAll(t, openGenerator(t, 0, kv...), 0, 1<<20); !bytes.Equal(all, again) {
		t.Fatal("another run differs")
	}
	if other := readAll(t, openGenerator(t, 0, "rate", "0", "events", "70000", "seed", "8"), 0, 1<<20); bytes.Equal(all, other) {
		t.Fatal("another seed is the same")
	}
	lines := bytes.SplitAfter(all, []byte("\n"))
	for _, r := range [][2]int64{{0, 1}, {12345, 13000}, {69999, 70000}, {5, 5}} {
		ps, err := s.ReadRange(t.Context(), 0, r[0], r[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, p := range ps {
			got = append(got, p.Bytes...)
		}
		if !bytes.Equal(got, bytes.Join(lines[r[0]:r[1]], nil)) {
			t.Fatalf("range %v differs", r)
		}
	}
	if tail := readAll(t, openGenerator(t, 60000, kv...), 60000, 1<<20); !bytes.Equal(tail, bytes.Join(lines[60000:], nil)) {
		t.Fatal("a restart from an offset differs")
	}
	if _, err := s.ReadRange(t.Context(), 0, 0, 70001, nil); err == nil {
		t.Fatal("a range beyond the end was read")
	}
}

func TestGeneratorNetwork(t *testing.T) {
	all := readAll(t, openGenerator(t, 0, "rate", "0", "events", "40000"), 0, 1<<20)
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	denied := map[string]int{} // user, dst, 5 s window
	targets := map[string]map[string]bool{}
	hits, late, granted := 0, 0, 0
	var newest time.Time
	for i, line := range bytes.Split(bytes.TrimSpace(all), []byte("\n")) {
		var e netEvent
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		at := start.Add(time.Duration(i) * time.Millisecond)
		if e.TS.After(at) || at.Sub(e.TS) >= time.Second {
			t.Fatalf("event %d of %v has time %v", i, at, e.TS)
		}
		if e.TS.Before(newest) {
			late++
		} else {
			newest = e.TS
		}
		second := e.TS.Unix() / 5
		if e.Action == "denied" {
			denied[fmt.Sprint(e.Username, e.Dst, second)]++
		} else if e.Action == "granted" && denied[fmt.Sprint(e.Username, e.Dst, second)] > 10 {
			granted++
		}
		if e.Action == "connect" {
			k := fmt.Sprint(e.SrcIP, second)
			if targets[k] == nil {
				targets[k] = map[string]bool{}
			}
			targets[k][e.Dst] = true
		}
		if slices.Contains(GeneratorIndicators(), e.Dst) {
			hits++
		}
	}
	brute, scans := 0, 0
	for _, n := range denied {
		if n > 10 {
			brute++
		}
	}
	for _, m := range targets {
		if len(m) > 150 {
			scans++
		}
	}
	// Two periods: two of each.
	if brute != 2 || granted != 2 || scans != 2 || hits != 2*len(GeneratorIndicators()) || late < 2000 {
		t.Fatalf("brute forces %d (then granted %d), scans %d, indicator contacts %d, late events %d", brute, granted, scans, hits, late)
	}
}

func TestGeneratorWaves(t *testing.T) {
	all := readAll(t, openGenerator(t, 0, "rate", "0", "events", "3000", "scenario", "waves"), 0, 1<<20)
	sums, counts := map[string]float64{}, map[string]int{}
	for _, line := range bytes.Split(bytes.TrimSpace(all), []byte("\n")) {
		var e struct {
			TS     time.Time
			Source string
			Cnl    float64
		}
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		k := fmt.Sprint(e.Source, e.TS.Unix())
		sums[k] += e.Cnl
		counts[k]++
	}
	want := map[string]float64{"sawtooth": 4.5, "sinewave": 0, "squarewave": 5}
	if len(sums) != 300 {
		t.Fatalf("%d cycles", len(sums))
	}
	for k, sum := range sums {
		name := k[:len(k)-len("1704067200")]
		if math.Abs(sum-want[name]) > 1e-9 || counts[k] != 10 {
			t.Errorf("%s: sum %v of %d values", k, sum, counts[k])
		}
	}
}

func TestGeneratorPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := openGenerator(t, 0, "rate", "100")
		begun := time.Now()
		for to := int64(0); to < 300; {
			ps, err := s.Poll(t.Context(), nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			to = ps[len(ps)-1].To
			if due := 1 + int64(time.Since(begun)/(10*time.Millisecond)); to > due || to < due-1 {
				t.Fatalf("%d events after %v", to, time.Since(begun))
			}
		}
		time.Sleep(time.Hour) // held up: what follows is not an hour at once
		ps, err := s.Poll(t.Context(), nil, 1<<20)
		if err != nil || ps[0].To-ps[0].From > 101 {
			t.Fatal(ps[0].To-ps[0].From, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := s.Poll(ctx, nil, 1<<20); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
	})
}

func TestGeneratorOptions(t *testing.T) {
	for _, kv := range [][2]string{{"rat", "1"}, {"rate", "x"}, {"rate", "-1"}, {"scenario", "war"}, {"start", "soon"}, {"hosts", "0"}} {
		err := Builtins()[0].Check(Options{Params: map[string]string{kv[0]: kv[1]}})
		if sqlerr.CodeOf(err) != sqlerr.InvalidParameterValue {
			t.Errorf("%v: %v", kv, err)
		}
	}
	if err := Builtins()[0].Check(Options{Format: "CSV"}); sqlerr.CodeOf(err) != sqlerr.FeatureNotSupported {
		t.Error(err)
	}
}

func BenchmarkGenerator(b *testing.B) {
	n := network{seed: 1, hosts: 200, users: 500, perSecond: 1000}.prepared()
	var buf []byte
	for i := 0; b.Loop(); i++ {
		buf = n.appendEvent(buf[:0], int64(i))
	}
}
