package job

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/checkpoint"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// checkpointCut is a consistent cut of all state at the end of an epoch. The sequencer notes positions, the orderer time,
// each worker its changed state; the checkpoint goroutine writes all that after the epoch is on disk.
type checkpointCut struct {
	epoch   uint64
	clock   types.EventTime // the epoch's; not written
	streams map[uint64]*streamCut
	// reached is the watermark that queries over several streams have reached, by id; the first worker's.
	reached map[uint64]types.EventTime
	parts   [][]stateBlock // per worker
	drops   []uint64       // operators whose state is to be forgotten
	mu      sync.Mutex
	err     error
}

// streamCut is where a stream stands.
type streamCut struct {
	id        uint64
	next      map[int32]int64
	watermark types.EventTime
	splits    []task.Split
}

// stateBlock is one call to op.StateWriter, remembered.
type stateBlock struct {
	op    uint64
	slice int64
	what  blockKind
	data  []byte
	// block is behind data where that is a copy outside of the Go heap.
	block arena.Block
}

// bytes are the block's, for who keeps them. Those of one that lies outside of the Go heap, as blocks do while memory is scarce, are a copy: it
// stays until the cut is written, for that may have to be tried again.
func (b *stateBlock) bytes() []byte {
	if b.block == (arena.Block{}) {
		return b.data
	}
	return bytes.Clone(b.data)
}

// free gives back the memory of blocks outside of the Go heap.
func (c *checkpointCut) free() {
	for _, part := range c.parts {
		for i := range part {
			part[i].block.Free()
		}
	}
	c.parts = nil
}

type blockKind uint8

const (
	blockData blockKind = iota
	blockDrop
	blockRewrite
	blockDropOp
)

func (c *checkpointCut) stream(id uint64) *streamCut { return c.streams[id] }

func (c *checkpointCut) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
}

// cutWriter is the op.StateWriter of one operator in one worker.
type cutWriter struct {
	part *[]stateBlock
	op   uint64
	// copies is where blocks lie while memory is scarce.
	copies *arena.Part
}

var _ op.StateWriter = cutWriter{}

func (c *checkpointCut) writer(worker *worker, id uint64) op.StateWriter {
	return cutWriter{part: &c.parts[worker.index], op: id, copies: worker.copies}
}

// Block implements op.StateWriter.
func (w cutWriter) Block(slice int64, data []byte) error {
	b := stateBlock{op: w.op, slice: slice, what: blockData, data: data}
	if w.copies.Short() { // there may be as many blocks as there is state
		b.data = arena.Append(w.copies, &b.block, nil, data...)
		w.copies.Relieve() // of what was read to make it
	}
	*w.part = append(*w.part, b)
	return nil
}

// Drop implements op.StateWriter.
func (w cutWriter) Drop(slice int64) error {
	*w.part = append(*w.part, stateBlock{op: w.op, slice: slice, what: blockDrop})
	return nil
}

// Rewrite implements op.StateWriter.
func (w cutWriter) Rewrite(slice int64) error {
	*w.part = append(*w.part, stateBlock{op: w.op, slice: slice, what: blockRewrite})
	return nil
}

// newCut runs in the sequencer when it closes an epoch.
func (e *Engine) newCut(ep *epoch) *checkpointCut {
	c := &checkpointCut{epoch: ep.n, reached: map[uint64]types.EventTime{}, clock: ep.clock, streams: map[uint64]*streamCut{}, parts: make([][]stateBlock, len(e.workers))}
	for _, s := range e.streamList() {
		c.streams[s.id()] = &streamCut{id: s.id(), next: maps.Clone(s.next), watermark: types.MinTime}
	}
	c.drops, e.seq.dropOps = e.seq.dropOps, nil
	e.ckpt.coming.Store(true)
	return c
}

