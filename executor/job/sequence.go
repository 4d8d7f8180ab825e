package job

import (
	"fmt"
	"sync"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/meta"
)

// KindSequence is the kind of a sequence's object in storage/meta.
const KindSequence = "sequence"

// A sequence writes ahead how far it may have come, first for aheadMin values and then for more each time: a value given out is
// never given again, however the server ends. What was written ahead and not given out is skipped after a crash.
const (
	aheadMin = 32
	aheadMax = 4096
)

// sequences are how far the sequences have come. They belong to no transaction. Safe for concurrent use.
type sequences struct {
	mu sync.Mutex
	by map[uint64]*sequence
}

type sequence struct {
	meta.SequenceState
	// ahead is how many values may be given out before the next write, step what that write reserves.
	ahead, step int64
	stored      meta.SequenceState
}

// sequenceOf finds a sequence's state. The caller holds mu.
func (e *Engine) sequenceOf(d *spec.SequenceDef) (*sequence, error) {
	q := &e.sequences
	if s := q.by[d.ID]; s != nil {
		return s, nil
	}
	st, ok, err := e.meta.Sequence(d.ID)
	if err != nil {
		return nil, err
	}
	if !ok {
		st = meta.SequenceState{Last: d.Start}
	}
	if q.by == nil {
		q.by = map[uint64]*sequence{}
	}
	s := &sequence{SequenceState: st, stored: st, step: aheadMin}
	q.by[d.ID] = s
	return s, nil
}

// SequenceNext gives out a sequence's next value.
func (e *Engine) SequenceNext(d *spec.SequenceDef) (int64, error) {
	e.sequences.mu.Lock()
	defer e.sequences.mu.Unlock()
	s, err := e.sequenceOf(d)
	if err != nil {
		return 0, err
	}
	next, err := after(d, s.SequenceState)
	if err != nil {
		return 0, err
	}
	if s.ahead == 0 {
		if err := e.reserve(d, s, next); err != nil {
			return 0, err
		}
	}
	s.ahead--
	s.SequenceState = meta.SequenceState{Last: next, Called: true}
	return next, nil
}

// after is the value that follows a state.
func after(d *spec.SequenceDef, st meta.SequenceState) (int64, error) {
	if !st.Called {
		return st.Last, nil
	}
	if d.Increment > 0 && (st.Last > d.Max || uint64(d.Max)-uint64(st.Last) < uint64(d.Increment)) {
		if !d.Cycle {
			return 0, sqlerr.New(sqlerr.SequenceLimitExceeded, "nextval: reached maximum value of sequence %q (%d)", d.Name, d.Max)
		}
		return d.Min, nil
	}
	if d.Increment < 0 && (st.Last < d.Min || uint64(st.Last)-uint64(d.Min) < -uint64(d.Increment)) {
		if !d.Cycle {
			return 0, sqlerr.New(sqlerr.SequenceLimitExceeded, "nextval: reached minimum value of sequence %q (%d)", d.Name, d.Min)
		}
		return d.Max, nil
	}
	return st.Last + d.Increment, nil
}

// reserve writes down that values from first on may have been given out.
func (e *Engine) reserve(d *spec.SequenceDef, s *sequence, first int64) error {
	st, n := meta.SequenceState{Last: first, Called: true}, int64(1)
	for ; n < s.step; n++ {
		next, err := after(d, st)
		if err != nil || d.Cycle && (next == d.Min || next == d.Max) {
			break // up to the end, and no further
		}
		st.Last = next
	}
	if err := e.putSequence(d.ID, st); err != nil {
		return err
	}
	s.ahead, s.stored, s.step = n, st, min(2*s.step, aheadMax)
	return nil
}

func (e *Engine) putSequence(id uint64, st meta.SequenceState) error {
	b := e.kv.NewBatch()
	e.meta.PutSequence(b, id, st)
	if err := b.Commit(true); err != nil {
		return fmt.Errorf("write sequence: %w", err)
	}
	return nil
}

// SequenceSet sets a sequence's state: the next value is the one after value, or value itself when called is false.
func (e *Engine) SequenceSet(d *spec.SequenceDef, value int64, called bool) error {
	e.sequences.mu.Lock()
	defer e.sequences.mu.Unlock()
	s, err := e.sequenceOf(d)
	if err != nil {
		return err
	}
	st := meta.SequenceState{Last: value, Called: called}
	if err := e.putSequence(d.ID, st); err != nil {
		return err
	}
	*s = sequence{SequenceState: st, stored: st, step: aheadMin}
	return nil
}

// SequenceState tells how far a sequence has come.
func (e *Engine) SequenceState(d *spec.SequenceDef) (meta.SequenceState, error) {
	e.sequences.mu.Lock()
	defer e.sequences.mu.Unlock()
	s, err := e.sequenceOf(d)
	if err != nil {
		return meta.SequenceState{}, err
	}
	return s.SequenceState, nil
}

// closeSequences writes down how far the sequences have really come.
func (e *Engine) closeSequences() error {
	e.sequences.mu.Lock()
	defer e.sequences.mu.Unlock()
	for id, s := range e.sequences.by {
		if s.SequenceState == s.stored {
			continue
		}
		if err := e.putSequence(id, s.SequenceState); err != nil {
			return err
		}
		s.stored, s.ahead = s.SequenceState, 0
	}
	return nil
}

// purgeSequences forgets the states of dropped sequences, and what the intakes of dropped streams remembered.
func (e *Engine) purgeSequences(b batchKV, gone []meta.Object) {
	for _, o := range gone {
		if o.Kind == KindSequence {
			e.meta.DropSequence(b, o.ID)
		}
		if o.Kind == KindStream {
			e.meta.DropIntake(b, o.ID)
		}
	}
}
