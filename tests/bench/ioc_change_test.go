package bench

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// iocChange is for how many seconds TestIOCChange measures; 0: it does not.
var iocChange = flag.Int("ioc-change", 0, "seconds for which TestIOCChange measures")

const (
	// iocEntries are there before entries change.
	iocEntries = 1_000_000
	// Each iocTick iocNew entries come, iocAgain get another source, and iocNew go: 100,000 a second.
	iocTick  = 100 * time.Millisecond
	iocNew   = 3500
	iocAgain = 3000
	// Each iocPulse iocEvents events come, one of which hits.
	iocPulse  = time.Millisecond
	iocEvents = 20
)

// iocWorld is a rule that asks for a list whose entries change.
type iocWorld struct {
	t    *testing.T
	db   *inproc.DB
	feed *feed
	list *catalog.IOCList
	// stream and query are ids.
	stream, query uint64
	sent          int64
	// came and gone are how many entries were added after the first ones, and how many of them were removed.
	came, gone int
}

// TestIOCChange prints how long events wait at most until they were compared with a list of a million entries, and how late their alerts are, while the list stays
// as it is, and while 100,000 of its entries change each second (fewer, where the machine cannot). CPU is what the process computed while events waited, on all cores: it
// does not count what else the machine does, nor the disk.
//
//	go test ./tests/bench -run IOCChange -args -ioc-change 10
func TestIOCChange(t *testing.T) {
	if *iocChange == 0 {
		t.Skip("it measures; say -args -ioc-change 10")
	}
	x := newIOCWorld(t)
	defer x.db.Close()
	fmt.Printf("%-10s %10s %10s %10s %10s %10s %10s %10s %10s %10s\n", "ms", "changes/s", "wait 50%", "wait 99%", "wait most", "CPU 99%", "CPU most", "alert 50%",
		"alert most", "change")
	for _, changes := range []bool{false, true} {
		x.measure(changes)
	}
	rows, err := x.db.Rows(`SELECT entries FROM vigil.ioc_lists`)
	if want := fmt.Sprintf("[[%d]]", iocEntries+x.came-x.gone); err != nil || fmt.Sprint(rows) != want {
		t.Fatal(rows, err, want)
	}
}

func newIOCWorld(t *testing.T) *iocWorld {
	store, err := pebblekv.Open(t.TempDir(), pebblekv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	x := &iocWorld{t: t, feed: newFeed()}
	x.db, err = inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Store: store, Clock: inproc.NewClock(rulesDay), Workers: 1, CheckpointEvery: 2 * time.Second,
		Connectors: []connector.Def{x.feed.def()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{`CREATE STREAM s (v TEXT) WITH (connector = 'generator') FORMAT JSON`, `CREATE IOC LIST l TYPE text`,
		`CREATE CONTINUOUS QUERY q AS SELECT v FROM s WHERE v IN IOC l`} {
		if err := x.db.Exec(sql); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.db.Copy(`COPY l (value) FROM STDIN`, &lines{n: iocEntries}); err != nil {
		t.Fatal(err)
	}
	x.list = x.db.Catalog().Relation("", "l").(*catalog.IOCList)
	x.query = x.db.Catalog().Relation("", "q").(*catalog.Query).ID
	if x.stream, err = x.db.StreamID("s"); err != nil {
		t.Fatal(err)
	}
	return x
}

// pulse is when events were handed over, and how many there were by then.
type pulse struct {
	at   time.Time
	cpu  time.Duration // of the process
	sent int64
}

// waits are how long pulses waited.
type waits struct{ wall, cpu []time.Duration }

// measure prints a line: events come for the time of the flag, and entries change or do not.
func (x *iocWorld) measure(changes bool) {
	const warmUp = 200 // pulses
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*iocChange)*time.Second)
	defer cancel()
	a := &alerts{}
	followed, done, waited := make(chan error, 1), make(chan int, 1), make(chan waits, 1)
	follow, stop := context.WithCancel(context.Background())
	from := x.db.Engine().Results().Next(x.query)
	go func() { followed <- a.follow(follow, x.db.Engine().Results(), x.query, from) }()
	pulses := make(chan pulse, 1<<16)
	go func() { waited <- x.watch(pulses) }()
	var worst time.Duration
	go func() {
		n := 0
		if changes {
			n, worst = x.change(ctx)
		}
		done <- n
	}()
	begin := time.Now()
	x.send(ctx, a, pulses)
	n := <-done
	took := time.Since(begin)
	close(pulses)
	wait := <-waited
	for range 2 {
		if err := x.db.Settle(); err != nil {
			x.t.Fatal(err)
		}
	}
	stop()
	if err := <-followed; err != nil {
		x.t.Fatal(err)
	}
	if len(a.late) != len(a.at) {
		x.t.Fatalf("%d alerts of %d events", len(a.late), len(a.at))
	}
	for _, list := range []*[]time.Duration{&wait.wall, &wait.cpu, &a.late} {
		*list = (*list)[min(warmUp, len(*list)-1):]
		slices.Sort(*list)
	}
	at := func(list []time.Duration, part float64) float64 { return ms(list[int(part*float64(len(list)-1))]) }
	fmt.Printf("%-10s %10.0f %10.2f %10.2f %10.2f %10.2f %10.2f %10.2f %10.2f %10.2f\n", map[bool]string{false: "as it is", true: "changes"}[changes],
		float64(n)/took.Seconds(), at(wait.wall, 0.5), at(wait.wall, 0.99), at(wait.wall, 1), at(wait.cpu, 0.99), at(wait.cpu, 1), at(a.late, 0.5), at(a.late, 1), ms(worst))
}

// send hands events over, of which the first of a pulse is in the list and the others are not.
func (x *iocWorld) send(ctx context.Context, a *alerts, pulses chan<- pulse) {
	pace := time.NewTicker(iocPulse)
	defer pace.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		<-pace.C
		var text bytes.Buffer
		value := i * 7919 % (iocEntries / 2)
		fmt.Fprintf(&text, `{"v":"%08x%08x"}`+"\n", uint32(value)*2654435761, value)
		for k := 1; k < iocEvents; k++ {
			fmt.Fprintf(&text, `{"v":"-%07x%08x"}`+"\n", k, i)
		}
		x.sent += iocEvents
		now := time.Now()
		a.mu.Lock()
		a.at = append(a.at, now)
		a.mu.Unlock()
		pulses <- pulse{now, processCPU(x.t), x.sent}
		x.feed.in <- text.Bytes()
	}
}

