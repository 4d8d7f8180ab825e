package op

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/executor/window"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Advance implements Operator.
func (p *PaneAgg) Advance(watermark types.EventTime, out Emitter) error {
	return p.advance(watermark, out)
}

// advance moves time on: it closes windows, in the order of their ends, and drops panes that no window needs any more.
func (p *PaneAgg) advance(watermark types.EventTime, out Emitter) error {
	if watermark <= p.watermark {
		return nil
	}
	switch p.emit.Mode {
	case spec.EmitFinal:
		if err := p.changes.flush(types.MaxTime, out); err != nil {
			return err
		}
		for end := p.nextEnd(); end <= min(watermark, p.upTo) && end != types.MaxTime; end = p.nextEnd() {
			if err := p.closeWindow(end, out); err != nil {
				return err
			}
			p.watermark = end
		}
	case spec.EmitEvery:
		upTo := types.MaxTime
		if watermark != types.MaxTime {
			upTo = minus(watermark, p.lateness) // final windows, before their panes go or take other rows
			p.changes.final = max(p.changes.final, upTo)
		}
		if err := p.changes.flush(upTo, out); err != nil {
			return err
		}
	case spec.EmitUpdate:
		if err := p.changes.flush(types.MaxTime, out); err != nil {
			return err
		}
	}
	p.watermark = watermark
	p.dropPanes()
	return nil
}

// EndEpoch implements EpochEnder: EMIT EVERY tells what changed in windows that have ended, and in all of them when the
// watermark passed a multiple in the epoch.
func (p *PaneAgg) EndEpoch(out Emitter) error {
	if p.emit.Mode != spec.EmitEvery {
		return nil
	}
	return p.changes.flush(p.endEpoch(), out)
}

// endEpoch notes the end of an epoch, and returns the end of the last window of which it makes EMIT EVERY tell.
func (p *PaneAgg) endEpoch() types.EventTime {
	upTo := p.watermark
	if multiples(p.watermark, p.emit.Every) != multiples(p.ended, p.emit.Every) {
		upTo = types.MaxTime
	}
	p.ended = p.watermark
	return upTo
}

// Holding implements EpochEnder.
func (p *PaneAgg) Holding() bool {
	return p.emit.Mode == spec.EmitEvery && (len(p.changes.list) > 0 || p.shared != nil && p.shared.all.Holding())
}

// multiples is t / every, rounded down.
func multiples(t types.EventTime, every int64) int64 {
	n := int64(t) / every
	if int64(t)%every < 0 {
		n--
	}
	return n
}

// nextEnd returns the end of the first window after the watermark that has a pane; MaxTime: none.
func (p *PaneAgg) nextEnd() types.EventTime {
	if len(p.panes) == 0 {
		return types.MaxTime
	}
	end := p.grid.FirstEnd(p.panes[0].start)
	if end > p.watermark {
		return end
	}
	if !p.grid.Within(p.watermark) {
		return types.MaxTime
	}
	end = p.grid.FirstEnd(p.watermark)
	at := p.paneAt(p.grid.Start(end))
	if at == len(p.panes) {
		return types.MaxTime
	}
	return max(end, p.grid.FirstEnd(p.panes[at].start))
}

// Deadline implements Deadliner.
func (p *PaneAgg) Deadline() types.EventTime {
	if len(p.panes) == 0 {
		return types.MaxTime
	}
	due := types.MaxTime
	if p.windowed {
		due = plus(p.grid.LastEnd(p.panes[0].start), p.lateness)
	}
	switch {
	case p.emit.Mode == spec.EmitFinal:
		if end := p.nextEnd(); end <= p.upTo {
			due = min(due, end)
		}
	case p.emit.Mode == spec.EmitEvery && len(p.changes.list) > 0:
		due = min(due, plus(p.changes.least, p.lateness))
	}
	return due
}

// dropPanes forgets the panes whose windows are all final.
func (p *PaneAgg) dropPanes() {
	n := 0
	for n < len(p.panes) && p.windowed && plus(p.grid.LastEnd(p.panes[n].start), p.lateness) <= p.watermark {
		p.drop(p.panes[n])
		n++
	}
	if n == 0 {
		return
	}
	p.panes = slices.Delete(p.panes, 0, n) // nothing behind its end holds a pane
	if dead := p.dict.Len() - p.alive; dead > p.alive && dead > p.renumberMin {
		p.renumber()
	}
}

// drop takes a pane out of everything but the list.
func (p *PaneAgg) drop(pn *pane) {
	if pn.stored() {
		p.dropped = append(p.dropped, int64(pn.start))
	}
	if p.sharing != nil {
		p.sharing.leavePane(pn)
	}
	if p.current == pn {
		p.current = nil
	}
	p.past.leave(pn)
	p.firsts.leave(pn)
	for _, kid := range pn.ids {
		if p.refs[kid]--; p.refs[kid] == 0 {
			p.alive--
		}
	}
	pn.reset()
	if len(p.free) < panesFreeMax {
		p.free = append(p.free, pn)
		return
	}
	pn.freeMemory()
}

// renumberMin is the number of keys that no pane has up to which getting rid of them does not pay.
const renumberMin = 1024

// renumber makes a new dictionary of the keys that some pane has.
func (p *PaneAgg) renumber() {
	old, refs, refBlock := p.dict, p.refs, p.refBlock
	to := make([]uint32, old.Len())
	p.dict, p.refs, p.refBlock = state.Table{Mem: p.mem}, nil, arena.Block{}
	var one []uint32
	for kid := range to {
		if refs[kid] == 0 {
			continue
		}
		key := old.Key(uint32(kid))
		rows := state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{old.Hash(uint32(kid))}}
		// Fewer keys than before cannot be too many.
		one, _ = p.dict.FindOrAdd(rows, batch.All(1), one[:0])
		to[kid] = one[0]
		p.refs = arena.Append(p.mem, &p.refBlock, p.refs, refs[kid])
	}
	old.Free()
	refBlock.Free()
	for _, pn := range p.panes {
		pn.renumber(to)
	}
	p.past.forget()
	p.changes.renumber(to)
	p.firsts.renumber(to)
	p.out.ordered = 0
}

// windowOf is the window that ends at end; of a grouping without windows, all of time.
func (p *PaneAgg) windowOf(end types.EventTime) window.Window {
	if !p.windowed {
		return window.Window{Start: types.MinTime, End: types.MaxTime}
	}
	return window.Window{Start: p.grid.Start(end), End: end}
}
