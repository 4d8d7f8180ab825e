package op

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/vigil-sql/vigil/executor/agg"
)

// stateShared is set in the versions of blocks of what a SharedState holds. Its aggregates come and go with the members, so that each
// state is preceded by its length: one that nobody wants is passed over.
const stateShared = 0x40

var errRecord = errors.New("what the checkpoint has of a member of shared state is damaged")

// SavedMember is a member of a SharedState that a checkpoint tells of, and what Record wrote of it.
type SavedMember struct {
	*Member
	Record []byte
}

// unionCalls tell which aggregates of a union those of the checkpoint that is being loaded are.
type unionCalls struct {
	at []int // by the number there; -1: nobody's
	// number is that of the member in hand.
	number uint32
	state  []byte
	// n is how many states the entries have that are being loaded; failed are lists of failures. Both are SharedWhole's.
	n      int
	failed [][]failure
}

// put tells that the aggregate at a place there is the i-th here.
func (u *unionCalls) put(at, i int) {
	for len(u.at) <= at {
		u.at = append(u.at, -1)
	}
	u.at[at] = i
}

func (u *unionCalls) begin() { u.at = u.at[:0] }

// next is the number of the next member.
func (c *sharedCalls) next() uint32 {
	c.numbers++
	return c.numbers
}

// What a record says of the rest of it: all of the member's state is shared, or it has some itself.
const recordShared, recordOwn = 0, 1

// SharesAll reports that a member of which a checkpoint tells had nothing beside what was shared.
func SharesAll(record []byte) bool { return len(record) > 0 && record[0] == recordShared }

// appendMember writes whether a member has something of its own, its number, and where its aggregates are.
func appendMember(dst []byte, m *Member, sharedAt []int, owns bool) []byte {
	if owns {
		dst = append(dst, recordOwn)
	} else {
		dst = append(dst, recordShared)
	}
	dst = binary.AppendUvarint(dst, uint64(m.number))
	dst = binary.AppendUvarint(dst, uint64(len(sharedAt)))
	for _, at := range sharedAt {
		dst = binary.AppendUvarint(dst, uint64(at))
	}
	return dst
}

// member reads what appendMember has written of a member that has its aggregates at places of the union, and returns what follows it.
func (u *unionCalls) member(sharedAt []int, record []byte) ([]byte, error) {
	if len(record) == 0 || record[0] > recordOwn {
		return nil, errRecord
	}
	number, record, err := cutUvarint(record[1:])
	if err != nil || number > math.MaxUint32 {
		return nil, errRecord
	}
	u.number = uint32(number)
	n, record, err := cutUvarint(record)
	if err != nil || n != uint64(len(sharedAt)) {
		return nil, fmt.Errorf("shared state is not of a query with %d aggregates", len(sharedAt))
	}
	for _, to := range sharedAt {
		var at uint64
		if at, record, err = cutUvarint(record); err != nil || at > math.MaxUint16 {
			return nil, errRecord
		}
		u.put(int(at), to)
	}
	return record, nil
}

// appendHead begins a block of states in groups of so many words.
func (g *grouping) appendHead(dst []byte, version byte, words int) []byte {
	n := len(g.aggs)
	if g.union != nil {
		version |= stateShared
		n = g.within(words)
	}
	return binary.AppendUvarint(append(dst, version), uint64(n))
}

// blockEntries reads the head of a block, and returns what follows it.
func (g *grouping) blockEntries(block []byte, version byte) ([]byte, error) {
	if g.union != nil {
		version |= stateShared
	}
	if err := blockVersion("a block of a grouping by windows", block, version); err != nil {
		return nil, err
	}
	n, width := binary.Uvarint(block[1:])
	if width <= 0 || g.union == nil && n != uint64(len(g.aggs)) {
		return nil, fmt.Errorf("state block is not of a query with %d aggregates", len(g.aggs))
	}
	return block[1+width:], nil
}

// appendStates writes the states of a group.
func (g *grouping) appendStates(dst []byte, s *agg.Slab, gid uint32) []byte {
	if g.union == nil {
		for i := range g.aggs {
			dst = g.aggs[i].kernel.Append(dst, s, g.offs[i], gid)
		}
		return dst
	}
	for i := range g.aggs[:g.within(s.Stride)] {
		g.union.state = g.union.state[:0]
		if !g.aggs[i].off {
			g.union.state = g.aggs[i].kernel.Append(g.union.state, s, g.offs[i], gid)
		}
		dst = appendCounted(dst, g.union.state)
	}
	return dst
}

// loadStates reads what appendStates has written.
func (g *grouping) loadStates(entry []byte, s *agg.Slab, gid uint32) (err error) {
	if g.union != nil {
		return g.loadUnion(entry, s, gid)
	}
	for i := range g.aggs {
		if entry, err = g.aggs[i].kernel.Load(entry, s, g.offs[i], gid); err != nil {
			return err
		}
	}
	if len(entry) > 0 {
		return fmt.Errorf("entry has %d bytes too many", len(entry))
	}
	return nil
}

func (g *grouping) loadUnion(entry []byte, s *agg.Slab, gid uint32) error {
	for n := 0; len(entry) > 0; n++ {
		var one []byte
		var err error
		if one, entry, err = cutBytes(entry); err != nil {
			return err
		}
		if n >= len(g.union.at) || g.union.at[n] < 0 || len(one) == 0 {
			continue
		}
		i := g.union.at[n]
		rest, err := g.aggs[i].kernel.Load(one, s, g.offs[i], gid)
		if err == nil && len(rest) > 0 {
			err = fmt.Errorf("a state has %d bytes too many", len(rest))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