// checkpoints writes cuts in the background, one after the other.
type checkpoints struct {
	e     *Engine
	store *checkpoint.Store
	wg    sync.WaitGroup
	one   chan struct{} // capacity 1: held while a cut is being written
	// coming: the sequencer has made a cut that is not being written yet.
	coming atomic.Bool
	// Last is the epoch of the newest complete checkpoint.
	last    atomic.Uint64
	figures checkpointFigures
	// failing is why the last few attempts to write one failed, nil when they did not.
	failing atomic.Pointer[error]
	// done is the newest complete checkpoint, without blocks: what it says of results that are read stays. trimming: results are being trimmed.
	done     atomic.Pointer[checkpointCut]
	trimming atomic.Bool
	// left is what had to stay of results when they were trimmed the last time, which may be more than they may take.
	left atomic.Int64
	// gaveUp: a cut could not be written before the engine ended. Later ones build on it, so that none may be written.
	gaveUp bool
}

// busy reports that a cut is being written.
func (c *checkpoints) busy() bool { return len(c.one) > 0 || c.coming.Load() }

// start writes a cut in the background; it waits while the previous one is still being written.
func (c *checkpoints) start(cut *checkpointCut) {
	c.one <- struct{}{}
	c.coming.Store(false)
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		defer func() { <-c.one }()
		if !c.gaveUp {
			c.persist(cut)
		}
	}()
}

// After a checkpoint that failed so often in a row the server is not ready; and the longest time between two attempts.
const (
	checkpointTries    = 3
	checkpointPauseMax = 5 * time.Second
)

// persist writes a cut. Its entries count as written in the workers, so that it is tried again until that is true: meanwhile no other
// is made, and recovery would begin at the checkpoint before. See docs/design/0008-faults.md.
func (c *checkpoints) persist(cut *checkpointCut) {
	if cut.err != nil { // what the state is made of could not be told: no disk is to blame
		c.e.fail(fmt.Errorf("checkpoint at epoch %d: %w", cut.epoch, cut.err))
		return
	}
	pause, ending := 50*time.Millisecond, false
	for tries := 1; ; tries++ {
		began := time.Now()
		err := c.writeReading(cut)
		if c.figures.note(cut, began, err); err == nil {
			break
		}
		c.e.log.Error("a checkpoint failed; nothing is lost, it is tried again", "epoch", cut.epoch, "attempt", tries, "error", err)
		if tries >= checkpointTries {
			c.failing.Store(&err)
		}
		if errors.Is(err, errUnreadable) && tries >= checkpointTries { // what is left of it is no checkpoint
			c.gaveUp = true
			c.e.fail(fmt.Errorf("checkpoint at epoch %d: %w", cut.epoch, err))
			return
		}
		if ending || c.e.ctx.Err() != nil {
			c.gaveUp = true
			c.e.log.Error("the engine ends without a last checkpoint; the next start runs the epochs since the one before again", "error", err)
			return
		}
		select {
		case <-time.After(pause):
		case <-c.e.closing:
			ending = true
		case <-c.e.ctx.Done():
		}
		pause = min(2*pause, checkpointPauseMax)
	}
	c.failing.Store(nil)
	cut.free()
	c.done.Store(cut)
	if err := c.trim(cut); err != nil {
		c.e.log.Error("what is needed no more could not be removed; that is tried again after the next checkpoint", "error", err)
	}
}

func (c *checkpoints) wait() { c.wg.Wait() }

// errUnreadable is wrapped by the error about state that lies in a file and cannot be read.
var errUnreadable = errors.New("state that lies in a file cannot be read")

// writeReading is write. Blocks may lie in a file, which cannot be read when the disk fails.
func (c *checkpoints) writeReading(cut *checkpointCut) (err error) {
	debug.SetPanicOnFault(true)
	w, err := c.store.NewWriter(cut.epoch)
	if err != nil {
		return err
	}
	defer func() {
		if fault := faultOf(recover()); fault != nil {
			w.Abort()
			err = fmt.Errorf("%w: %w", errUnreadable, fault)
		}
	}()
	return c.write(cut, w)
}

// faultOf is the error behind a panic about memory that cannot be read; nil: there was no panic. Others go on.
func faultOf(panicked any) error {
	if panicked == nil {
		return nil
	}
	err, ok := panicked.(runtime.Error)
	if _, fault := panicked.(interface{ Addr() uintptr }); !ok || !fault {
		panic(panicked)
	}
	return err
}

