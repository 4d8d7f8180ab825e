package checkpoint

import (
	"errors"
	"fmt"
	"sync"

	"github.com/vigil-sql/vigil/storage/kv"
)

const (
	// queueMax bounds the bytes handed to Block that are not written yet; Block waits beyond. See Store.LimitQueue.
	queueMax = 128 << 20
	// batchBytes is how much is written at once.
	batchBytes = 1 << 20
)

// ErrAborted is returned by the calls that follow Abort or Commit.
var ErrAborted = errors.New("the checkpoint is finished")

// Writer writes one checkpoint. Blocks go to the store in the background, by one goroutine that ends with Commit or Abort; nothing
// of it counts before Commit has returned. Drops and rewrites, and the deletion of what they replace, take effect together with the
// manifest, in one batch. It is safe for concurrent use; calls for the same slice and worker take effect in their order.
type Writer struct {
	s *Store
	n uint64

	mu     sync.Mutex
	more   sync.Cond // the queue or done has changed
	queue  []item
	queued int
	done   bool  // no more blocks will come
	err    error // the first failure; sticky
	// next numbers the blocks of a worker and slice, over drops and rewrites too.
	next map[part]uint32
	// ranges are deleted when the checkpoint completes. dropped are the slices, and ops the operators, of which everything is, with the
	// place in ranges: when blocks come for them afterwards, the range is narrowed to what there was before.
	ranges  []keyRange
	dropped map[slot]int
	ops     map[uint64]int
	bytes   int64
	blocks  int64
	ended   chan struct{} // the goroutine is gone
}

type slot struct {
	op    uint64
	slice int64
}

type part struct {
	slot
	worker uint16
}

type item struct{ key, data []byte }

type keyRange struct{ lo, hi []byte }

// NewWriter begins checkpoint n, which must be greater than the last complete one. One Writer is open at a time.
func (s *Store) NewWriter(n uint64) (*Writer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer != nil {
		return nil, fmt.Errorf("checkpoint %d: number %d is still being written", n, s.writer.n)
	}
	latest, _, ok, err := s.Latest()
	if err != nil {
		return nil, err
	}
	if ok && n <= latest {
		return nil, fmt.Errorf("checkpoint %d: number %d is already complete", n, latest)
	}
	if s.unclean {
		if err := s.cleanup(); err != nil {
			return nil, err
		}
	}
	w := &Writer{
		s: s, n: n, next: map[part]uint32{}, dropped: map[slot]int{}, ops: map[uint64]int{}, ended: make(chan struct{}),
	}
	w.more.L = &w.mu
	s.writer = w
	go w.run()
	return w, nil
}

// Block adds a block of an operator's slice. data belongs to the Writer from then on. It waits only while 128 MiB are
// unwritten, or less where LimitQueue says so. The error is that of any write before.
func (w *Writer) Block(op uint64, worker uint16, slice int64, data []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && !w.done && w.queued > 0 && w.queued+len(data) > w.s.queueMax {
		w.more.Wait()
	}
	if err := w.usable(); err != nil {
		return err
	}
	p := part{slot{op, slice}, worker}
	index := w.next[p]
	if index == indexMax {
		return fmt.Errorf("checkpoint %d: too many blocks of operator %d", w.n, op)
	}
	if err := w.begunAnew(p.slot); err != nil {
		return err
	}
	w.next[p] = index + 1
	it := item{block{op, slice, worker, w.n, index}.key(), data}
	w.bytes += int64(len(data))
	w.blocks++
	w.queue = append(w.queue, it)
	w.queued += len(data)
	w.more.Broadcast()
	return nil
}

// usable is called with mu held.
func (w *Writer) usable() error {
	if w.err != nil {
		return w.err
	}
	if w.done {
		return fmt.Errorf("checkpoint %d: %w", w.n, ErrAborted)
	}
	return nil
}

// Drop removes a slice of all workers: every block of it so far, in this checkpoint too. Blocks added afterwards count.
func (w *Writer) Drop(op uint64, slice int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.dropped[slot{op, slice}]; ok {
		return
	}
	lo := slicePrefix(op, slice)
	w.dropped[slot{op, slice}] = w.remove(keyRange{lo, kv.PrefixEnd(lo)})
}

// DropOp is Drop for all slices of an operator.
func (w *Writer) DropOp(op uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.ops[op]; ok {
		return
	}
	lo := opPrefix(op)
	w.ops[op] = w.remove(keyRange{lo, kv.PrefixEnd(lo)})
}

// Rewrite removes every block so far of a worker's part of a slice: the blocks that follow hold all of it.
func (w *Writer) Rewrite(op uint64, worker uint16, slice int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	index := w.next[part{slot{op, slice}, worker}]
	w.remove(keyRange{workerPrefix(op, slice, worker), block{op, slice, worker, w.n, index}.key()})
}

// remove is called with mu held. It returns the place in ranges.
func (w *Writer) remove(r keyRange) int {
	w.ranges = append(w.ranges, r)
	return len(w.ranges) - 1
}

// begunAnew sees to it that blocks which come for a slice now are not deleted with what it had before. Called with mu held.
func (w *Writer) begunAnew(s slot) error {
	if at, ok := w.ops[s.op]; ok {
		if err := w.narrow(at); err != nil {
			return err
		}
		delete(w.ops, s.op)
	}
	if at, ok := w.dropped[s]; ok {
		if err := w.narrow(at); err != nil {
			return err
		}
		delete(w.dropped, s)
	}
	return nil
}

