package op

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Restore implements Stateful.
func (o *Over) Restore(in StateReader, own func(hash uint64) bool) error {
	r := overRestorer{o: o, own: own, watermark: types.MinTime}
	n := 0
	err := in.Blocks(func(start int64, data []byte) error {
		n++
		if err := r.block(start, slices.Clone(data)); err != nil {
			return sqlerr.New(sqlerr.DataCorrupted, "state of window functions: block %d: %v", n, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := r.finish(); err != nil {
		return sqlerr.New(sqlerr.DataCorrupted, "state of window functions: %v", err)
	}
	return nil
}

// overRestorer takes blocks back.
type overRestorer struct {
	o         *Over
	own       func(hash uint64) bool
	watermark types.EventTime
	// waiting are the blocks of rows that wait, which can be read when the watermark is known.
	waiting []overBlock
	// numbers are, by partition, those of the rows in its chain.
	numbers [][]uint64
	seq     uint64 // above all numbers of arrival
	args    []*batch.Vec
	dense   []batch.Vec
}

type overBlock struct {
	start int64
	data  []byte
}

func (r *overRestorer) block(start int64, src []byte) error {
	if err := blockVersion("a block of window functions", src, overVersion); err != nil {
		return err
	}
	if len(src) < 2 {
		return fmt.Errorf("a block of window functions has %d bytes", len(src))
	}
	switch {
	case src[1] == overWaiting && start != overPast && floorTo(start, overBucket) == start:
		r.waiting = append(r.waiting, overBlock{start, src[2:]})
		return nil
	case src[1] == overPartitions && start == overPast:
		return r.partitions(src[2:])
	}
	return fmt.Errorf("a state block in the wrong place")
}

func (r *overRestorer) partitions(src []byte) error {
	wm, width := binary.Varint(src)
	if width <= 0 {
		return fmt.Errorf("block ends early")
	}
	r.watermark = max(r.watermark, types.EventTime(wm))
	src = src[width:]
	for len(src) > 0 {
		key, body, rest, err := cutEntry(src)
		if err != nil {
			return err
		}
		src = rest
		if !r.own(batch.HashKey(key)) {
			continue
		}
		g, err := r.partition(key)
		if err == nil {
			err = r.load(g, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// partition finds or makes the partition of a key.
func (r *overRestorer) partition(key []byte) (uint32, error) {
	o := r.o
	rest, err := agg.SkipKey(key, o.keys.types)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("key has %d bytes too many", len(rest))
	}
	if err != nil {
		return 0, err
	}
	one := batch.Keys{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{batch.HashKey(key)}}
	if o.gids, err = o.table.FindOrAdd(stateRows(&one), batch.All(1), o.gids[:0]); err != nil {
		return 0, err
	}
	o.growParts()
	for len(r.numbers) < len(o.parts) {
		r.numbers = append(r.numbers, nil)
	}
	return o.gids[0], nil
}

// load takes over one entry of a partition.
func (r *overRestorer) load(g uint32, src []byte) error {
	o := r.o
	p := &o.parts[g]
	if len(src) == 0 || src[0] > 1 {
		return fmt.Errorf("bad entry of a partition")
	}
	if src[0] == 1 {
		o.forget(g)
		r.numbers[g] = r.numbers[g][:0]
	}
	src = src[1:]
	for _, to := range [...]*uint64{&p.taken, &p.left, &p.base, &p.rank, &p.dense} {
		u, width := binary.Uvarint(src)
		if width <= 0 || u > math.MaxInt64 {
			return fmt.Errorf("bad number of a partition")
		}
		*to, src = u, src[width:]
	}
	last, width := binary.Varint(src)
	if width <= 0 || p.left > p.taken || p.base > p.taken {
		return fmt.Errorf("bad number of a partition")
	}
	p.last, src = last, src[width:]
	p.saved = p.taken
	src, err := r.lasting(g, src)
	for err == nil && len(src) > 0 {
		src, err = r.row(g, src)
	}
	return err
}

// lasting reads the frames that begin where the partition does, and their accumulators.
func (r *overRestorer) lasting(g uint32, src []byte) ([]byte, error) {
	o := r.o
	for f := range o.frames {
		if !o.frames[f].fromStart {
			continue
		}
		end, width := binary.Uvarint(src)
		if width <= 0 || end > o.parts[g].taken {
			return nil, fmt.Errorf("bad end of a frame")
		}
		src = src[width:]
		o.cursors[int(g)*len(o.frames)+f] = overCursor{endRow: end, start: noSlot, last: noSlot}
	}
	for i := range o.funcs {
		fn := &o.funcs[i]
		if !o.lasting(fn) {
			continue
		}
		// An earlier entry may be there.
		at := int(g)*o.slab.Stride + fn.off
		clear(o.slab.Words[at : at+fn.kernel.Words()])
		var err error
		if src, err = fn.kernel.Load(src, &o.slab, fn.off, g); err != nil {
			return nil, err
		}
	}
	return src, nil
}

// row reads one row of a partition's past.
func (r *overRestorer) row(g uint32, src []byte) ([]byte, error) {
	o := r.o
	number, width := binary.Uvarint(src)
	if width <= 0 {
		return nil, fmt.Errorf("row ends early")
	}
	src = src[width:]
	t, width := binary.Varint(src)
	list := r.numbers[g]
	if width <= 0 || number >= o.parts[g].taken || len(list) > 0 && number <= list[len(list)-1] || len(o.frames) == 0 {
		return nil, fmt.Errorf("bad row of a partition")
	}
	src, err := r.values(src[width:], o.rows.types)
	if err != nil {
		return nil, err
	}
	slot, err := o.rows.add(t, r.dense, 0)
	if err != nil {
		return nil, err
	}
	o.chain(&o.parts[g], slot)
	r.numbers[g] = append(list, number)
	return src, nil
}

// values reads one row of columns into dense.
func (r *overRestorer) values(src []byte, list []types.Type) ([]byte, error) {
	rest, err := agg.SkipKey(src, list)
	if err != nil {
		return nil, err
	}
	r.args = r.args[:0]
	for len(r.dense) < len(list) {
		r.dense = append(r.dense, batch.Vec{})
	}
	r.dense = r.dense[:len(list)]
	for i := range list {
		r.dense[i].Reset(list[i])
		r.args = append(r.args, &r.dense[i])
	}
	_, err = batch.DecodeKey(src, r.args)
	return rest, err
}

// finish trims the partitions to what they held, and takes the rows that wait.
func (r *overRestorer) finish() error {
	o := r.o
	o.watermark = r.watermark
	for g := range r.numbers {
		err := r.trim(uint32(g))
		if p := &o.parts[g]; err == errRowsMissing && o.back != overForever && (p.left == 0 || addTime(p.last, o.back) < o.leaveLimit()) {
			// It was forgotten when a part of it had been copied; no row can look back to the rest.
			o.forget(uint32(g))
			p.taken, p.left, p.base, p.saved = 0, 0, 0, 0
			err = nil
		}
		if err != nil {
			return err
		}
	}
	for _, b := range r.waiting {
		if err := r.rowsOf(b); err != nil {
			return err
		}
	}
	o.pending.seq, o.saved.watermark = r.seq, types.MinTime
	behind := make([]uint64, len(o.parts))
	for _, c := range o.pending.chunks {
		c.settle()
		for c.taken < len(c.order) && c.times[c.order[c.taken]] < int64(o.watermark) {
			behind[c.gids[c.order[c.taken]]]++
			c.taken++
		}
		c.nextTake = c.timeAt(c.taken)
	}
	for g := range o.parts {
		p := &o.parts[g]
		if behind[g] == 0 && p.taken > p.left && o.back != overForever {
			// It was forgotten after this, which is not written down.
			o.forget(uint32(g))
			p.taken, p.left, p.base, p.saved = 0, 0, 0, 0
		}
		if behind[g] != p.taken-p.left {
			return fmt.Errorf("a partition has %d rows ahead, %d of them were saved", p.taken-p.left, behind[g])
		}
	}
	o.saved.restored = len(r.numbers) > 0
	return nil
}

var errRowsMissing = errors.New("rows of a partition are missing")

// trim lets go the rows of a partition that it no longer held, and finds the ends of its lasting frames.
func (r *overRestorer) trim(g uint32) error {
	o := r.o
	p := &o.parts[g]
	base, held, first := p.base, uint64(0), uint64(0)
	for _, number := range r.numbers[g] {
		if number >= base {
			if number != base+held {
				return errRowsMissing
			}
			held++
			continue
		}
		if number < o.pins {
			if number != first {
				return fmt.Errorf("first rows of a partition are missing")
			}
			first++
		}
		slot := p.head
		p.head, p.base = o.rows.next(slot), number
		o.letGo(p, slot)
	}
	if p.base = base; p.head == noSlot {
		p.tail = noSlot
	}
	if len(o.frames) > 0 && (held != p.taken-base || first < min(o.pins, base)) {
		return errRowsMissing
	}
	return r.ends(g)
}

// ends finds the last rows of lasting frames.
func (r *overRestorer) ends(g uint32) error {
	o := r.o
	p := &o.parts[g]
	for f := range o.frames {
		c := &o.cursors[int(g)*len(o.frames)+f]
		if !o.frames[f].fromStart || c.endRow == 0 || c.stale {
			continue
		}
		if c.endRow-1 < p.base {
			return errRowsMissing
		}
		c.last = p.head
		for n := p.base; n < c.endRow-1; n++ {
			c.last = o.rows.next(c.last)
		}
	}
	return nil
}

// rowsOf takes the rows of a block that still wait.
func (r *overRestorer) rowsOf(b overBlock) error {
	o := r.o
	src, present, err := r.waitingHead(b.data)
	if err != nil {
		return err
	}
	var list []types.Type
	for i, c := range o.pending.in.Cols {
		if present[i] {
			list = append(list, c.Type)
		}
	}
	list = append(list, o.rows.types...)
	for len(src) > 0 {
		key, rest, err := cutBytes(src)
		if err != nil {
			return err
		}
		at, width := binary.Uvarint(rest)
		if width <= 0 || at >= overBucket {
			return fmt.Errorf("bad time of a row")
		}
		rest = rest[width:]
		seq, width := binary.Uvarint(rest)
		if width <= 0 || seq > math.MaxInt64 {
			return fmt.Errorf("row ends early")
		}
		if src, err = r.values(rest[width:], list); err != nil {
			return err
		}
		t := addTime(b.start, int64(at))
		if t < o.leaveLimit() || !r.own(batch.HashKey(key)) {
			continue
		}
		if err := r.wait(key, present, t, seq); err != nil {
			return err
		}
	}
	if !slices.Contains(o.saved.slices, b.start) {
		o.saved.slices = append(o.saved.slices, b.start)
	}
	return nil
}

func (r *overRestorer) waitingHead(src []byte) (rest []byte, present []bool, err error) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n != uint64(len(r.o.pending.in.Cols)) || n > uint64(len(src)-width) {
		return nil, nil, fmt.Errorf("state block is not of the query's columns")
	}
	src = src[width:]
	for _, b := range src[:n] {
		if b > 1 {
			return nil, nil, fmt.Errorf("bad mark of a column")
		}
		present = append(present, b == 1)
	}
	if !present[r.o.spec.TimeCol] {
		return nil, nil, fmt.Errorf("rows without a time")
	}
	src = src[n:]
	n, width = binary.Uvarint(src)
	if width <= 0 || n != uint64(len(r.o.rows.types)) {
		return nil, nil, fmt.Errorf("state block is not of the query's functions")
	}
	return src[width:], present, nil
}

// wait adds the row in dense to those that wait.
func (r *overRestorer) wait(key []byte, present []bool, t int64, seq uint64) error {
	o := r.o
	g, err := r.partition(key)
	if err != nil {
		return err
	}
	c := o.pending.room(func(col int) bool { return !present[col] })
	next := 0
	for i := range c.in.Cols {
		col := &c.in.Cols[i]
		if present[i] {
			col.AppendFrom(&r.dense[next], 0)
			next++
		}
	}
	for i := range c.args.Cols {
		c.args.Cols[i].AppendFrom(&r.dense[next+i], 0)
	}
	c.in.N, c.args.N = c.in.N+1, c.args.N+1
	o.parts[g].waiting++
	o.pending.seq = seq
	o.pending.note(c, g, t)
	r.seq = max(r.seq, seq+1)
	return nil
}
