package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// TemporalJoin looks each row of port 0 up in port 1, a changelog, as it was at the row's time: the newest version of the key
// at or before it. A row of either port waits until the watermark has passed its time; then, in the order of (time, versions
// first, key bytes, arrival), a version replaces its key's older one and a left row comes out with the version that its key has.
// An inserted row and the second half of an update are versions, a deleted row ends its key's version, and the first half
// of an update is ignored. Rows whose key has a NULL, or whose time is NULL, find no version.
type TemporalJoin struct {
	spec    *spec.TemporalJoin
	keys    [2]exprList
	keyType []types.Type
	cond    *expr.Evaluator // nil: none
	ctx     *expr.Ctx
	// rows are those that wait; versions are the newest ones that the watermark has passed.
	rows      timedRows
	versions  versionTable
	watermark types.EventTime
	late      int64

	// Of the batch being processed:
	failed   rowFailures
	evalFns  [2]func(*batch.Batch, []uint32) error
	built    batch.Keys
	places   []uint32 // of the rows to keep in the input's keys
	kept     []uint32 // those rows
	timeless []uint32 // left rows without a time
	ids      []uint32

	// The output: pairs, and what of them has a version.
	schema         types.Schema
	width          int
	out, redone    batch.Batch
	found, sel, ok []uint32
}

var (
	_ Stateful    = (*TemporalJoin)(nil)
	_ LateCounter = (*TemporalJoin)(nil)
	_ Deadliner   = (*TemporalJoin)(nil)
)

// temporalWidth is the width of a bucket of waiting rows in microseconds: they wait about as long as streams are delayed.
const temporalWidth = 10 * widthMin

// NewTemporalJoin compiles keys and condition; left and right are the schemas of the ports.
func NewTemporalJoin(s *spec.TemporalJoin, left, right *types.Schema) (*TemporalJoin, error) {
	if s.Kind != spec.Inner && s.Kind != spec.Left {
		return nil, sqlerr.NotSupported("this kind of temporal join", "")
	}
	if len(s.LeftKeys) != len(s.RightKeys) {
		return nil, fmt.Errorf("temporal join: %d and %d keys", len(s.LeftKeys), len(s.RightKeys))
	}
	j := &TemporalJoin{spec: s, watermark: types.MinTime, width: len(left.Cols)}
	j.rows.width, j.rows.fire, j.rows.rightFirst, j.rows.once = temporalWidth, [2]bool{true, true}, true, [2]bool{true, true}
	j.rows.codecs = [2]rowCodec{newRowCodec(left, s.LeftTime, 0), newRowCodec(right, s.RightTime, 0)}
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
	j.schema.Cols = append(append(j.schema.Cols, left.Cols...), right.Cols...)
	j.out, j.redone = *batch.New(&j.schema, nil), *batch.New(&j.schema, nil)
	return j, err
}

// Open implements Operator.
func (j *TemporalJoin) Open(ctx *expr.Ctx) error {
	j.ctx = ctx
	j.reset()
	mem := ctx.State.Part()
	j.rows.useMemory(mem)
	j.versions.reset(mem)
	j.watermark, j.late = types.MinTime, 0
	return nil
}

func (j *TemporalJoin) reset() {
	j.rows.reset()
	j.versions.reset(nil)
}

// Process implements Operator: rows wait.
func (j *TemporalJoin) Process(port int, in Input, out Emitter) error {
	if port != 0 && port != 1 || in.Keys != nil && len(in.Keys.Hash) != len(in.Sel) {
		return fmt.Errorf("temporal join: port %d, or wrong number of keys", port)
	}
	j.rows.codecs[port].learn(in.B)
	keys, err := j.admit(port, in)
	if err == nil && len(j.timeless) > 0 {
		err = j.emitTimeless(in.B, out)
	}
	if err != nil || len(j.kept) == 0 {
		return err
	}
	if j.ids, err = j.rows.index.FindOrAdd(stateRows(keys), j.places, j.ids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys in a join", state.KeysMax)
	}
	times := in.B.Cols[j.rows.codecs[port].timeCol].I64
	for i, row := range j.kept {
		ref, err := j.rows.add(port, j.ids[i], times[row], in.B, int(row))
		if err != nil {
			return err
		}
		if in.B.Op(int(row)) == batch.Delete {
			j.rows.row(ref).tag |= rowDeletes
		}
	}
	return nil
}

