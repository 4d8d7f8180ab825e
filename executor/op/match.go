package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// Match finds runs of rows that fit a pattern. Rows of a key are held until the watermark has passed them, and then taken in the
// order of (time, arrival). Per key there is one attempt at a time: from its first row on, the runs of the pattern that are
// still possible are kept in order of preference after each row. When none is left, the best completed one is the match; it
// comes out at that moment, or at the watermark at which WITHIN makes more rows impossible.
//
// A run is a state and the number of the run before the previous row that it came from: so the rows of a match are found by
// going back. When an attempt fails, the next one begins with the next row, and runs over the rows that are there. Where
// conditions read only the row itself, runs in the same state have the same future: then only the preferred one is kept, and
// an attempt that comes into the same states as the one before it after some row takes over what that one found behind it.
type Match struct {
	// Failed, when set, takes an error in a condition that reads several rows or in a measure; the row does not fit, or does not
	// come out. When nil, such an error ends Advance. Set it before Open.
	Failed func(t types.EventTime, err error)

	spec     *spec.Match
	schema   *types.Schema // of the input
	keys     exprList
	keyType  []types.Type
	vars     []matchVar
	refs     []matchRef
	measures []*expr.Evaluator
	wantOut  []bool   // columns of ext that the output needs
	rowCols  int      // columns of the input that come out, with AllRows
	startAt  []uint64 // the runs before the first row
	startFor uint64   // variables that a first row may be mapped to
	// plain: no condition reads other rows of the match.
	plain bool
	// local: some conditions read rows before the current one, in the match or not; back is the most such rows.
	local    bool
	back     int
	numbered bool // match_number() is read
	// lax: as long as an attempt has runs and has completed none, no attempt that begins later can have completed one, provided
	// that each row fits one variable only. Then the runs need not be found anew whenever WITHIN overtakes the first row: it is
	// enough to do so when a run completes, or none is left.
	lax    bool
	ctx    *expr.Ctx
	failed rowFailures
	evalFn func(*batch.Batch, []uint32) error

	watermark types.EventTime
	late      int64
	table     state.Table
	states    []matchKey // by gid
	rows      *heldRows
	queue     timeQueue
	timers    timerHeap
	busy      int // keys that are not idle
	save      matchSave
	mem       *arena.Part
	block     arena.Block // behind states

	// Scratch.
	built     batch.Keys
	kept      []uint32
	at        []uint32
	gids      []uint32
	run       []uint64 // runs being collected
	mark      []uint32 // by state: the generation that has it
	gen       uint32
	path      []pathRow
	seq       sequenceMasks
	restoring bool     // a match is a mistake
	fits      []bool   // by number of the run
	tried     []uint32 // the runs whose conditions are evaluated
	one       *batch.Batch
	ext       *batch.Batch // input columns, then refs
	slab      agg.Slab
	zeros     []uint32
	out       matchOutput
}

var (
	_ Stateful    = (*Match)(nil)
	_ LateCounter = (*Match)(nil)
	_ Deadliner   = (*Match)(nil)
	_ Delayer     = (*Match)(nil)
)

// matchKey is the state of one key. Rows are references into heldRows; those from head to tail are in order.
type matchKey struct {
	head, tail uint32
	order      uint64 // of the last row
	start      uint32 // first row of the attempt, 0 without one
	done       uint32 // the last row that the attempt has taken, 0: none
	best       uint32 // the last row of the best completed run, 0: none
	rows       uint32 // from head to tail
	held       uint32 // rows in the queue
	heldLast   uint32 // of them, the one that came last; they are linked, too
	number     uint64 // matches so far
	due        types.EventTime
	// lax: the runs are those of an earlier first row, which WITHIN has overtaken; see Match.lax.
	lax bool
	// Of a sequence: where the table of the lists that wait at each stage lies in lists, that of the lists that wait for an
	// absence, each 1 more than the place or 0, and their number. lists counts the lists. missed is when a row came that must not
	// come before a sequence, if hasMissed.
	stages, waits uint64
	waiting       uint32
	lists         uint32
	missed        types.EventTime
	hasMissed     bool
	// mixed: some row fits several variables.
	mixed bool
	dirty bool
	saved bool // the checkpoint has an entry of it
	// The checkpoint has the rows up to number savedTo, which is savedRow if it is there still, provided that savedIn is 1 more than
	// matchSave.writing. unsaved is how many rows have come since.
	savedTo           uint64
	savedRow, savedIn uint32
	unsaved           uint32
}

func (k *matchKey) idle(numbered bool) bool {
	return k.rows == 0 && k.held == 0 && !k.hasMissed && !(numbered && k.number > 0)
}

// matchVar is a pattern variable with its compiled condition.
type matchVar struct {
	col  int
	cond *expr.Evaluator // nil: none
	want []bool          // columns of ext that it reads
	// local: cond reads no row of the match but the current one.
	local bool
}

// Limits on one key; beyond them the query fails with SQLSTATE 54000.
const (
	// matchRunsMax bounds the runs that wait after one row.
	matchRunsMax = 10_000
	// matchRowsMax bounds the rows held for one attempt.
	matchRowsMax = 1 << 20
)

