package job

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/predindex"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// ruleset is the predicates of all queries that read a stream, indexed in segments. A query that comes makes a new segment, small
// neighbours are built into one at once, larger ones beside the stream, by a goroutine of their own; a query that goes is marked
// dead in its segment. So a change costs about the same however many queries there are, and does not hold the stream up. Which
// segment a query is in never changes what it finds. The sequencer owns it.
type ruleset struct {
	schema   *types.Schema
	segments []planSegment
	at       map[reader]located
	// near makes the estimates for what is built at once, far those for what is built beside the stream.
	near, far *predindex.Estimates
	// building: a build of the segments before upTo is under way; what leaves meanwhile is still in it.
	building bool
	upTo     int
	// changed is when a query last came or went; resample: the estimates are newer than the segments.
	changed  time.Time
	resample bool
}

// located is where a reader is.
type located struct {
	seg     *segment
	ordinal uint32
}

// segment is an immutable index over some readers.
type segment struct {
	index   *predindex.Index
	readers []reader
	// Readers whose predicates are the same share a rule of the index: those of rule i are members, as ordinals, from firsts[i] to
	// firsts[i+1]. classOf is the way back.
	members, firsts []uint32
	classOf         []uint32
	// broken: the index panicked.
	broken atomic.Bool
}

// class are the ordinals of the readers of a rule.
func (s *segment) class(rule int) []uint32 { return s.members[s.firsts[rule]:s.firsts[rule+1]] }

// rules is the number of rules of the index.
func (s *segment) rules() int { return len(s.firsts) - 1 }

// planSegment is a segment with what of it counts no more: bit sets of readers, and of the rules without readers. They are copied
// to be changed.
type planSegment struct {
	*segment
	dead, skip []uint64
	live       int
}

func newRuleset(schema *types.Schema) *ruleset {
	return &ruleset{schema: schema, at: map[reader]located{},
		near: predindex.NewEstimates(nil), far: predindex.NewEstimates(nil)}
}

// newSegment indexes the predicates of readers.
func newSegment(schema *types.Schema, readers []reader, est *predindex.Estimates) *segment {
	s := &segment{readers: readers, classOf: make([]uint32, len(readers))}
	byKey := map[string]uint32{}
	var list []*predindex.Predicate
	var classes [][]uint32
	for i, r := range readers {
		p := r.predicate()
		class, known := byKey[p.Key()]
		if !known || p.Key() == "" {
			class = uint32(len(list))
			byKey[p.Key()] = class
			list, classes = append(list, p), append(classes, nil)
		}
		classes[class] = append(classes[class], uint32(i))
		s.classOf[i] = class
	}
	s.members, s.firsts = make([]uint32, 0, len(readers)), make([]uint32, 1, len(classes)+1)
	for _, c := range classes {
		s.members = append(s.members, c...)
		s.firsts = append(s.firsts, uint32(len(s.members)))
	}
	s.index = predindex.Build(schema, list, est)
	return s
}

func (r reader) predicate() *predindex.Predicate { return r.q.fronts[r.input].predicate }

func (r reader) in() *task.Input { return &r.q.parts.Inputs[r.input] }

// nearMax is up to how many readers are built into one segment at once.
const nearMax = 64

// add brings a reader in.
func (rs *ruleset) add(r reader) {
	list := []reader{r}
	n := len(rs.segments)
	for n > 0 && rs.segments[n-1].live <= 2*len(list) && rs.segments[n-1].live+len(list) <= nearMax && !rs.locked(n-1) {
		list = append(rs.segments[n-1].alive(), list...)
		n--
	}
	rs.segments = append(rs.segments[:n:n], rs.install(newSegment(rs.schema, list, rs.near)))
	rs.changed = time.Now()
}

// locked: the segment is among those that a build is made from.
func (rs *ruleset) locked(i int) bool { return rs.building && i < rs.upTo }

// install makes a segment the place of its readers.
func (rs *ruleset) install(s *segment) planSegment {
	for i, r := range s.readers {
		rs.at[r] = located{s, uint32(i)}
	}
	return planSegment{segment: s, live: len(s.readers)}
}

// remove takes a reader out.
func (rs *ruleset) remove(r reader) {
	p, ok := rs.at[r]
	if !ok {
		return
	}
	delete(rs.at, r)
	rs.bury(p)
	rs.changed = time.Now()
}

// bury marks a reader dead in its segment.
func (rs *ruleset) bury(p located) {
	i := slices.IndexFunc(rs.segments, func(s planSegment) bool { return s.segment == p.seg })
	s := rs.segments[i]
	s.live--
	if s.live == 0 && !rs.locked(i) {
		rs.segments = slices.Delete(slices.Clone(rs.segments), i, i+1)
		return
	}
	s.dead, s.skip = withRoom(s.dead, len(s.readers)), withRoom(s.skip, s.rules())
	s.mark(p.ordinal)
	rs.segments = slices.Clone(rs.segments)
	rs.segments[i] = s
}

// mark notes that a reader is dead, and its rule if no other has it. The bit sets must be the segment's own, with room.
func (s *planSegment) mark(ordinal uint32) {
	setBit(s.dead, ordinal)
	class := s.classOf[ordinal]
	if !slices.ContainsFunc(s.class(int(class)), func(o uint32) bool { return !hasBit(s.dead, o) }) {
		setBit(s.skip, class)
	}
}

// withRoom copies a bit set, with room for n bits.
func withRoom(set []uint64, n int) []uint64 {
	out := make([]uint64, (n+63)/64)
	copy(out, set)
	return out
}

func setBit(set []uint64, bit uint32) { set[bit>>6] |= 1 << (bit & 63) }

