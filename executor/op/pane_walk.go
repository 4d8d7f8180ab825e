package op

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/types"
)

// keyWalk puts together the windows of one key, one after the other, with the same merges in the same order as pastPanes, so
// that both come to the same results.
type keyWalk struct {
	p     *PaneAgg
	kid   uint32
	valid bool
	block types.EventTime
	// fronts[i] is the state from the pane at frontAt[i] up to the block, the latest pane first; used of them count.
	fronts  []agg.Slab
	frontAt []types.EventTime
	used    int
	back    agg.Slab
	merged  types.EventTime // where the back ends
	hasBack bool
}

func (k *keyWalk) init(p *PaneAgg) {
	k.p, k.back.Stride = p, p.stride
}

// begin starts with another key, or after panes have changed.
func (k *keyWalk) begin(kid uint32) { k.kid, k.valid = kid, false }

// addTo folds the state of the key in the window that ends at end, which is later than that of the last call, into a group
// of dst; ok is false when the window has no rows of the key.
func (k *keyWalk) addTo(dst *agg.Slab, dg uint32, end types.EventTime) (ok bool, err error) {
	p := k.p
	if p.past.single {
		return k.addPane(dst, dg, end)
	}
	start, block := p.grid.Start(end), p.grid.Block(end)
	if !k.valid || k.block != block {
		if err := k.rebuild(start, block); err != nil {
			return false, err
		}
	}
	for at := p.paneAt(k.merged); at < len(p.panes) && p.panes[at].start < end; at++ {
		if gid, ok := p.panes[at].find(k.kid); ok {
			k.hasBack = true
			if err := p.merge(&k.back, 0, &p.panes[at].slab, gid); err != nil {
				return false, err
			}
		}
	}
	k.merged = end
	for k.used > 0 && k.frontAt[k.used-1] < start {
		k.used--
	}
	if k.used > 0 {
		if err := p.merge(dst, dg, &k.fronts[k.used-1], 0); err != nil {
			return false, err
		}
	}
	if k.hasBack {
		return true, p.merge(dst, dg, &k.back, 0)
	}
	return k.used > 0, nil
}

// addPane is addTo where a window is a pane.
func (k *keyWalk) addPane(dst *agg.Slab, dg uint32, end types.EventTime) (bool, error) {
	p, start := k.p, types.EventTime(0)
	if p.windowed {
		start = p.grid.Start(end)
	}
	at := p.paneAt(start)
	if at == len(p.panes) || p.panes[at].start != start {
		return false, nil
	}
	gid, ok := p.panes[at].find(k.kid)
	if !ok {
		return false, nil
	}
	return true, p.merge(dst, dg, &p.panes[at].slab, gid)
}

// rebuild makes the front of a block.
func (k *keyWalk) rebuild(start, block types.EventTime) error {
	p := k.p
	k.used, k.frontAt = 0, k.frontAt[:0]
	for at := p.paneAt(block) - 1; at >= 0 && p.panes[at].start >= start; at-- {
		gid, ok := p.panes[at].find(k.kid)
		if !ok {
			continue
		}
		if k.used == len(k.fronts) {
			k.fronts = append(k.fronts, agg.Slab{Stride: p.stride})
		}
		s := &k.fronts[k.used]
		s.Reset()
		s.Grow(1)
		if err := p.merge(s, 0, &p.panes[at].slab, gid); err != nil {
			return err
		}
		if k.used > 0 {
			if err := p.merge(s, 0, &k.fronts[k.used-1], 0); err != nil {
				return err
			}
		}
		k.used++
		k.frontAt = append(k.frontAt, p.panes[at].start)
	}
	k.back.Reset()
	k.back.Grow(1)
	k.hasBack, k.valid = false, true
	k.block, k.merged = block, block
	return nil
}
