package ioc

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/vigil-sql/vigil/storage/kv"
)

// Change is what changes in one list. First all of Drop take effect, then all of Add, then all of Load; of the same value the last counts.
type Change struct {
	List uint64
	// Create says that the list is new, Remove that it goes.
	Create, Remove bool
	Drop           []string
	// Expired says that what Drop names goes only if it has expired by then, microseconds; 0: it goes.
	Expired int64
	Add     []Addition
	Load    *Load
}

// Addition is an entry that comes, in place of the one with its value.
type Addition struct {
	Value string
	Info  []byte
	// Expires is a time in microseconds, 0: never.
	Expires int64
}

// mark says that rows of a change may be there that no epoch made count.
type mark struct {
	seq uint64
	// indexed: all that it did has an undo.
	indexed bool
}

// indexedMax is up to how many entries a change has an undo for each, so that taking it back reads no others.
const indexedMax = 4096

// batchBytes is about how much goes into the store at a time.
const batchBytes = 1 << 20

func (m mark) value() []byte {
	if m.indexed {
		return []byte{markVersion, 1}
	}
	return []byte{markVersion, 0}
}

func decodeMark(key, value []byte) (mark, error) {
	if err := kv.CheckVersion("a mark of an IOC change", value, markVersion); err != nil {
		return mark{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(key) != 10 || len(value) != 2 {
		return mark{}, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	return mark{binary.BigEndian.Uint64(key[2:]), value[1] == 1}, nil
}

// op is one step of a change: at names its place, in the order in which steps take effect.
type op struct{ hash, at uint64 }

const (
	opDrop = iota
	opAdd
	opLoad
	opKindAt = 54
	opPartAt = 56
)

// staging is a change on its way into the store.
type staging struct {
	s     *Store
	mark  mark
	b     kv.Batch
	rows  kv.Cursor
	parts []*Change // of one list
	list  *List
	stat  Stat
	ops   []op
	// fresh are the hashes of values that had no row, of one shard.
	fresh                []hashes
	key, val, entry, pre []byte
	probe                [8]byte
}

// Stage writes what changes, as a new version, whose number it returns. Nobody sees it unless he asks for that number. An error leaves
// nothing behind.
func (s *Store) Stage(changes []Change) (uint64, error) {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.takeBack(); err != nil {
		return 0, fmt.Errorf("take back an earlier change of IOC lists: %w", err)
	}
	n := 0
	for i := range changes {
		n += changes[i].len()
	}
	s.seq++
	st := &staging{s: s, mark: mark{s.seq, n <= indexedMax}}
	err := st.run(changes)
	if err != nil {
		s.failed = append(s.failed, st.mark)
		if again := s.takeBack(); again != nil {
			err = errors.Join(err, again) // the next change tries again
		}
		return 0, fmt.Errorf("write IOC entries: %w", err)
	}
	s.staged.Store(s.seq)
	return s.seq, nil
}

// Publish adds to the batch of an epoch that a staged change counts from it on. The batch must be committed, or the process end.
func (s *Store) Publish(b kv.Batch, epoch, seq uint64) {
	b.Delete(numberKey(kindMark, seq))
	b.Set(numberKey(kindEpoch, epoch), binary.BigEndian.AppendUint64([]byte{epochVersion}, seq))
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.epochs); n > 0 && s.epochs[n-1].epoch == epoch {
		s.epochs[n-1].seq = max(s.epochs[n-1].seq, seq)
		return
	}
	s.epochs = append(s.epochs, epochSeq{epoch, seq})
}

func (c *Change) len() int {
	n := len(c.Drop) + len(c.Add)
	if c.Load != nil {
		n += c.Load.n
	}
	return n
}

func (t *staging) run(changes []Change) error {
	t.b = t.s.kv.NewBatch()
	defer func() { t.b.Discard() }()
	t.b.Set(numberKey(kindMark, t.mark.seq), t.mark.value())
	lo := kindKey(kindRow)
	rows, err := kv.NewCursor(t.s.kv, lo, kv.PrefixEnd(lo))
	if err != nil {
		return err
	}
	defer rows.Close()
	t.rows = rows
	for i := range changes {
		if slices.ContainsFunc(changes[:i], func(c Change) bool { return c.List == changes[i].List }) {
			continue // it was done with the first one
		}
		t.parts = t.parts[:0]
		for k := i; k < len(changes); k++ {
			if changes[k].List == changes[i].List {
				t.parts = append(t.parts, &changes[k])
			}
		}
		if err := t.changeList(); err != nil {
			return err
		}
	}
	return t.b.Commit(false)
}

// changeList does what changes in one list. It lets others go first after each shard: rows need not wait the 10 ms that the scheduler leaves one that
// computes.
func (t *staging) changeList() error {
	t.list = t.s.List(t.parts[0].List)
	t.stat = t.list.Stat(t.mark.seq)
	for _, c := range t.parts {
		t.stat.Version++
		if c.Remove {
			t.s.mu.Lock()
			t.s.gone = append(t.s.gone, goneList{c.List, t.mark.seq})
			t.s.mu.Unlock()
			return nil
		}
	}
	t.gather()
	for from := 0; from < len(t.ops); {
		to := from + 1
		for to < len(t.ops) && t.ops[to].hash>>56 == t.ops[from].hash>>56 {
			to++
		}
		if err := t.changeShard(int(t.ops[from].hash>>56), t.ops[from:to]); err != nil {
			return err
		}
		runtime.Gosched()
		from = to
	}
	t.b.Set(statKey(t.list.id, t.mark.seq), t.stat.append(nil))
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.list.stats = append(t.list.stats, stat{t.mark.seq, t.stat})
	return nil
}

// gather puts the steps in the order of the rows.
func (t *staging) gather() {
	n := 0
	for _, c := range t.parts {
		n += c.len()
	}
	t.ops = slices.Grow(t.ops[:0], n)
	for p, c := range t.parts {
		for i, v := range c.Drop {
			t.ops = append(t.ops, op{t.s.hash([]byte(v)).a, uint64(p)<<opPartAt | opDrop<<opKindAt | uint64(i)})
		}
		for i := range c.Add {
			t.ops = append(t.ops, op{t.s.hash([]byte(c.Add[i].Value)).a, uint64(p)<<opPartAt | opAdd<<opKindAt | uint64(i)})
		}
		if c.Load != nil {
			c.Load.each(func(at uint64, v []byte) {
				t.ops = append(t.ops, op{t.s.hash(v).a, uint64(p)<<opPartAt | opLoad<<opKindAt | at})
			})
		}
	}
	slices.SortFunc(t.ops, func(a, b op) int {
		if a.hash != b.hash {
			return cmp.Compare(a.hash, b.hash)
		}
		return cmp.Compare(a.at, b.at)
	})
}

// step is what an op does.
type step struct {
	value   []byte
	drop    bool
	expired int64
	info    []byte
	expires int64
}

func (t *staging) step(o op) step {
	c, at := t.parts[o.at>>opPartAt], o.at&(1<<opKindAt-1)
	switch o.at >> opKindAt & 3 {
	case opDrop:
		return step{value: []byte(c.Drop[at]), drop: true, expired: c.Expired}
	case opAdd:
		a := &c.Add[at]
		return step{value: []byte(a.Value), info: a.Info, expires: a.Expires}
	}
	return c.Load.step(at)
}

// changeShard does the steps of a shard, then makes its filters know what came.
func (t *staging) changeShard(i int, ops []op) error {
	t.fresh = t.fresh[:0]
	old := t.list.shards[i].Load()
	for from := 0; from < len(ops); {
		to := from + 1
		for to < len(ops) && ops[to].hash == ops[from].hash {
			to++
		}
		if err := t.changeSame(old, ops[from:to]); err != nil {
			return err
		}
		from = to
	}
	if old == nil || len(t.fresh) == 0 {
		return nil
	}
	next := old.with(t.fresh)
	if next == nil {
		if old.n > 0 { // what is in the batch is fresh, too
			all, err := t.list.rowHashes(i)
			if err != nil {
				return err
			}
			t.fresh = merge(all, t.fresh)
		}
		next = newShard(t.fresh)
	}
	t.list.shards[i].Store(next)
	return nil
}

// changeSame does steps of the same hash: of each value the last one.
func (t *staging) changeSame(old *shard, ops []op) error {
	var done [][]byte
	for k := len(ops) - 1; k >= 0; k-- {
		x := t.step(ops[k])
		if slices.ContainsFunc(done, func(v []byte) bool { return bytes.Equal(v, x.value) }) {
			continue
		}
		if k > 0 {
			done = append(done, x.value)
		}
		if err := t.apply(old, x); err != nil {
			return err
		}
	}
	return nil
}

// apply writes what a step does to an entry.
func (t *staging) apply(old *shard, x step) error {
	if len(x.value) > ValueMax {
		return fmt.Errorf("a value of %d bytes is too long", len(x.value))
	}
	h := t.s.hash(x.value)
	t.entry = appendEntry(t.entry[:0], t.list.id, h.a, x.value)
	prev, had := row{gone: true}, false
	if old == nil || old.may(h, t.probe[:]) {
		var err error
		if prev, had, err = t.newest(); err != nil {
			return err
		}
	}
	switch {
	case x.drop && (prev.gone || x.expired != 0 && (prev.expires == 0 || prev.expires > x.expired)):
		return nil
	case !x.drop && !prev.gone && prev.expires == x.expires && bytes.Equal(prev.info, x.info):
		return nil
	case !x.drop && prev.gone:
		t.stat.Size++
	case x.drop:
		t.stat.Size--
	}
	if !had {
		t.fresh = append(t.fresh, h)
	}
	t.s.hits.changed(h, t.mark.seq)
	t.key = appendRowKey(t.key[:0], t.list.id, h.a, x.value, t.mark.seq)
	if t.val = append(t.val[:0], goneValue...); !x.drop {
		t.val = appendRowValue(t.val[:0], x.expires, x.info)
		t.stat.Longest = max(t.stat.Longest, uint64(len(x.value)))
	}
	t.b.Set(t.key, t.val)
	if x.expires != 0 {
		t.stat.Expiring = true
		t.key = appendExpiryKey(t.key[:0], x.expires, t.entry)
		t.b.Set(t.key, nil)
	}
	if had || t.mark.indexed {
		t.key = appendUndoKey(t.key[:0], t.mark.seq, t.entry)
		t.val = appendUndoValue(t.val[:0], prev.seq, x.drop)
		t.b.Set(t.key, t.val)
	}
	if t.b.Len() < batchBytes {
		return nil
	}
	err := t.b.Commit(false)
	t.b = t.s.kv.NewBatch()
	return err
}

// newest is the newest row of the entry before the change.
func (t *staging) newest() (row, bool, error) {
	t.pre = append(append(t.pre[:0], kv.PrefixIOC, kindRow), t.entry...)
	key, value, ok, err := t.rows.Seek(t.pre, len(t.pre))
	if err != nil || !ok {
		return row{gone: true}, false, err
	}
	r, err := decodeRow(key, value)
	return r, true, err
}

// takeBack removes what failed changes have written.
func (s *Store) takeBack() error {
	for len(s.failed) > 0 {
		if err := s.takeBackOne(s.failed[0]); err != nil {
			return err
		}
		s.failed = s.failed[1:]
	}
	return nil
}

func (s *Store) takeBackOne(m mark) error {
	w := &remover{s: s, b: s.kv.NewBatch()}
	defer func() { w.b.Discard() }()
	lo := numberKey(kindUndo, m.seq)
	err := s.scan(kindStat, func(key, _ []byte) error {
		if binary.BigEndian.Uint64(key[10:]) == m.seq {
			return w.remove(key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if m.indexed {
		err = s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
			u, err := decodeUndo(key, value)
			if err == nil {
				err = w.remove(u.rowKeyOf(m.seq))
			}
			return err == nil, err
		})
	} else {
		err = s.scan(kindRow, func(key, value []byte) error {
			r, err := decodeRow(key, value)
			if err == nil && r.seq == m.seq {
				err = w.remove(key)
			}
			return err
		})
	}
	if err != nil {
		return err
	}
	w.b.DeleteRange(lo, kv.PrefixEnd(lo))
	w.b.Delete(numberKey(kindMark, m.seq))
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lists {
		l.stats = slices.DeleteFunc(l.stats, func(x stat) bool { return x.seq == m.seq })
	}
	s.gone = slices.DeleteFunc(s.gone, func(x goneList) bool { return x.seq == m.seq })
	return w.b.Commit(false)
}

// remover removes keys, some at a time.
type remover struct {
	s *Store
	b kv.Batch
}

func (w *remover) remove(key []byte) error {
	if w.b.Delete(key); w.b.Len() < batchBytes {
		return nil
	}
	err := w.b.Commit(false)
	w.b = w.s.kv.NewBatch()
	return err
}
