package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

var background = context.Background()

func openLog(t testing.TB, fs FS, segmentBytes int64) *Log {
	t.Helper()
	l, err := Open(Options{Dir: "log", FS: fs, SegmentBytes: segmentBytes})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entry(payload string) Entry { return Entry{Arrival: 7, Codec: "json", Payload: []byte(payload)} }

func mustAppend(t testing.TB, l *Log, entries ...Entry) (from, to int64) {
	t.Helper()
	from, to, duplicate, err := l.Append(background, entries)
	if err != nil || duplicate {
		t.Fatalf("append: duplicate %v, error %v", duplicate, err)
	}
	return from, to
}

// readAll reads to the end and checks that offsets are gapless but for damaged places, which it counts.
func readAll(t testing.TB, l *Log, from int64) (got []Entry, damaged int) {
	t.Helper()
	r := l.NewReader(from)
	defer r.Close()
	at := r.Offset()
	for {
		e, err := r.Next()
		var c *CorruptError
		switch {
		case err == io.EOF:
			if at != l.End() {
				t.Fatalf("reading ended at %d, the log at %d", at, l.End())
			}
			return got, damaged
		case errors.As(err, &c):
			if c.Offset != at || c.Resume <= at {
				t.Fatalf("at %d: %v", at, c)
			}
			damaged++
			at = c.Resume
		case err != nil:
			t.Fatal(err)
		default:
			if e.Offset != at || e.Next <= e.Offset {
				t.Fatalf("at %d: entry at %d..%d", at, e.Offset, e.Next)
			}
			at = e.Next
			got = append(got, e)
		}
	}
}

func payloads(entries []Entry) (list []string) {
	for _, e := range entries {
		list = append(list, string(e.Payload))
	}
	return list
}

func TestAppendRead(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, 0)
	want := []Entry{
		{Arrival: -5, Codec: "", Columns: nil, Key: "", Payload: nil},
		{Arrival: 1 << 60, Codec: strings.Repeat("c", codecMax), Columns: []int{}, Payload: []byte("x")},
		{Arrival: 3, Codec: "csv", Columns: []int{0, 300, 5}, Key: strings.Repeat("k", keyMax), Payload: make([]byte, windowBytes*2)},
		{Arrival: 4, Codec: "csv", Columns: make([]int, columnsMax), Payload: make([]byte, windowBytes/4)},
	}
	for _, e := range want {
		mustAppend(t, l, e)
	}
	for range 2 {
		got, _ := readAll(t, l, 0)
		if len(got) != len(want) {
			t.Fatalf("%d entries", len(got))
		}
		for i := range want {
			e := got[i]
			e.Offset, e.Next = 0, 0
			if len(e.Payload) == 0 {
				e.Payload = nil
			}
			if !reflect.DeepEqual(e, want[i]) {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		l = openLog(t, fs, 0)
	}
}

func TestTooLarge(t *testing.T) {
	l := openLog(t, NewMemFS(), 0)
	big := make([]byte, payloadMax)
	for name, entries := range map[string][]Entry{
		"payload": {{Payload: make([]byte, payloadMax+1)}},
		"codec":   {{Codec: strings.Repeat("c", codecMax+1)}},
		"columns": {{Columns: make([]int, columnsMax+1)}},
		"column":  {{Columns: []int{-1}}},
		"key":     {{Key: strings.Repeat("k", keyMax+1)}},
		"append":  {{Payload: big}, {Payload: big}, {Payload: big}},
	} {
		if _, _, _, err := l.Append(background, entries); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if l.End() != 0 {
		t.Errorf("something was written: end %d", l.End())
	}
	from, to := mustAppend(t, l, Entry{Payload: big})
	if got, _ := readAll(t, l, from); len(got) != 1 || got[0].Next != to || len(got[0].Payload) != payloadMax {
		t.Error("the largest payload does not come back")
	}
}

// TestGroupCommit: many appenders share a sync, everyone gets their own place, and the order of each is kept.
func TestGroupCommit(t *testing.T) { synctest.Test(t, checkGroupCommit) }

func checkGroupCommit(t *testing.T) {
	fs := NewMemFS()
	slow := &slowSync{FS: fs, gate: make(chan struct{})}
	l := openLog(t, slow, 0)
	const appenders, each = 20, 25
	var wg sync.WaitGroup
	var mu sync.Mutex
	where := map[string]int64{}
	before := fs.Syncs()
	slow.on.Store(true)
	for a := range appenders {
		wg.Go(func() {
			for i := range each {
				p := fmt.Sprintf("%d/%d", a, i)
				from, _, _, err := l.Append(background, []Entry{entry(p)})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				where[p] = from
				mu.Unlock()
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		synctest.Wait() // all stand at the gate or in the queue
		select {
		case slow.gate <- struct{}{}: // lets one sync happen
		case <-done:
			running = false
		}
	}
	got, _ := readAll(t, l, 0)
	if len(got) != appenders*each {
		t.Fatalf("%d entries", len(got))
	}
	next := map[string]int{}
	for _, e := range got {
		who, num, _ := strings.Cut(string(e.Payload), "/")
		if num != fmt.Sprint(next[who]) {
			t.Fatalf("%s comes instead of number %d", e.Payload, next[who])
		}
		next[who]++
		if where[string(e.Payload)] != e.Offset {
			t.Fatalf("%s is at %d, its appender was told %d", e.Payload, e.Offset, where[string(e.Payload)])
		}
	}
	syncs := fs.Syncs() - before
	if m := l.Metrics(); m.Syncs != syncs || m.Appends != appenders*each || m.Entries != m.Appends {
		t.Errorf("metrics %+v, %d syncs", m, syncs)
	}
	if syncs > 3*each {
		t.Errorf("%d syncs for %d appends", syncs, appenders*each)
	}
}

func TestIdempotency(t *testing.T) {
	fs := NewMemFS()
	l := openLog(t, fs, segmentBytesMin)
	type place struct{ from, to int64 }
	first := map[string]place{}
	for i := range 800 { // several segments
		k := fmt.Sprint("key", i)
		from, to := mustAppend(t, l, Entry{Key: k, Payload: []byte("one")}, Entry{Payload: []byte("two")})
		first[k] = place{from, to}
	}
	check := func(when string) {
		t.Helper()
		end := l.End()
		for k, p := range first {
			from, to, duplicate, err := l.Append(background, []Entry{{Key: k, Payload: []byte("again")}})
			if err != nil || !duplicate || from != p.from || to != p.to {
				t.Fatalf("%s: %s: %d..%d duplicate %v, error %v, want %+v", when, k, from, to, duplicate, err, p)
			}
		}
		if l.End() != end {
			t.Fatalf("%s: duplicates were written", when)
		}
	}
	check("at once")
	if m := l.Metrics(); m.Duplicates != 800 || m.Segments < 5 {
		t.Fatalf("metrics %+v", m)
	}
	l = openLog(t, fs.Crash(nil), segmentBytesMin) // most segments have a sidecar, the last has not
	check("after a crash")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, l.o.FS, segmentBytesMin)
	check("after Close")
}

// TestIdempotencyInFlight: a second append of a key that is being written waits for the first and reports its place.
func TestIdempotencyInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowSync{FS: NewMemFS(), gate: make(chan struct{})}
		l := openLog(t, slow, 0)
		slow.on.Store(true)
		type answer struct {
			from      int64
			duplicate bool
			err       error
		}
		answers := make(chan answer, 3)
		for range 3 {
			go func() {
				from, _, duplicate, err := l.Append(background, []Entry{{Key: "k", Payload: []byte("p")}})
				answers <- answer{from, duplicate, err}
			}()
		}
		synctest.Wait()
		if len(answers) != 0 {
			t.Fatal("someone was answered before the sync")
		}
		slow.gate <- struct{}{}
		duplicates := 0
		for range 3 {
			a := <-answers
			if a.err != nil || a.from != 0 {
				t.Fatalf("%+v", a)
			}
			if a.duplicate {
				duplicates++
			}
		}
		if duplicates != 2 {
			t.Fatalf("%d duplicates", duplicates)
		}
	})
}

// TestKeyBound: at the limit the oldest key is forgotten, and only that.
func TestKeyBound(t *testing.T) {
	var k keyIndex
	for i := range keysMax + 50_000 {
		k.add(fmt.Sprint(i), Span{int64(i), int64(i) + 1})
	}
	if len(k.spans) != keysMax || len(k.order)-k.head != keysMax {
		t.Fatalf("%d keys, %d in order", len(k.spans), len(k.order)-k.head)
	}
	if _, ok := k.spans["49999"]; ok {
		t.Error("an old key is remembered")
	}
	if s := k.spans["50000"]; s.From != 50000 {
		t.Error("a young key is forgotten")
	}
	if got := k.within(50_000, 50_002); len(got) != 2 || got[0].key != "50000" {
		t.Errorf("within: %v", got)
	}
}

// TestCancel: an append that has not begun is taken back; one that has is waited for.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowSync{FS: NewMemFS(), gate: make(chan struct{})}
		l := openLog(t, slow, 0)
		slow.on.Store(true)
		ctx, cancel := context.WithCancel(background)
		errs := make(chan error, 2)
		go func() { _, _, _, err := l.Append(ctx, []Entry{entry("begun")}); errs <- err }()
		synctest.Wait()
		go func() { _, _, _, err := l.Append(ctx, []Entry{{Key: "k", Payload: []byte("waiting")}}); errs <- err }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Fatalf("the waiting one: %v", err)
		}
		slow.gate <- struct{}{}
		if err := <-errs; err != nil {
			t.Fatalf("the one that had begun: %v", err)
		}
		slow.on.Store(false)
		mustAppend(t, l, Entry{Key: "k", Payload: []byte("later")})
		if got, _ := readAll(t, l, 0); fmt.Sprint(payloads(got)) != "[begun later]" {
			t.Fatalf("log: %v", payloads(got))
		}
	})
}