// NewMatch compiles a match; in is the schema of its input, out that of its output.
func NewMatch(s *spec.Match, in, out *types.Schema) (*Match, error) {
	m := &Match{spec: s, schema: in, watermark: types.MinTime, plain: true}
	m.evalFn = m.evalKeys
	first := len(out.Cols) - len(s.Measures)
	if first < 0 || first > len(in.Cols) || !s.AllRows && first != len(s.Keys) || len(s.Vars) > spec.MatchVarsMax || s.TimeCol < 0 || s.TimeCol >= len(in.Cols) {
		return nil, fmt.Errorf("match: malformed plan")
	}
	var err error
	if m.keys, err = newExprList(s.Keys); err != nil {
		return nil, err
	}
	for _, k := range s.Keys {
		m.keyType = append(m.keyType, k.Type())
	}
	if s.AllRows {
		m.rowCols = first
	}
	if err := m.compile(); err != nil {
		return nil, err
	}
	m.mark = make([]uint32, len(s.States))
	for _, at := range s.Start {
		if at == spec.MatchAccept {
			break
		}
		m.startAt = append(m.startAt, uint64(at)<<32)
		m.startFor |= 1 << s.States[at].Var
	}
	if s.Sequence != nil {
		m.compileSequence()
	}
	m.lax = m.plain && s.Within > 0 && laxPattern(s)
	m.out.init(out, m.ext.Schema)
	return m, nil
}

// Open implements Operator.
func (m *Match) Open(ctx *expr.Ctx) error {
	m.ctx, m.mem = ctx, ctx.State.Part()
	m.table.Mem, m.rows.mem, m.rows.lists.mem, m.queue.mem, m.timers.mem = m.mem, m.mem, m.mem, m.mem, m.mem
	return nil
}

// Spillable implements Spiller.
func (m *Match) Spillable() int64 { return m.mem.Bytes() }

func (m *Match) evalKeys(b *batch.Batch, sel []uint32) error { return m.keys.eval(m.ctx, b, sel) }

// Process implements Operator: rows are held until the watermark passes them.
func (m *Match) Process(_ int, in Input, _ Emitter) error {
	sel, keys := in.Sel, in.Keys
	if keys == nil && len(sel) > 0 {
		var err error
		if sel, err = m.failed.run(m.ctx, in.B, sel, m.evalFn); err != nil {
			return err
		}
		m.built.Build(m.keys.vecs, len(sel))
		keys = &m.built
	}
	if len(sel) == 0 {
		return nil
	}
	if len(keys.Hash) != len(sel) {
		return fmt.Errorf("match: %d keys for %d rows", len(keys.Hash), len(sel))
	}
	m.dropLate(&in, sel)
	var err error
	if m.gids, err = m.table.FindOrAdd(stateRows(keys), m.at, m.gids[:0]); err != nil {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "more than %d keys in a pattern", state.KeysMax)
	}
	m.growStates()
	times := in.B.Cols[m.spec.TimeCol].I64
	for i, row := range m.kept {
		ref, err := m.rows.add(in.B, int(row), types.EventTime(times[row]), m.truth(in.B, row))
		if err != nil {
			return err
		}
		gid := m.gids[i]
		if m.states[gid].idle(m.numbered) {
			m.busy++
		}
		m.touch(gid)
		m.hold(gid, ref)
	}
	return nil
}

// growStates makes room for what is kept beside the keys of the table.
func (m *Match) growStates() {
	for len(m.states) < m.table.Len() {
		m.states = arena.Append(m.mem, &m.block, m.states, matchKey{due: types.MaxTime})
	}
}

// hold has a row wait for the watermark.
func (m *Match) hold(gid, row uint32) {
	k := &m.states[gid]
	m.rows.link(k.heldLast, row)
	k.held, k.heldLast = k.held+1, row
	m.queue.add(m.rows.time(row), row, gid)
}

// letGo takes a row that has waited out of the list of those that do.
func (m *Match) letGo(gid, row uint32) {
	k := &m.states[gid]
	before, after := m.rows.before(row), m.rows.after(row)
	m.rows.at(row)[wordLinks] = 0
	if k.held--; k.heldLast == row {
		k.heldLast = before
	}
	switch {
	case before != 0:
		m.rows.link(before, after)
	case after != 0:
		w := m.rows.at(after)
		w[wordLinks] = uint64(uint32(w[wordLinks]))
	}
}

// dropLate collects the rows that are on time, and their places in sel; the others are counted and reported.
func (m *Match) dropLate(in *Input, sel []uint32) {
	m.kept, m.at = m.kept[:0], m.at[:0]
	times, behind := in.B.Cols[m.spec.TimeCol].I64, in.B.Behind
	for i, row := range sel {
		for len(behind) > 0 && behind[0].Row < row {
			behind = behind[1:]
		}
		closed := m.watermark
		if len(behind) > 0 && behind[0].Row == row {
			closed = max(closed, in.Closed(behind[0]))
		}
		if types.EventTime(times[row]) < closed {
			m.late++
			if m.ctx.LateRow != nil {
				m.ctx.LateRow(row, closed)
			}
			continue
		}
		m.kept, m.at = append(m.kept, row), append(m.at, uint32(i))
	}
}

