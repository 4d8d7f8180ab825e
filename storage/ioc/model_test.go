package ioc

import (
	"fmt"
	"maps"
	"math/rand"
	"testing"

	"github.com/vigil-sql/vigil/storage/kv"
)

// world is a store, what it should hold, and what happened.
type world struct {
	t     *testing.T
	rnd   *rand.Rand
	disk  *kv.Mem
	s     *Store
	epoch uint64
	// cut is the last checkpoint: no epoch before it will run again.
	cut uint64
	// epochs are the lists after each epoch since the cut; now is the newest, pending what is staged and not committed.
	epochs map[uint64]map[uint64]map[string]string
	now    map[uint64]map[string]string
	pins   []pinned
	// ids are the lists that there are: a dropped one does not come again.
	ids [2]uint64

	crashes, takenBack, trims, loads, builds, dropped int
}

type pinned struct {
	// seq is a version that counts as held: of those that Pin gives, the collector decides when they are given back.
	seq   uint64
	lists map[uint64]map[string]string
}

func (w *world) open() {
	s, err := Open(w.disk)
	if err != nil {
		w.t.Fatal(err)
	}
	w.s, w.pins = s, nil
}

func (w *world) pin(seq uint64) uint64 {
	w.s.live[seq]++
	return seq
}

func copyOfLists(m map[uint64]map[string]string) map[uint64]map[string]string {
	out := map[uint64]map[string]string{}
	for id, l := range m {
		out[id] = maps.Clone(l)
	}
	return out
}

// change stages a random change and, mostly, commits it with an epoch.
func (w *world) change() {
	next := copyOfLists(w.now)
	var changes []Change
	many := 1 + w.rnd.Intn(40)
	if w.rnd.Intn(20) == 0 {
		many = indexedMax + w.rnd.Intn(9000)
	}
	for i, id := range w.ids {
		if w.rnd.Intn(3) == 0 {
			continue
		}
		c := Change{List: id}
		if next[id] == nil {
			c.Create, next[id] = true, map[string]string{}
		} else if w.rnd.Intn(60) == 0 {
			c.Remove = true
			delete(next, id)
			w.ids[i] += 2
			w.dropped++
			changes = append(changes, c)
			continue
		}
		value := func() string { return fmt.Sprint("v", w.rnd.Intn(2*many+50)) }
		for range w.rnd.Intn(many) {
			c.Drop = append(c.Drop, value())
		}
		for range w.rnd.Intn(many) {
			c.Add = append(c.Add, Addition{Value: value(), Info: []byte(fmt.Sprint("i", w.rnd.Intn(3)))})
		}
		if w.rnd.Intn(3) == 0 {
			w.loads++
			c.Load = &Load{}
			for range w.rnd.Intn(many) {
				c.Load.Add([]byte(value()), []byte(fmt.Sprint("l", w.rnd.Intn(3))), 0)
			}
		}
		changes = append(changes, c)
		apply(next[id], &c)
	}
	seq, err := w.s.Stage(changes)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.rnd.Intn(10) == 0 { // it ends before the epoch is committed
		w.crash()
		w.takenBack++
		return
	}
	w.now = next
	w.pins = append(w.pins, pinned{w.pin(seq), next})
	w.epoch++
	b := w.disk.NewBatch()
	w.s.Publish(b, w.epoch, seq)
	if err := b.Commit(true); err != nil {
		w.t.Fatal(err)
	}
	w.epochs[w.epoch] = next
}

// apply does a change to a map.
func apply(list map[string]string, c *Change) {
	for _, v := range c.Drop {
		delete(list, v)
	}
	for _, a := range c.Add {
		list[a.Value] = string(a.Info)
	}
	if c.Load != nil {
		c.Load.Each(func(v, info []byte, _ int64) { list[string(v)] = string(info) })
	}
}

// crash loses what was not synced, or some of it, and opens the store again.
func (w *world) crash() {
	w.crashes++
	w.disk = w.disk.Crash(w.rnd.Intn(1 + w.disk.Unsynced()))
	w.open()
	if w.s.At(w.epoch) != 0 {
		w.pins = append(w.pins, pinned{w.pin(w.s.At(w.epoch)), w.now})
	}
	for n, lists := range w.epochs {
		w.pins = append(w.pins, pinned{w.pin(w.s.At(n)), lists})
	}
}

// check asks some versions for some values, and one for all.
func (w *world) check() {
	if len(w.pins) == 0 {
		return
	}
	var p Probe
	defer p.Release(w.s)
	for range 100 {
		x := w.pins[max(0, len(w.pins)-1-w.rnd.Intn(12))]
		id := w.ids[w.rnd.Intn(2)]
		v := fmt.Sprint("v", w.rnd.Intn(100))
		if x.lists[id] == nil {
			continue // it is dropped: nobody asks
		}
		want, ok := x.lists[id][v]
		e, err := p.Find(w.s.List(id), x.seq, []byte(v))
		if err != nil || (e != nil) != ok || ok && string(e.Info) != want {
			w.t.Fatalf("epoch %d, version %d: list %d has %s: %+v, %v; want %q, %v", w.epoch, x.seq, id, v, e, err, want, ok)
		}
	}
	x := w.pins[max(0, len(w.pins)-1-w.rnd.Intn(12))]
	for id, want := range x.lists {
		got := map[string]string{}
		err := w.s.List(id).Scan(x.seq, func(v []byte, e Entry) (bool, error) { got[string(v)] = string(e.Info); return true, nil })
		if st := w.s.List(id).Stat(x.seq); err != nil || !maps.Equal(got, want) || st.Size != uint64(len(want)) {
			w.t.Fatalf("epoch %d, version %d: list %d has %d entries, %d by its size, want %d, %v", w.epoch, x.seq, id, len(got), st.Size, len(want), err)
		}
	}
}

// TestAgainstModel does random changes, with crashes and restarts between and in the middle of them, and compares every version that
// somebody may ask for with a plain map after each step.
func TestAgainstModel(t *testing.T) {
	steps := 300
	if testing.Short() {
		steps = 120
	}
	w := &world{t: t, rnd: rand.New(rand.NewSource(3)), disk: kv.NewMem(), ids: [2]uint64{7, 8}, epochs: map[uint64]map[uint64]map[string]string{}}
	w.open()
	for range steps {
		switch k := w.rnd.Intn(30); {
		case k == 0:
			w.crash()
		case k < 3:
			w.cut += uint64(w.rnd.Intn(int(w.epoch-w.cut) + 1))
			maps.DeleteFunc(w.epochs, func(n uint64, _ map[uint64]map[string]string) bool { return n < w.cut })
			for i := range w.pins {
				w.s.unpin(w.pins[i].seq)
			}
			w.pins = nil
			for n := w.cut; n <= w.epoch; n++ {
				if lists := w.epochs[n]; lists != nil {
					w.pins = append(w.pins, pinned{w.pin(w.s.At(n)), lists})
				}
			}
			if err := w.s.Trim(w.cut); err != nil {
				t.Fatal(err)
			}
			w.trims++
		case k < 6:
			if err := w.s.Build(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.builds++
		default:
			w.change()
		}
		w.check()
	}
	t.Logf("%+v", []int{w.crashes, w.takenBack, w.trims, w.loads, w.builds, w.dropped})
	if min(w.crashes, w.takenBack, w.trims, w.loads, w.builds, w.dropped) == 0 {
		t.Fatal("something did not happen")
	}
}