// TestCancelWhileWritten: an append that another one's goroutine is writing is waited for too.
func TestCancelWhileWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowSync{FS: NewMemFS(), gate: make(chan struct{})}
		l := openLog(t, slow, 0)
		slow.on.Store(true)
		ctx, cancel := context.WithCancel(background)
		errs := make(chan error, 3)
		for i, c := range []context.Context{background, background, ctx} {
			go func() { _, _, _, err := l.Append(c, []Entry{entry(fmt.Sprint(i))}); errs <- err }()
			synctest.Wait()
		}
		slow.gate <- struct{}{} // the first is done, the second writes for the third
		synctest.Wait()
		cancel()
		synctest.Wait()
		if len(errs) != 1 {
			t.Fatalf("%d appends have returned", len(errs))
		}
		slow.gate <- struct{}{}
		for range 3 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, NewMemFS(), 0)
		errs := make(chan error, 100)
		for range 100 {
			go func() { errs <- l.Wait(background, 0) }()
		}
		ctx, cancel := context.WithCancel(background)
		other := make(chan error, 2)
		go func() { other <- l.Wait(ctx, 1<<40) }()
		synctest.Wait()
		mustAppend(t, l, entry("x"))
		for range 100 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		if err := <-other; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		go func() { other <- l.Wait(background, 1<<40) }()
		synctest.Wait()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-other; !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if _, _, _, err := l.Append(background, []Entry{entry("x")}); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatalf("second Close: %v", err)
		}
		if _, err := l.NewReader(0).Next(); !errors.Is(err, ErrClosed) {
			t.Fatal(err)
		}
	})
}