// truth tells which variables a row may be mapped to as far as the row alone says.
func (m *Match) truth(b *batch.Batch, row uint32) uint64 {
	truth := uint64(0)
	for i := range m.vars {
		c := m.vars[i].col
		if c < 0 || b.Cols[c].I64[row] != 0 {
			truth |= 1 << i
		}
	}
	return truth
}

// Advance implements Operator.
func (m *Match) Advance(watermark types.EventTime, out Emitter) error {
	m.watermark = max(m.watermark, watermark)
	m.queue.settle()
	for n := 0; ; n++ {
		w, ok := m.queue.pop(m.watermark)
		if !ok {
			break
		}
		m.breathe(n, w.gid, w.row)
		if err := m.take(w.gid, w.row); err != nil {
			return err
		}
	}
	for n := 0; m.timers.next() <= m.watermark && len(m.timers.list) > 0; n++ {
		t := m.timers.pop()
		m.breathe(n, t.gid, m.states[t.gid].head)
		if m.states[t.gid].due != t.due {
			continue // another one has taken its place
		}
		m.states[t.gid].due = types.MaxTime
		if err := m.expire(t.gid); err != nil {
			return err
		}
	}
	if m.watermark == types.MaxTime && m.spec.Sequence == nil {
		for gid := range m.states {
			m.breathe(gid, uint32(gid), m.states[gid].head)
			if err := m.expire(uint32(gid)); err != nil {
				return err
			}
		}
	}
	m.shrink()
	return m.out.flush(m, out)
}

// breathe brings a key and a row of it into memory, while that is scarce, and lets what was used leave it now and then: n counts up.
func (m *Match) breathe(n int, gid, row uint32) {
	if !m.mem.Short() {
		return
	}
	if n%breathRows == 0 {
		m.mem.Relieve()
	}
	arena.Claim(m.states, int(gid))
	m.rows.claim(row)
}

// Deadline implements Deadliner.
func (m *Match) Deadline() types.EventTime {
	return min(plus(m.queue.next(), 1), m.timers.next())
}

// OutDelay implements Delayer: a match may come WITHIN after its first row.
func (m *Match) OutDelay() int64 { return m.spec.Within }

// LateRows implements LateCounter.
func (m *Match) LateRows() int64 { return m.late }

// Bytes returns the memory of all state, in use or kept for reuse.
func (m *Match) Bytes() int64 {
	return m.table.Bytes() + capBytes(m.states) + m.rows.bytes() + m.queue.bytes() + capBytes(m.timers.list) + capBytes(m.save.dirty)
}

// Groups returns the number of keys with rows.
func (m *Match) Groups() int { return m.busy }

// Close implements Operator.
func (m *Match) Close() error {
	m.table.Free()
	m.block.Free()
	m.rows.clear()
	m.states = nil
	m.queue.clear()
	m.timers.clear()
	return nil
}

// String implements Operator.
func (m *Match) String() string {
	return "Match (" + m.spec.Pattern + ") keys: " + exprText(m.spec.Keys)
}

// keysMin is the number of keys below which idle ones are kept.
const keysMin = 1024

// shrink forgets idle keys when they are most of all.
func (m *Match) shrink() {
	if m.table.Len() >= keysMin && m.busy <= m.table.Len()/4 {
		m.forgetIdle(func(k *matchKey) bool { return k.dirty || k.saved }) // dirty: a match of it may wait to be told
	}
}

// forgetIdle forgets idle keys that are not needed, if that are many.
func (m *Match) forgetIdle(needed func(k *matchKey) bool) {
	to := make([]uint32, len(m.states))
	table := state.Table{Mem: m.mem}
	var states []matchKey
	var block arena.Block
	var gids []uint32
	for gid := range m.states {
		if gid%breathKeys == breathKeys-1 {
			m.mem.Relieve()
		}
		k := &m.states[gid]
		if k.idle(m.numbered) && !needed(k) {
			continue
		}
		key := m.table.Key(uint32(gid))
		// The table has room: it held these keys before.
		gids, _ = table.FindOrAdd(state.Rows{Buf: key, Off: []uint32{0, uint32(len(key))}, Hash: []uint64{m.table.Hash(uint32(gid))}}, batch.All(1), gids[:0])
		to[gid] = uint32(len(states)) + 1
		states = arena.Append(m.mem, &block, states, *k)
	}
	if len(states) > m.table.Len()/2 {
		table.Free()
		block.Free()
		return
	}
	m.table.Free()
	m.block.Free()
	m.table, m.states, m.block = table, states, block
	m.queue.all(func(w *waiting) { w.gid = to[w.gid] - 1 })
	m.timers.keep(func(t *keyTimer) bool {
		if to[t.gid] == 0 {
			return false
		}
		t.gid = to[t.gid] - 1
		return true
	})
	m.out.renumber(to)
	m.save.renumber(to)
}
