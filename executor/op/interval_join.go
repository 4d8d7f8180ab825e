package op

import (
	"fmt"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// IntervalJoin joins port 0 (left) and port 1 (right) by equal keys and by time: right.time - left.time lies in [Lo, Hi].
// Rows of both ports come in any order. A row is kept for as long as one that is not late may still match it, and meets those of
// the other side at once, in the order they came; so a match comes out with the later of its rows. A row that found
// no partner comes out of an outer join, or of an anti join, when it can find none any more: in the order of the time when that
// was so, then of key bytes, then of arrival. Rows whose key has a NULL, or whose time is NULL, find no partner.
type IntervalJoin struct {
	spec    *spec.IntervalJoin
	keys    [2]exprList
	keyType []types.Type
	cond    *expr.Evaluator // nil: none
	ctx     *expr.Ctx
	rows    timedRows
	// track[side]: rows of the side carry whether they have been answered.
	track [2]bool

	// watermark is the largest value given to Advance; horizon is the lateness before it: rows due before it have been
	// answered.
	watermark, horizon types.EventTime
	late               int64

	// Of the batch being processed:
	failed    rowFailures
	evalFns   [2]func(*batch.Batch, []uint32) error
	built     batch.Keys
	admitted  []admittedRow
	keyPlaces []uint32 // in the input's keys, of admitted rows that may match
	ids       []uint32
	loose     []uint32 // keys that may have no rows left

	pairs joinPairs
}

var (
	_ Stateful    = (*IntervalJoin)(nil)
	_ LateCounter = (*IntervalJoin)(nil)
	_ Deadliner   = (*IntervalJoin)(nil)
	_ Delayer     = (*IntervalJoin)(nil)
)

// admittedRow is a row of the batch being processed that is not late.
type admittedRow struct {
	row     uint32
	matches bool // it has a key and a time
	time    int64
}

const (
	// bucketsPerSpan is into how many buckets the time for which rows are kept is divided, widthMin the least width of one in
	// microseconds.
	bucketsPerSpan = 64
	widthMin       = int64(time.Second / time.Microsecond)
)

// NewIntervalJoin compiles keys and condition; left and right are the schemas of the ports.
func NewIntervalJoin(s *spec.IntervalJoin, left, right *types.Schema) (*IntervalJoin, error) {
	switch s.Kind {
	case spec.Inner, spec.Left, spec.Right, spec.Full, spec.Semi, spec.Anti:
	default:
		return nil, sqlerr.NotSupported("this kind of interval join", "")
	}
	if s.Lo > s.Hi || s.Lateness < 0 || len(s.LeftKeys) != len(s.RightKeys) {
		return nil, fmt.Errorf("interval join: bounds [%d, %d], lateness %d, %d and %d keys", s.Lo, s.Hi, s.Lateness, len(s.LeftKeys), len(s.RightKeys))
	}
	j := &IntervalJoin{spec: s, watermark: types.MinTime, horizon: types.MinTime}
	keepsLeft := s.Kind == spec.Left || s.Kind == spec.Full || s.Kind == spec.Anti
	keepsRight := s.Kind == spec.Right || s.Kind == spec.Full
	j.rows.fire = [2]bool{keepsLeft, keepsRight}
	j.track = [2]bool{keepsLeft || s.Kind == spec.Semi, keepsRight}
	j.rows.once[0] = s.Kind == spec.Semi || s.Kind == spec.Anti
	// A left row is of use while right rows up to Hi after it may come, a right row while left rows up to -Lo after it may.
	j.rows.codecs = [2]rowCodec{newRowCodec(left, s.LeftTime, s.Hi), newRowCodec(right, s.RightTime, satNeg(s.Lo))}
	j.rows.width = max(satAdd(satAdd(s.Hi, satNeg(s.Lo)), s.Lateness)/bucketsPerSpan, widthMin)
	var err error
	for side, list := range [2][]expr.Expr{s.LeftKeys, s.RightKeys} {
		if j.keys[side], err = newExprList(list); err != nil {
			return nil, err
		}
		j.evalFns[side] = func(b *batch.Batch, sel []uint32) error { return j.keys[side].eval(j.ctx, b, sel) }
	}
	for _, k := range s.LeftKeys {
		j.keyType = append(j.keyType, k.Type())
	}
	if s.Cond != nil {
		j.cond, err = expr.Compile(s.Cond)
	}
	j.pairs.init(j, left, right)
	return j, err
}

// satNeg is -x without leaving the range of event time.
func satNeg(x int64) int64 {
	if x == int64(types.MinTime) {
		return int64(types.MaxTime)
	}
	return -x
}

// Open implements Operator.
func (j *IntervalJoin) Open(ctx *expr.Ctx) error {
	j.ctx = ctx
	j.rows.reset()
	j.rows.useMemory(ctx.State.Part())
	j.watermark, j.horizon, j.late = types.MinTime, types.MinTime, 0
	return nil
}

// Process implements Operator.
func (j *IntervalJoin) Process(port int, in Input, out Emitter) error {
	if port != 0 && port != 1 || in.Keys != nil && len(in.Keys.Hash) != len(in.Sel) {
		return fmt.Errorf("interval join: port %d, or wrong number of keys", port)
	}
	for _, o := range in.B.Ops {
		if o != batch.Insert {
			return fmt.Errorf("interval join: its inputs must be inserted only")
		}
	}
	j.rows.codecs[port].learn(in.B)
	keys, err := j.admit(port, in)
	if err != nil || len(j.admitted) == 0 {
		return err
	}
	if j.ids, err = j.rows.index.FindOrAdd(stateRows(keys), j.keyPlaces, j.ids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys in a join", state.KeysMax)
	}
	j.rows.touch(j.ids, 1-port)
	j.pairs.start(port, in.B)
	err = j.meetAll(port, in.B, out)
	j.rows.removeEmpty(j.loose)
	j.loose = j.loose[:0]
	if err != nil {
		return err
	}
	return j.pairs.flush(out)
}

// admit lists the rows that are not late, and returns the keys that their places index.
func (j *IntervalJoin) admit(port int, in Input) (*batch.Keys, error) {
	j.admitted, j.keyPlaces = j.admitted[:0], j.keyPlaces[:0]
	sel, keys := in.Sel, in.Keys
	if keys == nil {
		var err error
		if sel, err = j.failed.run(j.ctx, in.B, sel, j.evalFns[port]); err != nil || len(sel) == 0 {
			return nil, err
		}
		j.built.Build(j.keys[port].vecs, len(sel))
		keys = &j.built
	}
	times := &in.B.Cols[j.rows.codecs[port].timeCol]
	behind := in.B.Behind
	for i, row := range sel {
		a := admittedRow{row: row, matches: !keyHasNull(keys.Key(i), j.keyType), time: times.I64[row]}
		if times.IsNull(int(row)) {
			a.matches = false
		} else {
			for len(behind) > 0 && behind[0].Row < row {
				behind = behind[1:]
			}
			if len(behind) > 0 && behind[0].Row == row && j.isLate(a, in.Closed(behind[0])) {
				continue
			}
		}
		if a.matches {
			j.keyPlaces = append(j.keyPlaces, uint32(i))
		} else if !j.rows.fire[port] {
			continue
		}
		j.admitted = append(j.admitted, a)
	}
	return keys, nil
}

// isLate tells whether what a row could match may have been let go, and reports it.
func (j *IntervalJoin) isLate(a admittedRow, closed types.EventTime) bool {
	closed = max(closed, j.watermark)
	if a.time >= satAdd(int64(closed), -j.spec.Lateness) {
		return false
	}
	j.late++
	if j.ctx.LateRow != nil {
		j.ctx.LateRow(a.row, closed)
	}
	return true
}

// keyHasNull tells whether one of the columns of an encoded key is NULL.
func keyHasNull(key []byte, typs []types.Type) bool {
	for _, t := range typs {
		if len(key) == 0 || key[0] == 0 {
			return true
		}
		if t.Phys() != types.PhysBytes {
			key = key[9:]
			continue
		}
		_, rest, err := cutBytes(key[1:])
		if err != nil {
			return true
		}
		key = rest
	}
	return false
}

// meetAll keeps the admitted rows, one after the other, and lets each meet those of the other side.
func (j *IntervalJoin) meetAll(port int, b *batch.Batch, out Emitter) error {
	ids := j.ids
	for _, a := range j.admitted {
		if !a.matches {
			if err := j.pairs.single(port, a.row, out); err != nil {
				return err
			}
			continue
		}
		id := ids[0]
		ids = ids[1:]
		ref := rowRef(0)
		if j.track[port] || j.rows.dueOf(port, a.time) >= int64(j.horizon) {
			var err error
			if ref, err = j.rows.add(port, id, a.time, b, int(a.row)); err != nil {
				return err
			}
		} else {
			j.loose = append(j.loose, id)
		}
		if err := j.meet(port, a, id, ref, out); err != nil {
			return err
		}
	}
	return nil
}

// meet pairs a row, kept as ref (0: it is not), with those of the other side whose time is in bounds.
func (j *IntervalJoin) meet(port int, a admittedRow, id uint32, ref rowRef, out Emitter) error {
	lo, hi := satAdd(a.time, j.spec.Lo), satAdd(a.time, j.spec.Hi)
	if port == 1 {
		lo, hi = satAdd(a.time, satNeg(j.spec.Hi)), satAdd(a.time, satNeg(j.spec.Lo))
	}
	once := j.rows.once[0]
	for other := j.rows.first(id, 1-port); other != 0; {
		r := j.rows.row(other)
		this, tag := other, r.tag
		other = r.next
		if r.time < lo || r.time > hi || once && port == 1 && tag&rowAnswered != 0 {
			continue
		}
		if err := j.pairs.add(a.row, ref, this, out); err != nil {
			return err
		}
		if once && port == 0 && j.rows.row(ref).tag&rowAnswered != 0 {
			return nil
		}
	}
	return nil
}

// Advance implements Operator: rows that can find no partner any more come out where the kind wants them, and are forgotten.
func (j *IntervalJoin) Advance(watermark types.EventTime, out Emitter) error {
	j.watermark = max(j.watermark, watermark)
	j.horizon = j.watermark
	if j.watermark != types.MaxTime {
		j.horizon = types.EventTime(satAdd(int64(j.watermark), -j.spec.Lateness))
	}
	j.pairs.start(0, nil)
	for {
		ref, side := j.rows.next(int64(j.horizon))
		if ref == 0 {
			break
		}
		if err := j.pairs.fromState(ref, side, out); err != nil {
			return err
		}
	}
	return j.pairs.flush(out)
}

// Deadline implements Deadliner.
func (j *IntervalJoin) Deadline() types.EventTime {
	return types.EventTime(satAdd(j.rows.deadline(), j.spec.Lateness))
}

// OutDelay implements Delayer. A match comes with a row that is at most the lateness older than the watermark; its partner is
// older than that row by at most what the bounds reach. A row without partner was not yet due at the watermark before.
func (j *IntervalJoin) OutDelay() int64 {
	back := max(j.spec.Hi, 0)
	if j.spec.Kind != spec.Semi && j.spec.Kind != spec.Anti {
		back = max(back, satNeg(j.spec.Lo))
	}
	return satAdd(back, j.spec.Lateness)
}

// Snapshot implements Stateful.
func (j *IntervalJoin) Snapshot(w StateWriter) error { return j.rows.snapshot(w) }

// Changed implements AheadCopier.
func (j *IntervalJoin) Changed() int { return j.rows.changed() }

// CopyAhead implements AheadCopier.
func (j *IntervalJoin) CopyAhead(w StateWriter, most int) (int, error) {
	return j.rows.copyAhead(w, most)
}

// Restore implements Stateful.
func (j *IntervalJoin) Restore(r StateReader, own func(hash uint64) bool) error {
	return j.rows.restore(r, j.keyType, own)
}

// LateRows implements LateCounter.
func (j *IntervalJoin) LateRows() int64 { return j.late }

// Bytes returns the memory of all state, in use or kept for reuse.
func (j *IntervalJoin) Bytes() int64 { return j.rows.bytes() }

// Spillable implements Spiller.
func (j *IntervalJoin) Spillable() int64 { return j.rows.mem.Bytes() }

// Keys returns the number of keys that have rows.
func (j *IntervalJoin) Keys() int { return j.rows.index.Len() }

// Close implements Operator.
func (j *IntervalJoin) Close() error {
	j.rows.reset()
	return nil
}

// String implements Operator.
func (j *IntervalJoin) String() string {
	n := &spec.Node{Op: j.spec}
	return strings.TrimSpace(spec.Describe(n))
}
