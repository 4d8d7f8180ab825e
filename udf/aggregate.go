package udf

import (
	"encoding/binary"
	"encoding/json"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

var _ agg.Runner = (*Pool)(nil)

// Merges implements agg.Runner.
func (p *Pool) Merges(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.functions[id]
	return f != nil && f.able.Merge
}

// Aggregate implements agg.Runner: it does one step of aggregate id for all groups, in as many exchanges as their bytes need. An
// exception of a row is told as on_error of the aggregate says, as by Call.
func (p *Pool) Aggregate(id uint64, s *agg.Step) error {
	p.mu.Lock()
	f := p.functions[id]
	p.mu.Unlock()
	if f == nil || !f.def.Aggregate {
		return sqlerr.New(sqlerr.UndefinedFunction, "JavaScript aggregate %d is not defined", id)
	}
	slot, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.release(slot)
	p.ctr.calls.Add(1)
	c := stepCall{f: f, s: s}
	if s.Kind == agg.Accumulate && len(s.Counts) > 0 {
		c.left = int(s.Counts[0])
		for _, n := range s.Counts {
			p.ctr.rows.Add(int64(n))
		}
	}
	for c.group < s.States.N {
		c.gather()
		if err := p.attempt(slot, f, c.exchange); err != nil {
			return err
		}
		if err := c.land(); err != nil {
			return err
		}
	}
	return nil
}

// stepCall is a Step under way.
type stepCall struct {
	f *function
	s *agg.Step

	group int    // the first that was not sent, or not to its end
	row   int    // the first of Args that was not sent
	left  int    // rows of the group from there
	carry []byte // the state of a group of which a part was sent; nil: none was
	// Of this exchange:
	states, others batch.Vec
	counts         []uint32
	sent           []int // rows
	from           int   // first group
	groups         int
	rows           []batch.Vec
	frame          []byte
	res, part      batch.Vec
	fails          []wire.RowError
}

// gather chooses the groups and rows of the next exchange and makes their frame. A group is cut where its rows are too many.
func (c *stepCall) gather() {
	bytea := types.T(types.Bytea)
	c.states.Reset(bytea)
	c.others.Reset(bytea)
	c.counts, c.sent, c.from, c.groups = c.counts[:0], c.sent[:0], c.group, 0
	for size := 0; c.group < c.s.States.N && c.groups < wire.BatchRowsMax && len(c.sent) < wire.BatchRowsMax && size < wire.BatchArgsMax; {
		switch {
		case c.carry != nil:
			c.states.AppendBytes(c.carry)
			size += len(c.carry)
		case c.s.States.IsNull(c.group):
			c.states.AppendNull()
		default:
			b := c.s.States.Bytes(c.group)
			c.states.AppendBytes(b)
			size += len(b)
		}
		c.carry = nil
		c.groups++
		if c.s.Kind == agg.Merge {
			b := c.s.Others.Bytes(c.group)
			c.others.AppendBytes(b)
			size += len(b)
		}
		if c.s.Kind == agg.Accumulate {
			before := len(c.sent)
			size = c.gatherRows(size)
			c.counts = append(c.counts, uint32(len(c.sent)-before))
			if c.left > 0 {
				break
			}
		}
		c.group++
		if c.s.Kind == agg.Accumulate && c.group < len(c.s.Counts) {
			c.left = int(c.s.Counts[c.group])
		}
	}
	c.makeFrame()
}

// gatherRows adds rows of the group, until there are enough bytes, and returns how many these are.
func (c *stepCall) gatherRows(size int) int {
	for ; c.left > 0 && len(c.sent) < wire.BatchRowsMax && (size < wire.BatchArgsMax || len(c.sent) == 0); c.row, c.left = c.row+1, c.left-1 {
		if c.f.strict && anyNull(c.s.Args, c.row) {
			continue
		}
		bytes := rowBytes(c.s.Args, c.row)
		if bytes > wire.RowArgsMax {
			c.s.RowErr(c.row, sqlerr.New(sqlerr.ProgramLimitExceeded, "the arguments of aggregate %s have more than %d bytes", c.f.spec.Name, wire.RowArgsMax))
			continue
		}
		size += bytes
		c.sent = append(c.sent, c.row)
	}
	return size
}

func (c *stepCall) makeFrame() {
	f := wire.AppendStepHead(wire.Begin(c.frame, wire.Step),
		wire.StepHead{Handle: c.f.def.Handle, Kind: byte(c.s.Kind), Groups: c.groups, Rows: len(c.sent)})
	f = wire.AppendColumn(f, &c.states, c.groups)
	switch c.s.Kind {
	case agg.Merge:
		f = wire.AppendColumn(f, &c.others, c.groups)
	case agg.Accumulate:
		for _, n := range c.counts {
			f = binary.LittleEndian.AppendUint32(f, n)
		}
		if c.rows == nil {
			c.rows = make([]batch.Vec, len(c.s.Args))
		}
		for i, a := range c.s.Args {
			v := &c.rows[i]
			v.Reset(c.f.def.Params[i].Type)
			for _, row := range c.sent {
				v.AppendFrom(a, row)
			}
			f = wire.AppendColumn(f, v, len(c.sent))
		}
	}
	c.frame = wire.Finish(f)
}

// exchange sends the groups and collects their states or results.
func (c *stepCall) exchange(p *process) error {
	carrier, most := types.T(types.Bytea), c.f.def.Limits.StateBytes
	if c.s.Kind == agg.Finish {
		carrier, _ = wire.Carrier(c.f.def.Ret)
		most = c.f.def.Limits.OutputBytes
	}
	c.res.Reset(carrier)
	c.fails = c.fails[:0]
	p.begin(c.f.def.Limits)
	kind, payload, err := p.roundTrip(c.frame, wire.ResultMax(most))
	var more bool
	for err == nil && kind == wire.Result {
		if more, err = c.result(p, payload); err != nil || !more {
			break
		}
		kind, payload, err = wire.Read(p.r, &p.buf, wire.ResultMax(most))
	}
	killed := p.end()
	switch {
	case err != nil:
		if _, ok := err.(*violation); ok {
			return err
		}
		return p.broken(err, killed)
	case kind == wire.Violation:
		var b wire.Broken
		if err := json.Unmarshal(payload, &b); err != nil {
			return &crash{err: err}
		}
		return &violation{limit: b.Limit, row: max(b.Row, 0), state: c.s.Kind != agg.Finish}
	case kind != wire.Result:
		return &crash{err: wire.ErrMalformed}
	}
	if killed != nil {
		p.retire = true // the answer was faster, but the worker is dead
	}
	return nil
}

// result adds one Result frame and reports whether more follow.
func (c *stepCall) result(p *process, payload []byte) (more bool, err error) {
	left := c.groups - c.res.N
	r := wire.Reader{B: payload}
	h, err := r.StepResultHead(left)
	if err != nil || h.More == (h.Rows == left) {
		return false, wire.ErrMalformed
	}
	c.part.Reset(c.res.Type)
	if err := r.Column(&c.part, h.Rows); err != nil {
		return false, err
	}
	// Buf of part belongs to the frame: no capacity of it must survive Reset.
	defer func() { c.part.Buf = nil }()
	rows := len(c.sent)
	if c.s.Kind != agg.Accumulate {
		rows = c.groups
	}
	for range h.Errors {
		e, err := r.RowError(rows)
		if err != nil || len(c.fails) == rows {
			return false, wire.ErrMalformed
		}
		c.fails = append(c.fails, e)
	}
	if len(r.B) != 0 {
		return false, wire.ErrMalformed
	}
	if len(c.res.Buf)+len(c.part.Buf) > callOutputMax {
		return false, &violation{limit: wire.OutputLimit, row: c.res.N, whole: true}
	}
	for i := range h.Rows {
		c.res.AppendFrom(&c.part, i)
	}
	p.logged += h.Logged
	if p.onLog != nil && len(h.Log) > 0 {
		p.onLog(c.f.spec.Name, h.Log)
	}
	p.retire = p.retire || h.Retire
	return h.More, nil
}

// land gives the caller what came, checked.
func (c *stepCall) land() error {
	failed := map[int]bool{} // groups without a result
	for i := range c.fails {
		e := &c.fails[i]
		row := c.from + e.Row
		if c.s.Kind == agg.Accumulate {
			row = c.sent[e.Row]
		} else if failed[e.Row] {
			continue
		}
		failed[e.Row] = true
		if err := c.tell(row, exception(c.f, e)); err != nil {
			return err
		}
	}
	for i := range c.groups {
		if c.s.Kind != agg.Finish {
			if err := c.landState(i); err != nil {
				return err
			}
			continue
		}
		if failed[i] {
			c.s.Out.AppendNull()
		} else if err := appendResult(c.s.Out, c.f.def.Ret, &c.res, i); err != nil {
			c.s.Out.AppendNull()
			if err := c.tell(c.from+i, sqlerr.As(err).WithWhere("result of JavaScript aggregate %s", c.f.spec.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tell does what on_error says about the error of a row.
func (c *stepCall) tell(row int, err error) error {
	switch c.f.spec.Limits.OnError {
	case "deactivate":
		return err
	case "null":
		return nil
	}
	c.s.RowErr(row, err)
	return nil
}

// landState takes the state of the i-th group of the exchange; that of a group that was cut goes on.
func (c *stepCall) landState(i int) error {
	cut := i == c.groups-1 && c.from+i == c.group
	if c.res.IsNull(i) {
		if !c.states.IsNull(i) {
			return sqlerr.New(sqlerr.UDFCrash, "the JavaScript worker lost a state of aggregate %s", c.f.spec.Name)
		}
		if !cut {
			c.s.Out.AppendNull()
		}
		return nil
	}
	b := c.res.Bytes(i)
	if len(b) == 0 || b[0] != wire.StateGood && b[0] != wire.StateBad || len(b) > max(int(c.f.def.Limits.StateBytes), 1+wire.MessageMax) {
		return sqlerr.New(sqlerr.UDFCrash, "the JavaScript worker gave aggregate %s a state that is none", c.f.spec.Name)
	}
	if cut {
		c.carry = append([]byte(nil), b...)
		return nil
	}
	c.s.Out.AppendBytes(b)
	return nil
}