func hasBit(set []uint64, bit uint32) bool {
	return len(set) > 0 && set[bit>>6]&(1<<(bit&63)) != 0
}

// alive are the segment's readers that count.
func (s *planSegment) alive() []reader {
	out := make([]reader, 0, s.live)
	for i, r := range s.readers {
		if !hasBit(s.dead, uint32(i)) {
			out = append(out, r)
		}
	}
	return out
}

// built is the outcome of a build beside the stream: seg takes the place of the segments from one on that the build was made from.
type built struct {
	stream *stream
	seg    *segment
	from   int
}

// restAfter is how long no query comes or goes before all segments are built into one.
const restAfter = 300 * time.Millisecond

// due tells from which on the segments are worth building into one now; false: none are.
func (rs *ruleset) due(now time.Time) (from int, ok bool) {
	n := len(rs.segments)
	if rs.building || n == 0 {
		return 0, false
	}
	if rs.resample || n > 1 && now.Sub(rs.changed) > restAfter {
		return 0, true
	}
	if s := &rs.segments[0]; s.live < len(s.readers)/2 && len(s.readers) > nearMax {
		return 0, true
	}
	sum := 0
	from = n
	for i := n - 1; i >= 0; i-- {
		live := rs.segments[i].live
		if live > 4*sum && sum > 0 {
			break
		}
		sum, from = sum+live, i
	}
	return from, n-from > 1 && sum > nearMax
}

// compact starts builds where they are due. The sequencer calls it between epochs.
func (e *Engine) compact() {
	now := time.Now()
	if e.sampled.Swap(false) {
		for _, s := range e.streamList() {
			if s.sample.Load() != nil {
				e.seq.unsettled[s] = true
			}
		}
	}
	for s := range e.seq.unsettled {
		rs := s.rules
		if e.streamGone(s) {
			delete(e.seq.unsettled, s)
			continue
		}
		if sample := s.sample.Swap(nil); sample != nil {
			rs.near, rs.far, rs.resample = predindex.NewEstimates(sample), predindex.NewEstimates(sample), true
		}
		from, ok := rs.due(now)
		if !ok {
			if len(rs.segments) <= 1 && !rs.building {
				delete(e.seq.unsettled, s)
			}
			continue
		}
		var list []reader
		for i := from; i < len(rs.segments); i++ {
			list = append(list, rs.segments[i].alive()...)
		}
		rs.building, rs.upTo, rs.resample = true, len(rs.segments), false
		est := rs.far // the sequencer may replace it meanwhile
		e.wg.Add(1)
		go func() {
			defer e.wg.Done()
			b := built{s, newSegment(rs.schema, list, est), from}
			select {
			case e.built <- b:
			case <-e.ctx.Done():
			case <-e.closing:
			}
		}()
	}
}

// settleRules builds the rules of each stream into one segment, at once: nothing flows yet.
func (e *Engine) settleRules() {
	for _, s := range e.streamList() {
		if rs := s.rules; rs != nil && len(rs.segments) > 1 {
			var list []reader
			for i := range rs.segments {
				list = append(list, rs.segments[i].alive()...)
			}
			rs.segments = []planSegment{rs.install(newSegment(rs.schema, list, rs.far))}
			e.replan(s)
		}
	}
}

// placeBuilt puts a segment that was built beside the stream into the place of those that it was made from.
func (e *Engine) placeBuilt(b built) {
	rs := b.stream.rules
	tail := rs.segments[rs.upTo:]
	rs.building = false
	seg := planSegment{segment: b.seg}
	for i, r := range b.seg.readers {
		if _, here := rs.at[r]; here {
			rs.at[r] = located{b.seg, uint32(i)}
			seg.live++
			continue
		}
		if seg.dead == nil { // it left meanwhile
			seg.dead, seg.skip = withRoom(nil, len(b.seg.readers)), withRoom(nil, b.seg.rules())
		}
		seg.mark(uint32(i))
	}
	rs.segments = rs.segments[:b.from:b.from]
	if seg.live > 0 {
		rs.segments = append(rs.segments, seg)
	}
	rs.segments = append(rs.segments, tail...)
	if !e.streamGone(b.stream) {
		e.replan(b.stream)
	}
}

// sampleEvery is by what factor the rows of a stream grow before it is sampled again.
const sampleEvery = 64

// sampler collects rows of a stream for the estimates, in one front goroutine.
type sampler struct {
	rows *batch.Batch
	// seen counts the stream's rows here, next is how many there are when the next sample is begun.
	seen, next int64
}

// take adds rows of a batch; it returns the sample when it is full.
func (s *sampler) take(b *batch.Batch, sel []uint32) *batch.Batch {
	s.seen += int64(len(sel))
	if s.seen < s.next {
		return nil
	}
	if s.rows == nil {
		s.rows = batch.New(b.Schema, nil)
		for c := range b.Cols {
			s.rows.Cols[c].Absent = b.Cols[c].Absent
		}
	}
	for i := 0; i < len(sel) && s.rows.N < predindex.SampleMax; i += max(1, len(sel)/64) {
		s.add(b, int(sel[i]))
	}
	if s.rows.N < predindex.SampleMax {
		return nil
	}
	full := s.rows
	s.rows, s.next = nil, sampleEvery*s.seen
	return full
}

func (s *sampler) add(b *batch.Batch, row int) {
	for c := range s.rows.Cols {
		to := &s.rows.Cols[c]
		switch {
		case to.Absent:
		case b.Cols[c].Absent: // the column is read no more
			to.AppendNull()
		default:
			to.AppendFrom(&b.Cols[c], row)
		}
	}
	s.rows.N++
}
