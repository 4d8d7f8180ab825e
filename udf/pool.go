// Package udf calls users' JavaScript functions. No JavaScript runs in the server's process: a pool of child processes
// (package worker) does it, and this package starts them, sends them rows, watches their CPU time, kills those that do
// not stop, checks everything they answer, and turns what happened into SQL errors.
package udf

import (
	"cmp"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// Options configure a Pool.
type Options struct {
	// Command starts a worker; empty: this executable with the argument udf-worker.
	Command []string
	// Workers is how many calls run at the same time; default half of GOMAXPROCS. Processes start when they are needed.
	Workers int
	// Unsandboxed lets workers run where the system has no sandbox for them.
	Unsandboxed bool
	Logger      *slog.Logger // default: none
	// Log takes what functions give to console.log, up to wire.LogLinesMax lines of a batch, as they came; nil: nobody asks.
	Log func(function string, lines []string)
}

// What a function may use where its definition gives no limit, and the bounds of what it may give.
const (
	timeoutDefault = 50 * time.Millisecond
	timeoutMax     = time.Minute
	memoryDefault  = 16 << 20
	stackDefault   = 256
	stackMax       = 10000
	outputDefault  = 1 << 20
	outputMax      = 16 << 20
	stateDefault   = 64 << 10
	// callOutputMax bounds what all rows of one Call may return, in bytes.
	callOutputMax = 64 << 20
	// definedMax is the number of definitions after which a worker is replaced; it never forgets one.
	definedMax = 256
)

// Pool calls functions in worker processes. All methods are safe for concurrent use; a call has a worker for itself, so
// what one function does to its worker no other call sees.
type Pool struct {
	opts Options
	log  *slog.Logger
	sem  chan struct{} // a token per busy slot
	ctr  counters

	mu        sync.Mutex
	functions map[uint64]*function
	handles   uint64
	free      []*slot // the last one used is the first one given
	// live are the workers that run; ended is the CPU time that the others have had.
	live   map[*process]bool
	ended  time.Duration
	closed bool
}

// function is a defined function; it is not changed once it is in the pool.
type function struct {
	spec   *spec.Function
	def    wire.Definition
	frame  []byte // the Define frame
	strict bool
	able   wire.Abilities // of an aggregate
}

// slot is the right to run one worker. Its process lives until it breaks, wears out, or the pool is closed.
type slot struct {
	proc *process
	call call
}

type counters struct {
	calls, rows, started, violations, crashes, logged atomic.Int64
}

// Stats are counts since the pool was made.
type Stats struct {
	Calls, Rows int64
	Started     int64 // worker processes
	Violations  int64 // broken limits
	Crashes     int64 // workers that died unasked
	Logged      int64 // lines given to console.log
}

// NewPool returns an empty pool. It starts no process before one is needed.
func NewPool(o Options) *Pool {
	if o.Workers <= 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if len(o.Command) == 0 {
		exe, err := os.Executable()
		if err != nil {
			exe = os.Args[0]
		}
		o.Command = []string{exe, "udf-worker"}
	}
	p := &Pool{opts: o, log: o.Logger, sem: make(chan struct{}, o.Workers), functions: map[uint64]*function{}, live: map[*process]bool{}}
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	return p
}

// Stats returns the counts.
func (p *Pool) Stats() Stats {
	c := &p.ctr
	return Stats{c.calls.Load(), c.rows.Load(), c.started.Load(), c.violations.Load(), c.crashes.Load(), c.logged.Load()}
}

// CPU is the CPU time that the workers have had, those that ended included; 0 where the system does not tell.
func (p *Pool) CPU() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := p.ended
	for proc := range p.live {
		d, _ := proc.cpu()
		sum += d
	}
	return sum
}