// watch returns for how long the events of each pulse waited until the rule had seen them, half a millisecond more or less, and how much CPU time the process
// had meanwhile.
func (x *iocWorld) watch(pulses <-chan pulse) (w waits) {
	look := time.NewTicker(500 * time.Microsecond)
	defer look.Stop()
	for p := range pulses {
		for {
			if st, _ := x.db.Engine().Stream(x.stream); st.Rows >= p.sent {
				break
			}
			<-look.C
		}
		w.wall, w.cpu = append(w.wall, time.Since(p.at)), append(w.cpu, processCPU(x.t)-p.cpu)
	}
	return w
}

// change changes entries until ctx is done, and returns how many, and how long one version took at most.
func (x *iocWorld) change(ctx context.Context) (n int, worst time.Duration) {
	value := func(i int) string { return fmt.Sprintf("+%07x%08x", uint32(i)*2654435761>>4, i) }
	pace := time.NewTicker(iocTick)
	defer pace.Stop()
	for round := 0; ctx.Err() == nil; round++ {
		<-pace.C
		var text bytes.Buffer
		for range iocNew {
			fmt.Fprintf(&text, "%s\tnew\n", value(x.came))
			x.came++
		}
		for k := range iocAgain {
			at := iocEntries/2 + (round*iocAgain+k)%(iocEntries/2)
			fmt.Fprintf(&text, "%08x%08x\tagain %d\n", uint32(at)*2654435761, at, round)
		}
		begin := time.Now()
		if err := x.db.Copy(`COPY l (value, source) FROM STDIN`, &text); err != nil {
			x.t.Error(err)
			return n, worst
		}
		worst = max(worst, time.Since(begin))
		n += iocNew + iocAgain
		drop := job.IOCChange{ListID: x.list.ID, List: x.list.Name}
		for ; x.gone < x.came-iocNew; x.gone++ {
			drop.Drop = append(drop.Drop, value(x.gone))
		}
		if len(drop.Drop) == 0 {
			continue
		}
		if err := x.db.Engine().Apply(context.Background(), job.Change{IOC: []job.IOCChange{drop}}); err != nil {
			x.t.Error(err)
			return n, worst
		}
		n += len(drop.Drop)
	}
	return n, worst
}