// admit lists the rows to keep, and returns the keys that their places index.
func (j *TemporalJoin) admit(port int, in Input) (*batch.Keys, error) {
	j.kept, j.places, j.timeless = j.kept[:0], j.places[:0], j.timeless[:0]
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
		switch op := in.B.Op(int(row)); {
		case port == 0 && op != batch.Insert:
			return nil, fmt.Errorf("temporal join: its left input must be inserted only")
		case op == batch.UpdateBefore:
			continue
		case port == 1 && keyHasNull(keys.Key(i), j.keyType):
			continue
		case times.IsNull(int(row)):
			if port == 0 && j.spec.Kind == spec.Left {
				j.timeless = append(j.timeless, row)
			}
			continue
		}
		for len(behind) > 0 && behind[0].Row < row {
			behind = behind[1:]
		}
		if len(behind) > 0 && behind[0].Row == row {
			if closed := max(j.watermark, in.Closed(behind[0])); types.EventTime(times.I64[row]) < closed {
				j.late++
				if j.ctx.LateRow != nil {
					j.ctx.LateRow(row, closed)
				}
				continue
			}
		}
		j.kept, j.places = append(j.kept, row), append(j.places, uint32(i))
	}
	return keys, nil
}

// Advance implements Operator.
func (j *TemporalJoin) Advance(watermark types.EventTime, out Emitter) error {
	j.watermark = max(j.watermark, watermark)
	j.startOutput()
	for n := 0; ; n++ {
		ref, side := j.rows.next(int64(j.watermark))
		if ref == 0 {
			break
		}
		if n%breathRows == 0 {
			j.rows.mem.Relieve()
		}
		r := j.rows.row(ref)
		key, hash := j.rows.index.Key(r.key), j.rows.index.Hash(r.key)
		row := j.rows.bytesOf(ref)
		if side == 1 {
			if err := j.change(key, hash, row[:j.rows.codecs[1].size(row)], r.tag&rowDeletes != 0); err != nil {
				return err
			}
			continue
		}
		if err := j.lookUp(key, hash, row, out); err != nil {
			return err
		}
	}
	return j.flush(out)
}

func (j *TemporalJoin) change(key []byte, hash uint64, row []byte, deletes bool) error {
	if deletes {
		j.versions.remove(key, hash)
		return nil
	}
	return j.versions.set(key, hash, row)
}

// lookUp appends a left row with the version of its key.
func (j *TemporalJoin) lookUp(key []byte, hash uint64, row []byte, out Emitter) error {
	version, ok := j.versions.get(key, hash)
	if !ok && j.spec.Kind == spec.Inner {
		return nil
	}
	j.rows.codecs[0].decode(row, j.out.Cols[:j.width])
	if ok {
		j.rows.codecs[1].decode(version, j.out.Cols[j.width:])
		j.found = append(j.found, uint32(j.out.N))
	} else {
		j.nulls(&j.out)
	}
	if j.out.N++; j.out.N < batch.RowsMax {
		return nil
	}
	return j.flush(out)
}

// emitTimeless sends left rows for which there is no time to wait for.
func (j *TemporalJoin) emitTimeless(b *batch.Batch, out Emitter) error {
	j.startOutput()
	for _, row := range j.timeless {
		for _, at := range j.rows.codecs[0].present {
			if b.Cols[at].Absent {
				j.out.Cols[at].AppendNull()
			} else {
				j.out.Cols[at].AppendFrom(&b.Cols[at], int(row))
			}
		}
		j.nulls(&j.out)
		if j.out.N++; j.out.N == batch.RowsMax {
			if err := j.flush(out); err != nil {
				return err
			}
		}
	}
	return j.flush(out)
}

func (j *TemporalJoin) nulls(b *batch.Batch) {
	for _, at := range j.rows.codecs[1].present {
		b.Cols[j.width+at].AppendNull()
	}
}