// Define makes f callable under its ID, in place of what had the ID before: calls under way end with the old one. The
// body is compiled in a worker, which has a budget of its own; a mistake in it is a 42P13 error with its line and column.
func (p *Pool) Define(f *spec.Function) error {
	fn, err := newFunction(f)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.handles++
	fn.def.Handle = p.handles
	p.mu.Unlock()
	if fn.frame, err = defineFrame(&fn.def); err != nil {
		return err
	}
	s, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.release(s)
	if err := p.attempt(s, fn, func(proc *process) error {
		fn.able = proc.able
		return nil
	}); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.functions[f.ID] = fn
	return nil
}

// newFunction checks what can be checked here.
func newFunction(f *spec.Function) (*function, error) {
	d := wire.Definition{Ret: f.Ret, Body: f.Body, Volatile: f.Volatility == "VOLATILE", Aggregate: f.Aggregate}
	if _, ok := wire.Carrier(f.Ret); !ok {
		return nil, noForm(f.Ret)
	}
	for _, c := range f.Params {
		if _, ok := wire.Carrier(c.Type); !ok {
			return nil, noForm(c.Type)
		}
		d.Params = append(d.Params, wire.Param{Name: c.Name, Type: c.Type})
	}
	if len(f.Body) > wire.SourceMax {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "the body of function %q is longer than %d bytes", f.Name, wire.SourceMax)
	}
	l := f.Limits
	d.Limits = wire.Limits{
		TimeoutMicros: cmp.Or(l.TimeoutMicros, int64(timeoutDefault/time.Microsecond)),
		MemoryBytes:   cmp.Or(l.MemoryBytes, memoryDefault),
		StackFrames:   cmp.Or(l.StackFrames, stackDefault),
		OutputBytes:   cmp.Or(l.OutputBytes, outputDefault),
		StateBytes:    cmp.Or(f.StateBytes, stateDefault),
	}
	for _, b := range []struct {
		what       string
		value, max int64
		unit       string
	}{
		{"timeout", d.Limits.TimeoutMicros, int64(timeoutMax / time.Microsecond), "microseconds"},
		{"memory", d.Limits.MemoryBytes, wire.MemoryMax, "bytes"},
		{"stack", int64(d.Limits.StackFrames), stackMax, "frames"},
		{"state", d.Limits.StateBytes, wire.StateMax, "bytes"},
		{"output", d.Limits.OutputBytes, outputMax, "bytes"},
	} {
		if b.value < 0 || b.value > b.max {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "%s of function %q is %d %s, outside 1 to %d", b.what, f.Name, b.value, b.unit, b.max)
		}
	}
	return &function{spec: f, def: d, strict: f.Strict}, nil
}

func noForm(t types.Type) error {
	return sqlerr.NotSupported("type "+t.String()+" in a JavaScript function", "Use text, a number, boolean, bytea, a date or time, inet, uuid, jsonb, or an array of these.")
}

// Remove forgets a function. Calls under way end normally; an unknown id is no mistake.
func (p *Pool) Remove(id uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.functions, id)
}

// Call evaluates function id over the first n rows of args and appends n rows to out. An exception, or a value that does
// not fit, leaves NULL and is given to rowErr in the order of rows; with on_error = 'null' it leaves NULL alone, and with
// 'deactivate' it is the returned error, as is a broken limit. After an error out has the rows it had before.
func (p *Pool) Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(row int, err error)) error {
	p.mu.Lock()
	f := p.functions[id]
	p.mu.Unlock()
	if f == nil {
		return sqlerr.New(sqlerr.UndefinedFunction, "JavaScript function %d is not defined", id)
	}
	if len(args) != len(f.def.Params) {
		return sqlerr.New(sqlerr.InternalError, "function %s called with %d arguments, it has %d", f.spec.Name, len(args), len(f.def.Params))
	}
	s, err := p.acquire()
	if err != nil {
		return err
	}
	defer p.release(s)
	p.ctr.calls.Add(1)
	p.ctr.rows.Add(int64(n))
	before := out.N
	c := &s.call
	c.reset(f, args, out)
	for from := 0; from < n; {
		to := c.gather(from, n)
		if len(c.sent) > 0 {
			err = p.attempt(s, f, c.exchange)
		}
		if err == nil {
			err = c.land(from, to)
		}
		if err != nil {
			out.Truncate(before)
			return err
		}
		from = to
	}
	if len(c.errs) > 0 && f.spec.Limits.OnError == "deactivate" {
		out.Truncate(before)
		return c.errs[0].err
	}
	if f.spec.Limits.OnError == "null" {
		return nil
	}
	for _, e := range c.errs {
		rowErr(e.row, e.err)
	}
	return nil
}

