package udf

import (
	"encoding/binary"
	"encoding/json"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// call is the state of one Call, and memory that is used again.
type call struct {
	f     *function
	args  []*batch.Vec
	out   *batch.Vec
	start int // len(out.Buf) at the beginning
	errs  []rowError

	from  int         // first row of this exchange
	sent  []int       // rows of this exchange, of all rows of the call
	cols  []batch.Vec // their arguments, when not all rows are sent
	big   []int       // rows whose arguments are too big
	frame []byte
	res   batch.Vec // their results; row i is that of sent[i]
	fails []wire.RowError
	part  batch.Vec
}

type rowError struct {
	row int
	err error
}

// keepMax is how much memory a slot keeps between calls, in bytes per buffer.
const keepMax = 4 << 20

func (c *call) reset(f *function, args []*batch.Vec, out *batch.Vec) {
	c.f, c.args, c.out, c.start, c.errs = f, args, out, len(out.Buf), c.errs[:0]
	if len(c.cols) < len(args) {
		c.cols = make([]batch.Vec, len(args))
	}
}

// release lets go of the caller's memory, and of buffers that one big batch made.
func (c *call) release() {
	c.f, c.args, c.out, c.errs = nil, nil, nil, nil
	c.sent = c.sent[:0]
	if cap(c.frame) > keepMax {
		c.frame = nil
	}
	if cap(c.res.Buf) > keepMax {
		c.res.Buf = nil
	}
	for i := range c.cols {
		if cap(c.cols[i].Buf) > keepMax {
			c.cols[i].Buf = nil
		}
	}
}

// gather chooses the rows of the next exchange from rows [from, n), makes their frame, and returns the row after them.
func (c *call) gather(from, n int) int {
	c.from, c.sent, c.big = from, c.sent[:0], c.big[:0]
	size, to := 0, from
	for ; to < n && to-from < wire.BatchRowsMax && size < wire.BatchArgsMax; to++ {
		if c.f.strict && anyNull(c.args, to) {
			continue
		}
		bytes := rowBytes(c.args, to)
		if bytes > wire.RowArgsMax {
			c.big = append(c.big, to)
			continue
		}
		size += bytes
		c.sent = append(c.sent, to)
	}
	if len(c.sent) == 0 {
		return to
	}
	f := wire.Begin(c.frame, wire.Eval)
	f = binary.LittleEndian.AppendUint64(f, c.f.def.Handle)
	f = binary.LittleEndian.AppendUint32(f, uint32(len(c.sent)))
	whole := len(c.sent) == to && from == 0
	for i, a := range c.args {
		if !whole || a.Type.Phys() != c.f.def.Params[i].Type.Phys() {
			a = c.pick(i)
		}
		f = wire.AppendColumn(f, a, len(c.sent))
	}
	c.frame = wire.Finish(f)
	return to
}

func anyNull(args []*batch.Vec, row int) bool {
	for _, a := range args {
		if a.IsNull(row) {
			return true
		}
	}
	return false
}

func rowBytes(args []*batch.Vec, row int) int {
	n := 8 * len(args)
	for _, a := range args {
		if a.Type.Phys() == types.PhysBytes {
			n += int(a.Off[row+1] - a.Off[row])
		}
	}
	return n
}

// pick copies the rows to be sent of argument i.
func (c *call) pick(i int) *batch.Vec {
	v := &c.cols[i]
	v.Reset(c.f.def.Params[i].Type)
	for _, row := range c.sent {
		if c.args[i].Type.Phys() != v.Type.Phys() {
			v.AppendNull() // an untyped NULL
			continue
		}
		v.AppendFrom(c.args[i], row)
	}
	return v
}

// exchange sends the rows and collects their results.
func (c *call) exchange(p *process) error {
	carrier, _ := wire.Carrier(c.f.def.Ret)
	c.res.Reset(carrier)
	c.fails = c.fails[:0]
	p.begin(c.f.def.Limits)
	kind, payload, err := p.roundTrip(c.frame, wire.ResultMax(c.f.def.Limits.OutputBytes))
	var more bool
	for err == nil && kind == wire.Result {
		if more, err = c.result(p, payload); err != nil || !more {
			break
		}
		kind, payload, err = wire.Read(p.r, &p.buf, wire.ResultMax(c.f.def.Limits.OutputBytes))
	}
	killed := p.end()
	if _, ok := err.(*violation); ok {
		return err
	}
	switch {
	case err != nil:
		return p.broken(err, killed)
	case kind == wire.Violation:
		var b wire.Broken
		if err := json.Unmarshal(payload, &b); err != nil {
			return &crash{err: err}
		}
		return &violation{limit: b.Limit, row: min(max(b.Row, 0), len(c.sent)-1)}
	case kind != wire.Result:
		return &crash{err: wire.ErrMalformed}
	}
	if killed != nil {
		p.retire = true // the answer was faster, but the worker is dead
	}
	return nil
}

// result adds one Result frame and reports whether more follow.
func (c *call) result(p *process, payload []byte) (more bool, err error) {
	left := len(c.sent) - c.res.N
	r := wire.Reader{B: payload}
	h, err := r.ResultHead(left)
	if err != nil || h.More == (h.Rows == left) {
		return false, wire.ErrMalformed
	}
	c.part.Reset(c.res.Type)
	if err := r.Column(&c.part, h.Rows); err != nil {
		return false, err
	}
	// Buf of part belongs to the frame: no capacity of it must survive Reset.
	defer func() { c.part.Buf = nil }()
	first := c.res.N
	for range h.Errors {
		e, err := r.RowError(h.Rows)
		if err != nil {
			return false, err
		}
		e.Row += first
		c.fails = append(c.fails, e)
	}
	if len(r.B) != 0 {
		return false, wire.ErrMalformed
	}
	if len(c.out.Buf)-c.start+len(c.res.Buf)+len(c.part.Buf) > callOutputMax {
		return false, &violation{limit: wire.OutputLimit, row: first, whole: true}
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

// land appends rows [from, to) to out: the results, checked, and NULL for rows that were not sent or failed.
func (c *call) land(from, to int) error {
	next, big, fail := 0, 0, 0
	for row := from; row < to; row++ {
		if next == len(c.sent) || c.sent[next] != row {
			if big < len(c.big) && c.big[big] == row {
				big++
				c.errs = append(c.errs, rowError{row, sqlerr.New(sqlerr.ProgramLimitExceeded,
					"the arguments of function %s have more than %d bytes", c.f.spec.Name, wire.RowArgsMax)})
			}
			c.out.AppendNull()
			continue
		}
		failed := false
		for ; fail < len(c.fails) && c.fails[fail].Row <= next; fail++ {
			if c.fails[fail].Row == next && !failed {
				c.errs = append(c.errs, rowError{row, exception(c.f, &c.fails[fail])})
				failed = true
			}
		}
		if failed {
			c.out.AppendNull()
		} else if err := appendResult(c.out, c.f.def.Ret, &c.res, next); err != nil {
			c.errs = append(c.errs, rowError{row, sqlerr.As(err).WithWhere("result of JavaScript function %s", c.f.spec.Name)})
			c.out.AppendNull()
		}
		next++
	}
	return nil
}