func (c *checkpoints) write(cut *checkpointCut, w *checkpoint.Writer) error {
	for _, id := range cut.drops {
		w.DropOp(id)
	}
	for worker, part := range cut.parts {
		for i := range part {
			b := &part[i]
			switch b.what {
			case blockData:
				if err := w.Block(b.op, uint16(worker), b.slice, b.bytes()); err != nil {
					w.Abort()
					return err
				}
				b.block.Evict() // it stays until all is written, but need not be in memory
			case blockDrop:
				w.Drop(b.op, b.slice)
			case blockDropOp:
				w.DropOp(b.op)
			case blockRewrite:
				w.Rewrite(b.op, uint16(worker), b.slice)
			}
		}
	}
	return w.Commit(cut.encode())
}

// epochsKept is how many epoch records vigil.epochs shows beyond what recovery needs.
const epochsKept = 1000

// trim forgets what recovery needs no more.
func (c *checkpoints) trim(cut *checkpointCut) error {
	e := c.e
	c.last.Store(cut.epoch)
	b := e.kv.NewBatch()
	gone, err := e.meta.PurgeDropped(b, cut.epoch)
	if err != nil {
		return err
	}
	if err := e.purgeTables(b, cut, gone); err != nil {
		return err
	}
	if cut.epoch > epochsKept {
		e.meta.TrimEpochs(b, cut.epoch-epochsKept)
	}
	now := int64(e.cfg.Clock())
	e.trimJournals(b, now)
	if err := b.Commit(false); err != nil {
		return err
	}
	if err := e.ioc.Trim(cut.epoch); err != nil {
		return err
	}
	e.startSweep()
	e.trimLogs(cut, now)
	return e.trimResults(cut, now)
}

// positions is a copy of what a cut says of results that are read.
func (c *checkpointCut) positions() *checkpointCut {
	to := &checkpointCut{epoch: c.epoch, streams: map[uint64]*streamCut{}}
	for id, s := range c.streams {
		to.streams[id] = &streamCut{id: id, next: maps.Clone(s.next)}
	}
	return to
}

// trimBeside drops results when all of them take more than they may, as far as the last checkpoint allows.
func (c *checkpoints) trimBeside() {
	e := c.e
	most, total := e.cfg.ResultsMax, e.results.Total()
	cut := c.done.Load()
	if most <= 0 || cut == nil || total <= max(most, c.left.Load())+most/64 || !c.trimming.CompareAndSwap(false, true) {
		return
	}
	c.wg.Add(1)
	go func() {
		defer c.wg.Done()
		err := e.trimResults(cut, int64(e.cfg.Clock()))
		c.left.Store(min(total, e.results.Total())) // what came meanwhile need not stay
		c.trimming.Store(false)
		if err != nil {
			e.log.Error("results could not be trimmed; that is tried again", "error", err)
			return
		}
		c.trimBeside() // nobody else looks at what came meanwhile if nothing comes from now on
	}()
}

// trimResults drops result rows beyond their queries' retention, and those of stages that have been read; what recovery may
// have to read again stays. Queries come and go meanwhile: of one that has gone there is nothing to trim, and what one that has come
// will read is younger than now.
func (e *Engine) trimResults(cut *checkpointCut, now int64) error {
	var all []results.Bounded
	for _, q := range e.trimmed(cut) {
		bounds := results.Bounds{BeforeClock: now - q.spec.Retention, MaxBytes: q.spec.RetentionBytes, KeepFrom: math.MaxInt64}
		if cut.stream(q.spec.ID) != nil {
			bounds.KeepFrom = cut.keepFrom(q.spec.ID, e.streamList())
		}
		if q.owner != q {
			bounds.BeforeClock = math.MaxInt64
		}
		if q.endless {
			bounds.Fold = foldRows
		}
		if err := e.results.Trim(q.spec.ID, bounds); err != nil {
			return err
		}
		if q.owner == q {
			all = append(all, results.Bounded{Query: q.spec.ID, Bounds: results.Bounds{KeepFrom: bounds.KeepFrom, Fold: bounds.Fold}})
		}
	}
	if most := e.cfg.ResultsMax; most > 0 {
		return e.results.TrimAll(all, most, now)
	}
	return nil
}