// TestQueueBound: appenders beyond the bound of the queue wait outside and all come through.
func TestQueueBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowSync{FS: NewMemFS(), gate: make(chan struct{})}
		l := openLog(t, slow, 0)
		slow.on.Store(true)
		errs := make(chan error, 10)
		p := make([]byte, queueMax/3)
		for range 8 {
			go func() { _, _, _, err := l.Append(background, []Entry{{Payload: p}}); errs <- err }()
			synctest.Wait()
		}
		l.mu.Lock()
		queued := l.queueBytes
		l.mu.Unlock()
		if queued > queueMax || queued < queueMax/2 {
			t.Fatalf("%d bytes are queued", queued)
		}
		slow.on.Store(false)
		slow.gate <- struct{}{}
		for range 8 {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestReadRange(t *testing.T) {
	l := openLog(t, NewMemFS(), segmentBytesMin)
	rnd := rand.New(rand.NewSource(1))
	var bounds []int64
	for i := range 200 {
		from, _ := mustAppend(t, l, entry(fmt.Sprintf("%03d %s", i, strings.Repeat("x", rnd.Intn(200)))))
		bounds = append(bounds, from)
	}
	for range 100 {
		a, b := rnd.Intn(200), rnd.Intn(200)
		r := l.ReadRange(bounds[a], bounds[b])
		n := a
		for {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil || string(e.Payload[:3]) != fmt.Sprintf("%03d", n) {
				t.Fatalf("range %d..%d: %.3s %v at %d", a, b, e.Payload, err, n)
			}
			n++
		}
		if n != max(a, b) {
			t.Fatalf("range %d..%d ended at %d", a, b, n)
		}
		_ = r.Close()
	}
}