// narrow replaces a range by those of what it has now: the blocks of checkpoints before, worker by worker, and those that this one has
// got so far. Called with mu held.
func (w *Writer) narrow(at int) error {
	wide := w.ranges[at]
	w.ranges[at] = keyRange{}
	for lo := wide.lo; lo != nil; {
		var first block
		found := false
		err := w.s.kv.Scan(lo, wide.hi, func(key, _ []byte) (_ bool, err error) {
			first, err = parseKey(key)
			found = err == nil
			return false, err
		})
		if err != nil {
			return fmt.Errorf("checkpoint %d: %w", w.n, err)
		}
		if !found {
			break
		}
		prefix := workerPrefix(first.op, first.slice, first.worker)
		w.remove(keyRange{prefix, block{first.op, first.slice, first.worker, w.n, 0}.key()})
		lo = kv.PrefixEnd(prefix)
	}
	for p, index := range w.next {
		from := block{p.op, p.slice, p.worker, w.n, 0}.key()
		if string(from) >= string(wide.lo) && string(from) < string(wide.hi) {
			w.remove(keyRange{from, block{p.op, p.slice, p.worker, w.n, index}.key()})
		}
	}
	return nil
}

// Written is the number of blocks and their bytes so far.
func (w *Writer) Written() (blocks, bytes int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.blocks, w.bytes
}

// run writes the queue until done.
func (w *Writer) run() {
	defer close(w.ended)
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 && !w.done && w.err == nil {
			w.more.Wait()
		}
		if len(w.queue) == 0 || w.err != nil {
			return
		}
		n, bytes := 0, 0
		for n < len(w.queue) && (n == 0 || bytes < batchBytes) {
			bytes += len(w.queue[n].data)
			n++
		}
		items := w.queue[:n]
		w.queue = w.queue[n:]
		w.mu.Unlock()
		err := w.flush(items)
		clear(items)
		w.mu.Lock()
		w.queued -= bytes
		if err != nil {
			w.err = fmt.Errorf("write checkpoint %d: %w", w.n, err)
		}
		w.more.Broadcast()
	}
}

func (w *Writer) flush(items []item) error {
	b := w.s.kv.NewBatch()
	for _, it := range items {
		b.Set(it.key, it.data)
	}
	return b.Commit(false)
}

// finish ends the goroutine; what is queued is written first, unless something failed. first is false when the Writer was finished
// already. cause is what later calls get to see; nil: as it is.
func (w *Writer) finish(cause error) (first bool, err error) {
	w.mu.Lock()
	if w.done {
		w.mu.Unlock()
		return false, fmt.Errorf("checkpoint %d: %w", w.n, ErrAborted)
	}
	w.done = true
	if w.err == nil {
		w.err = cause
	}
	w.more.Broadcast()
	w.mu.Unlock()
	<-w.ended
	w.mu.Lock()
	defer w.mu.Unlock()
	return true, w.err
}

// Commit completes the checkpoint: when it returns nil, manifest and all blocks are durable and replace the checkpoint before. After an error
// the checkpoint before still holds, and this Writer is finished.
func (w *Writer) Commit(manifest []byte) error {
	first, err := w.finish(nil)
	if !first {
		return err
	}
	if err == nil {
		err = w.complete(manifest)
	}
	if err == nil {
		w.close()
		return nil
	}
	w.undo()
	return err
}

func (w *Writer) complete(manifest []byte) error {
	b := w.s.kv.NewBatch()
	for _, r := range w.ranges {
		if len(r.lo) == 0 { // it was narrowed
			continue
		}
		if err := kv.Remove(w.s.kv, b, r.lo, r.hi); err != nil {
			b.Discard()
			return fmt.Errorf("complete checkpoint %d: %w", w.n, err)
		}
	}
	b.Set(manifestKey(), encodeManifest(w.n, manifest))
	// Everything before is in unsynced batches, which a synced one makes durable.
	if err := b.Commit(true); err != nil {
		return fmt.Errorf("complete checkpoint %d: %w", w.n, err)
	}
	return nil
}

// Abort gives the checkpoint up and waits for its goroutine. Abort after Commit does nothing.
func (w *Writer) Abort() {
	first, _ := w.finish(fmt.Errorf("checkpoint %d: %w", w.n, ErrAborted))
	if first {
		w.undo()
	}
}

// undo removes the blocks of a checkpoint that was not completed; a later one would make them count. If that fails, the next
// NewWriter sees to it.
func (w *Writer) undo() {
	b := w.s.kv.NewBatch()
	for p, index := range w.next {
		from, to := block{p.op, p.slice, p.worker, w.n, 0}, block{p.op, p.slice, p.worker, w.n, index}
		b.DeleteRange(from.key(), to.key())
	}
	if err := b.Commit(false); err != nil {
		w.s.mu.Lock()
		w.s.unclean = true
		w.s.mu.Unlock()
	}
	w.close()
}

// close gives the memory back and lets the next Writer begin.
func (w *Writer) close() {
	w.mu.Lock()
	w.queue, w.ranges, w.next = nil, nil, nil
	w.mu.Unlock()
	w.s.mu.Lock()
	w.s.writer = nil
	w.s.mu.Unlock()
}