// attempt runs do with a worker that knows f, again in a fresh one when the first dies unasked: a worker may be killed by
// the machine, or suffer from what another function left; a function that takes two with it is guilty.
func (p *Pool) attempt(s *slot, f *function, do func(*process) error) error {
	var died *crash
	for range 2 {
		proc, err := p.process(s)
		if err != nil {
			return err
		}
		if err = proc.define(f); err == nil {
			err = do(proc)
		}
		if err == nil {
			p.ctr.logged.Add(int64(proc.logged))
			if proc.logged = 0; proc.retire || len(proc.defined) >= definedMax {
				p.discard(s)
			}
			return nil
		}
		switch e := err.(type) {
		case *refused:
			return e.sqlError(f)
		case *violation:
			p.ctr.violations.Add(1)
			p.log.Warn("JavaScript function broke a limit", "function", f.spec.Name, "limit", e.limit)
			p.discard(s)
			return e.sqlError(f, &s.call)
		case *crash:
			died = e
			p.ctr.crashes.Add(1)
			p.discard(s)
			died.stderr = proc.lastWords()
			p.log.Warn("JavaScript worker died", "function", f.spec.Name, "error", e.err, "stderr", died.stderr)
		default:
			p.discard(s)
			return err
		}
	}
	p.ctr.violations.Add(1)
	return died.sqlError(f, &s.call)
}

// process returns the slot's worker, starting one if there is none.
func (p *Pool) process(s *slot) (*process, error) {
	if s.proc != nil {
		return s.proc, nil
	}
	proc, err := start(p.opts.Command, p.opts.Unsandboxed)
	if err != nil {
		return nil, sqlerr.New(sqlerr.InsufficientResources, "cannot start a JavaScript worker: %v", err).
			WithHint("Workers are started as: %q.", p.opts.Command)
	}
	p.ctr.started.Add(1)
	p.mu.Lock()
	p.live[proc] = true
	p.mu.Unlock()
	s.proc, proc.onLog = proc, p.opts.Log
	return proc, nil
}

func (p *Pool) discard(s *slot) {
	if s.proc != nil {
		p.mu.Lock()
		d, _ := s.proc.cpu()
		p.ended += d
		delete(p.live, s.proc)
		p.mu.Unlock()
		s.proc.close()
		s.proc = nil
	}
}

// acquire waits for a slot.
func (p *Pool) acquire() (*slot, error) {
	p.sem <- struct{}{}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		<-p.sem
		return nil, sqlerr.New(sqlerr.AdminShutdown, "the server is shutting down")
	}
	if n := len(p.free); n > 0 {
		s := p.free[n-1]
		p.free = p.free[:n-1]
		return s, nil
	}
	return &slot{}, nil
}

func (p *Pool) release(s *slot) {
	s.call.release()
	p.mu.Lock()
	p.free = append(p.free, s)
	p.mu.Unlock()
	<-p.sem
}

// Close waits for the calls under way, which their limits bound, and ends all workers. Later calls fail.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.sem) {
		p.sem <- struct{}{}
	}
	p.mu.Lock()
	free := p.free
	p.free = nil
	p.mu.Unlock()
	for _, s := range free {
		p.discard(s)
	}
	for range cap(p.sem) {
		<-p.sem
	}
}