func (j *TemporalJoin) startOutput() {
	for _, b := range [2]*batch.Batch{&j.out, &j.redone} {
		b.Reset(nil)
		for side, cols := range [2][]batch.Vec{b.Cols[:j.width], b.Cols[j.width:]} {
			for i, absent := range j.rows.codecs[side].absent {
				cols[i].Absent = absent
			}
		}
	}
	j.found = j.found[:0]
}

// flush checks the pairs against the condition and sends them.
func (j *TemporalJoin) flush(out Emitter) error {
	if j.out.N == 0 {
		return nil
	}
	b, sel := &j.out, batch.All(j.out.N)
	if j.cond != nil && len(j.found) > 0 {
		var err error
		if j.ok, err = j.cond.Filter(j.ctx, b, j.found, j.ok[:0]); err != nil {
			return err
		}
		switch {
		case j.spec.Kind == spec.Inner:
			sel = j.ok
		case len(j.ok) < len(j.found):
			b = j.withoutFailed()
		}
	}
	var err error
	if len(sel) > 0 {
		err = out.Emit(Input{B: b, Sel: sel})
	}
	j.startOutput()
	return err
}

// withoutFailed is the output with NULLs in place of the versions that failed the condition.
func (j *TemporalJoin) withoutFailed() *batch.Batch {
	b := &j.redone
	found, passed := j.found, j.ok
	for i := range j.out.N {
		fails := false
		if len(found) > 0 && int(found[0]) == i {
			found = found[1:]
			if fails = len(passed) == 0 || int(passed[0]) != i; !fails {
				passed = passed[1:]
			}
		}
		for side, codec := range j.rows.codecs[:] {
			for _, at := range codec.present {
				c := side*j.width + at
				if side == 1 && fails {
					b.Cols[c].AppendNull()
				} else {
					b.Cols[c].AppendFrom(&j.out.Cols[c], i)
				}
			}
		}
		b.N++
	}
	return b
}

// Deadline implements Deadliner.
func (j *TemporalJoin) Deadline() types.EventTime { return types.EventTime(j.rows.deadline()) }

// LateRows implements LateCounter.
func (j *TemporalJoin) LateRows() int64 { return j.late }

// Bytes returns the memory of all state, in use or kept for reuse.
func (j *TemporalJoin) Bytes() int64 { return j.rows.bytes() + j.versions.bytes() }

// Spillable implements Spiller: rows that wait and versions lie in the same memory.
func (j *TemporalJoin) Spillable() int64 { return j.rows.mem.Bytes() }

// Versions returns the number of keys that have a version which the watermark has passed.
func (j *TemporalJoin) Versions() int { return j.versions.index.Len() }

// Groups returns the number of keys with a version that counts.
func (j *TemporalJoin) Groups() int { return j.versions.index.Len() }

// Snapshot implements Stateful.
func (j *TemporalJoin) Snapshot(w StateWriter) error {
	if err := j.versions.snapshot(w, len(j.rows.codecs[1].typs)); err != nil {
		return fmt.Errorf("snapshot of versions: %w", err)
	}
	return j.rows.snapshot(w)
}

// Changed implements AheadCopier.
func (j *TemporalJoin) Changed() int { return j.versions.left() + j.rows.changed() }

// CopyAhead implements AheadCopier.
func (j *TemporalJoin) CopyAhead(w StateWriter, most int) (int, error) {
	n, err := j.versions.copyAhead(w, len(j.rows.codecs[1].typs), most)
	if err != nil {
		return n, fmt.Errorf("copy of versions: %w", err)
	}
	more, err := j.rows.copyAhead(w, most-n)
	return n + more, err
}

// Restore implements Stateful.
func (j *TemporalJoin) Restore(r StateReader, own func(hash uint64) bool) error {
	j.rows.foreign = isVersionSlice
	if err := j.rows.restore(r, j.keyType, own); err != nil {
		return err
	}
	return j.versions.restore(r, &j.rows.codecs[1], j.keyType, own)
}

// Close implements Operator.
func (j *TemporalJoin) Close() error {
	j.reset()
	return nil
}

// String implements Operator.
func (j *TemporalJoin) String() string { return spec.Describe(&spec.Node{Op: j.spec}) }