// trimmed lists the queries and stages whose results do not stay for ever.
func (e *Engine) trimmed(cut *checkpointCut) []*query {
	e.mu.RLock()
	defer e.mu.RUnlock()
	list := make([]*query, 0, len(e.queries))
	for id, q := range e.queries {
		if e.streams[id] != nil && cut.stream(id) == nil {
			continue // its readers came after the cut
		}
		if q.owner != q || q.spec.Retention > 0 {
			list = append(list, q)
		}
	}
	return list
}

// foldRows leaves of a changelog the rows that were inserted and not taken back.
func foldRows(rows []results.Row) []results.Row {
	var c Content
	for _, r := range rows {
		c.Change(r)
	}
	return c.Rows()
}

// manifestVersion 2 added what queries over several streams have reached; 3 is as 2, of a checkpoint whose blocks may be shared by queries,
// which who reads 2 would pass over.
const manifestVersion = 3

// encode makes the manifest's bytes: docs/formats/epochs.md.
func (c *checkpointCut) encode() []byte {
	b := []byte{manifestVersion}
	b = binary.AppendUvarint(b, c.epoch)
	b = binary.AppendUvarint(b, uint64(len(c.streams)))
	for _, s := range c.streams {
		b = binary.AppendUvarint(b, s.id)
		b = binary.AppendVarint(b, int64(s.watermark))
		b = binary.AppendUvarint(b, uint64(len(s.next)))
		for split, off := range s.next {
			b = binary.AppendVarint(b, int64(split))
			b = binary.AppendVarint(b, off)
		}
		b = binary.AppendUvarint(b, uint64(len(s.splits)))
		for _, sp := range s.splits {
			flags := byte(0)
			if sp.Seen {
				flags |= 1
			}
			if sp.Idle {
				flags |= 2
			}
			b = append(b, flags)
			b = binary.AppendVarint(b, int64(sp.ID))
			b = binary.AppendVarint(b, int64(sp.Max))
			b = binary.AppendVarint(b, int64(sp.Arrival))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.reached)))
	for id, at := range c.reached {
		b = binary.AppendUvarint(b, id)
		b = binary.AppendVarint(b, int64(at))
	}
	return b
}

func decodeManifest(data []byte) (*checkpointCut, error) {
	r := &byteReader{b: data}
	if err := kv.CheckVersion("the checkpoint manifest", data, 1, 2, manifestVersion); err != nil {
		return nil, err
	}
	v := r.byte()
	c := &checkpointCut{epoch: r.uint(), streams: map[uint64]*streamCut{}, reached: map[uint64]types.EventTime{}}
	for i, n := 0, r.count(); i < n && r.err == nil; i++ {
		s := &streamCut{id: r.uint(), watermark: types.EventTime(r.int()), next: map[int32]int64{}}
		for j, m := 0, r.count(); j < m && r.err == nil; j++ {
			split := int32(r.int())
			s.next[split] = r.int()
		}
		for j, m := 0, r.count(); j < m && r.err == nil; j++ {
			flags := r.byte()
			s.splits = append(s.splits, task.Split{Seen: flags&1 != 0, Idle: flags&2 != 0, ID: int32(r.int()),
				Max: types.EventTime(r.int()), Arrival: types.EventTime(r.int())})
		}
		c.streams[s.id] = s
	}
	if v > 1 {
		for i, n := 0, r.count(); i < n && r.err == nil; i++ {
			id := r.uint()
			c.reached[id] = types.EventTime(r.int())
		}
	}
	if r.err == nil && len(r.b) != 0 {
		r.fail()
	}
	if r.err != nil {
		return nil, fmt.Errorf("checkpoint manifest: %w", r.err)
	}
	return c, nil
}
