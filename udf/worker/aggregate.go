package worker

import (
	"fmt"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// The kinds of steps, as agg.StepKind has them.
const (
	stepAccumulate = 'a'
	stepMerge      = 'm'
	stepFinish     = 'f'
)

// takeAggregate keeps the functions that the program of an aggregate returned, and what states are made with.
func (r *realm) takeAggregate(v, harden goja.Value) error {
	rt := r.rt
	list, _ := v.(*goja.Object)
	lock, ok := goja.AssertFunction(harden)
	if list == nil || !ok {
		return fmt.Errorf("aggregate: no functions")
	}
	if _, err := lock(goja.Undefined(), list.Get(fmt.Sprint(int(aggFunctions)))); err != nil {
		return err
	}
	for i := range r.agg {
		r.agg[i], _ = goja.AssertFunction(list.Get(fmt.Sprint(i)))
	}
	r.mapOf, r.setOf = rt.Get("Map").ToObject(rt), rt.Get("Set").ToObject(rt)
	// As callables of (object, arguments...).
	method := func(o goja.Value, name string) goja.Callable {
		f, _ := goja.AssertFunction(o.ToObject(rt).Get(name))
		return f
	}
	from := method(rt.Get("Array"), "from")
	r.spread = func(_ goja.Value, args ...goja.Value) (goja.Value, error) { return from(rt.Get("Array"), args...) }
	r.mapSet, r.setAdd = method(r.mapOf.Get("prototype"), "set"), method(r.setOf.Get("prototype"), "add")
	return nil
}

// stepping is a Step under way.
type stepping struct {
	s      *server
	f      *function
	head   wire.StepHead
	states batch.Vec
	others batch.Vec
	counts []int
	first  int // row of the group being worked on
	done   int // rows, or groups, that were begun
	out    chunk
	size   int // of the frame
	broken *wire.Broken
	err    error // no new realm could be made
}

// readStep takes the payload of a Step apart.
func (s *server) readStep(payload []byte) (*stepping, error) {
	r := wire.Reader{B: payload}
	head, err := r.StepHead()
	f := s.functions[head.Handle]
	if err != nil || f == nil || !f.def.Aggregate {
		return nil, wire.ErrMalformed
	}
	st := &stepping{s: s, f: f, head: head}
	bytea := types.T(types.Bytea)
	st.states.Reset(bytea)
	if err := r.Column(&st.states, head.Groups); err != nil {
		return nil, err
	}
	switch head.Kind {
	case stepMerge:
		st.others.Reset(bytea)
		return st, r.Column(&st.others, head.Groups)
	case stepFinish:
		return st, nil
	case stepAccumulate:
	default:
		return nil, wire.ErrMalformed
	}
	sum := 0
	for range head.Groups {
		n := int(r.U32())
		st.counts, sum = append(st.counts, n), sum+n
	}
	if r.Err != nil || sum != head.Rows {
		return nil, wire.ErrMalformed
	}
	if len(s.cols) < len(f.def.Params) {
		s.cols = make([]batch.Vec, len(f.def.Params))
	}
	for i, p := range f.def.Params {
		s.cols[i].Reset(p.Type)
		if err := r.Column(&s.cols[i], head.Rows); err != nil {
			return nil, err
		}
	}
	return st, nil
}

// step answers a Step, in several Results when it is big.
func (s *server) step(payload []byte) error {
	st, err := s.readStep(payload)
	if err != nil {
		return err
	}
	defer func() { s.progress.Store(s.rows, wire.Idle) }()
	if err := s.ready(st.f); err != nil {
		return err
	}
	st.out, st.size = chunk{s: s, f: st.f}, len(payload)
	st.begin()
	s.watch.begin(st.f, len(payload))
	defer s.watch.end()
	for g := range st.head.Groups {
		v := st.group(g)
		if st.err != nil {
			return st.err
		}
		if st.broken != nil {
			if err := s.sendJSON(wire.Violation, st.broken); err != nil {
				return err
			}
			return errViolation
		}
		st.out.vec.AppendValue(v)
		last := g+1 == st.head.Groups
		if len(st.out.vec.Buf) >= wire.ResultFlush && !last {
			if err := st.out.flush(true); err != nil {
				return err
			}
			st.begin()
		}
	}
	return st.out.flush(false)
}

func (st *stepping) begin() {
	st.out.begin()
	if st.head.Kind != stepFinish {
		st.out.vec.Reset(types.T(types.Bytea))
	}
}

// renew replaces a realm in which the engine panicked.
func (st *stepping) renew() {
	if !st.f.realm.spoiled || st.err != nil {
		return
	}
	st.s.watch.end()
	if st.err = st.s.ready(st.f); st.err == nil {
		st.s.watch.begin(st.f, st.size)
	}
}

// tick begins a row, or a group that has none: its limits hold from here.
func (st *stepping) tick() {
	st.s.rows++
	st.s.progress.Store(st.s.rows, wire.Rows)
	st.done++
}

// group does one group and returns its state or result.
func (st *stepping) group(g int) types.Value {
	null := types.Null(st.out.vec.Type)
	switch st.head.Kind {
	case stepAccumulate:
		first := st.first
		st.first += st.counts[g]
		return st.accumulate(g, first, st.counts[g])
	case stepMerge:
		st.renew()
		st.tick()
		var out []byte
		flt := st.guard(func(r *realm) error {
			a, err := r.load(st.states.Bytes(g))
			if err != nil {
				return err
			}
			b, err := r.load(st.others.Bytes(g))
			if err != nil {
				return err
			}
			if r.agg[aggMerge] == nil {
				return badState("has no merge")
			}
			out, err = r.applied(st.f, aggMerge, a, b)
			return err
		})
		if flt != nil {
			out = badBytes(flt)
		}
		return types.Value{Type: types.T(types.Bytea), S: string(out)}
	}
	st.renew()
	st.tick()
	v := null
	flt := st.guard(func(r *realm) error {
		state, err := st.start(r, g)
		if err != nil {
			return err
		}
		if f := r.agg[aggFinish]; f != nil {
			if state, err = f(goja.Undefined(), state); err != nil {
				return err
			}
		}
		if ex := r.rt.Try(func() { v, err = r.result(state, st.f.def.Ret) }); ex != nil {
			return ex
		}
		return err
	})
	if flt != nil {
		st.fail(g, flt)
		return null
	}
	return v
}

// start is the state of a group, a new one when it has none.
func (st *stepping) start(r *realm, g int) (goja.Value, error) {
	if st.states.IsNull(g) {
		return r.agg[aggInit](goja.Undefined())
	}
	return r.load(st.states.Bytes(g))
}

// fail tells of a row's error.
func (st *stepping) fail(row int, flt *fault) {
	st.out.errors = append(st.out.errors, wire.RowError{Row: row, Line: flt.line, Code: string(flt.code), Text: flt.text})
}

// guard runs do, which may run code of the user, within the limits of the row that was begun last. A broken limit is noted.
func (st *stepping) guard(do func(r *realm) error) *fault {
	for {
		flt, stale := st.try(do)
		if !stale {
			if flt != nil && flt.limit != "" {
				st.broken = &wire.Broken{Limit: flt.limit, Row: st.done - 1}
			}
			return flt
		}
		st.f.realm.rt.ClearInterrupt() // meant for the row before
	}
}

func (st *stepping) try(do func(r *realm) error) (flt *fault, stale bool) {
	r, row := st.f.realm, st.s.rows
	defer func() {
		if x := recover(); x != nil {
			flt, stale = r.panicked(x, row)
		}
	}()
	var err error
	if ex := r.rt.Try(func() { err = do(r) }); ex != nil {
		err = ex
	}
	if err != nil {
		return r.failed(err, row)
	}
	return nil, false
}

// accumulate folds rows [first, first+n) into a group. The state is made into bytes once, unless a row fails: what it did to the
// state until then must not stay, so the rows before it are done again, and from there each row ends in bytes.
func (st *stepping) accumulate(g, first, n int) types.Value {
	good := types.Value{Type: types.T(types.Bytea), Null: st.states.IsNull(g)}
	if !good.Null {
		good.S = string(st.states.Bytes(g))
	}
	if n == 0 || !good.Null && good.S[0] == wire.StateBad {
		for range n {
			st.tick()
		}
		return good
	}
	out, failed := st.rows(good, first, n)
	switch {
	case failed < 0 || st.broken != nil:
		return out
	case n == 1:
		return good // it was told
	}
	st.done -= failed + 1
	if failed > 0 {
		before, bad := st.rows(good, first, failed)
		switch {
		case st.broken != nil:
			return good
		case bad < 0:
			good = before
		default: // it was the state at the end that could not be kept, and an earlier row's fault
			st.done -= bad + 1
			failed = 0
		}
	}
	for i := failed; i < n; i++ {
		out, bad := st.rows(good, first+i, 1)
		if st.broken != nil {
			return good
		}
		if bad < 0 {
			good = out
		}
	}
	return good
}

// rows folds n rows into the state from and returns the new one; failed is the row that failed, from 0, or -1. A row is told
// only when it is done alone.
func (st *stepping) rows(from types.Value, first, n int) (out types.Value, failed int) {
	st.renew()
	var state goja.Value
	for i := range n {
		st.tick()
		flt := st.guard(func(r *realm) (err error) {
			if i == 0 {
				if from.Null {
					state, err = r.agg[aggInit](goja.Undefined())
				} else {
					state, err = r.load([]byte(from.S))
				}
				if err != nil {
					return err
				}
			}
			r.args = append(r.args[:0], state)
			for p := range st.f.def.Params {
				a, err := r.argument(&st.s.cols[p], first+i)
				if err != nil {
					return err
				}
				r.args = append(r.args, a)
			}
			v, err := r.agg[aggAccumulate](goja.Undefined(), r.args...)
			if err != nil {
				return err
			}
			if !goja.IsUndefined(v) {
				state = v
			}
			if i+1 < n {
				return nil
			}
			b, err := r.save(state, st.f.def.Limits.StateBytes)
			out = types.Value{Type: types.T(types.Bytea), S: string(b)}
			return err
		})
		if flt != nil {
			if n == 1 && flt.limit == "" {
				st.fail(first, flt)
			}
			return out, i
		}
	}
	return out, -1
}

// load makes a state of bytes. The bytes of an error are that error.
func (r *realm) load(b []byte) (goja.Value, error) {
	if len(b) > 0 && b[0] == wire.StateBad {
		return nil, &fault{code: sqlerr.ExternalRoutineException, text: clip(string(b[1:]))}
	}
	if len(b) == 0 {
		return nil, badState("is damaged")
	}
	if b[0] != wire.StateGood {
		return nil, badState("has version %d, which is not known here", b[0])
	}
	d := stateReader{r: r, in: b[1:]}
	v, err := d.read(0)
	if err == errDamaged || err == nil && len(d.in) > 0 {
		return nil, badState("is damaged")
	}
	return v, err
}

// save makes bytes of a state.
func (r *realm) save(v goja.Value, most int64) ([]byte, error) {
	w := stateWriter{r: r, out: []byte{wire.StateGood}, max: int(most), seen: map[*goja.Object]int{}}
	if err := w.write(v, 0); err != nil {
		return nil, err
	}
	if len(w.out) > w.max {
		return nil, &fault{limit: wire.OutputLimit}
	}
	return w.out, nil
}

// applied calls a function of two states and returns the bytes of the state that it gives: what it returns, or its first argument.
func (r *realm) applied(f *function, which int, a, b goja.Value) ([]byte, error) {
	v, err := r.agg[which](goja.Undefined(), a, b)
	if err != nil {
		return nil, err
	}
	if goja.IsUndefined(v) {
		v = a
	}
	return r.save(v, f.def.Limits.StateBytes)
}

// badBytes are the bytes of a state that ended in an error.
func badBytes(flt *fault) []byte { return append([]byte{wire.StateBad}, flt.text...) }
