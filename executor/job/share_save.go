package job

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/kv"
)

// A checkpoint has what a group shares once, under an id that no operator has: docs/formats/state.md. Beside it lies who the members are.
// Whatever a member holds itself is in the blocks of its own operators.

const (
	// groupBit is set in the ids of what groups share. The rest of the id is a number, each start's begin after those of the checkpoint.
	groupBit = 1 << 63
	// groupSlice is the slice of the members, which no operator has.
	groupSlice   = math.MinInt64 + 1
	groupVersion = 1
)

// opOf is the id under which checkpoints have the state of a group.
func (w *worker) opOf(g *group) uint64 {
	if g.op == 0 {
		g.op = groupBit | w.e.groupOps.Add(1)
	}
	return g.op
}

// dropState forgets the state of a group, which nobody is a member of.
func (w *worker) dropState(g *group) {
	if g.state == nil {
		return
	}
	g.state.Close()
	g.state, g.complete, g.saved = nil, false, nil
	g.stream.deadlines.set(&g.timer, types.MaxTime)
	if g.op != 0 {
		w.forgetBlocks(map[uint64]bool{g.op: true})
		w.goneOps = append(w.goneOps, g.op)
		g.op = 0
	}
}

// snapshotGroups writes what members hold in shared state.
func (w *worker) snapshotGroups(cut *checkpointCut) {
	part := &cut.parts[w.index]
	for _, id := range w.goneOps {
		*part = append(*part, stateBlock{op: id, what: blockDropOp})
	}
	w.goneOps = w.goneOps[:0]
	for _, g := range w.shared {
		if g.state == nil || !g.changed || g.op == 0 && !g.state.Open() {
			continue
		}
		g.changed = false
		out := cutWriter{part: part, op: w.opOf(g), copies: w.copies}
		err := guard(func() error {
			if err := w.saveMembers(g, out); err != nil {
				return err
			}
			return g.state.Snapshot(out)
		})
		if err != nil {
			cut.fail(fmt.Errorf("snapshot of state that queries share: %w", err))
		}
	}
}

// saveMembers writes who the members are, unless the checkpoint has it.
func (w *worker) saveMembers(g *group, out cutWriter) error {
	n := 0
	for _, wq := range g.queries {
		if wq.member != nil && !wq.dead {
			n++
		}
	}
	b := []byte{groupVersion}
	b = binary.AppendUvarint(b, uint64(n))
	for _, wq := range g.queries {
		if wq.member == nil || wq.dead {
			continue
		}
		record := g.state.Record(nil, wq.member)
		b = binary.AppendUvarint(b, wq.q.spec.ID)
		b = append(binary.AppendUvarint(b, uint64(len(record))), record...)
	}
	if bytes.Equal(b, g.saved) {
		return nil
	}
	g.saved = b
	if err := out.Rewrite(groupSlice); err != nil {
		return err
	}
	return out.Block(groupSlice, b)
}

// savedGroup is what a checkpoint has of state that queries shared in one of the workers that there were.
type savedGroup struct {
	op      uint64
	members []uint64          // queries, in the order in which they came
	records map[uint64][]byte // what is told of each
}

// decodeGroup reads what saveMembers has written.
func decodeGroup(data []byte) (savedGroup, error) {
	if err := kv.CheckVersion("a block of the members of shared state", data, groupVersion); err != nil {
		return savedGroup{}, err
	}
	r := &byteReader{b: data[1:]}
	g := savedGroup{records: map[uint64][]byte{}}
	for i, n := 0, r.count(); i < n && r.err == nil; i++ {
		id := r.uint()
		size := r.count()
		if r.err != nil || size > len(r.b) {
			r.fail()
			break
		}
		if _, again := g.records[id]; !again {
			g.members, g.records[id] = append(g.members, id), bytes.Clone(r.b[:size])
		}
		r.b = r.b[size:]
	}
	if r.err == nil && len(r.b) != 0 {
		r.fail()
	}
	if r.err != nil {
		return g, fmt.Errorf("members of shared state: %w", r.err)
	}
	return g, nil
}
