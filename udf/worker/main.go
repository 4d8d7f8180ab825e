// Package worker is the process that runs JavaScript: the server's own binary, started again with the argument udf-worker,
// an empty environment, two pipes and a page of progress. It holds no handle of the server's, and is expected to crash: a
// native loop ends by the server's SIGKILL, a huge allocation by RLIMIT_DATA, deep native recursion by Go's fatal error.
// What it can stop by itself (JavaScript code that runs too long, too deep or too big) it reports as a broken limit and
// ends; a worker never runs on after a violation.
//
// Every function has a realm of its own, frozen, so no state passes between calls. What the language does not keep in, such as foreign
// machine code after a bug in the engine, a filter of system calls does (see confine): no files, no network, no other processes.
package worker

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/udf/wire"
)

// progressFD is the descriptor of the progress page: the first after the standard ones.
const progressFD = 3

const (
	// goStackMax ends deep recursion in built-in functions, in bytes.
	goStackMax = 64 << 20
	// realmsMax is how many functions have a realm at the same time; the one not called for longest loses its.
	realmsMax = 32
)

// Main serves until the server closes the pipe or a limit is broken; it returns the exit code.
func Main() int {
	time.Local = time.UTC
	debug.SetMaxStack(goStackMax)
	runtime.LockOSThread() // the watchdog reads this thread's CPU clock
	progress, err := wire.OpenProgress(os.NewFile(progressFD, "progress"))
	if err == nil {
		err = serve(os.Stdin, os.Stdout, progress)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "udf-worker:", err)
		return 1
	}
	return 0
}

// errViolation ends a worker whose limit was broken and reported.
var errViolation = errors.New("a limit was broken")

// server is the state of the process; one goroutine uses it.
type server struct {
	out       io.Writer
	frame     []byte
	progress  *wire.Progress
	rows      uint64 // begun since the start
	watch     *watchdog
	lockdown  *goja.Program
	functions map[uint64]*function
	batches   uint64
	cols      []batch.Vec
	rlimit    int64 // memory limit that RLIMIT_DATA is set for
}

func serve(in io.Reader, out io.Writer, progress *wire.Progress) error {
	lockdown, err := goja.Compile("lockdown", lockdownSource, true)
	if err != nil {
		return err
	}
	if err := limitProcess(); err != nil {
		return fmt.Errorf("set resource limits: %w", err)
	}
	if err := confine(); err != nil && os.Getenv(wire.UnsandboxedEnv) == "" {
		return fmt.Errorf("%s: %w", wire.NoSandbox, err)
	}
	s := &server{out: out, progress: progress, watch: newWatchdog(progress), lockdown: lockdown, functions: map[uint64]*function{}}
	defer s.watch.stop()
	r := bufio.NewReaderSize(in, 64<<10)
	var buf []byte
	for {
		kind, payload, err := wire.Read(r, &buf, wire.EvalMax)
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case kind == wire.Define:
			err = s.define(payload)
		case kind == wire.Eval:
			err = s.eval(payload)
		case kind == wire.Step:
			err = s.step(payload)
		default:
			err = wire.ErrMalformed
		}
		if err == errViolation {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) send(frame []byte) error {
	_, err := s.out.Write(wire.Finish(frame))
	return err
}

// sendJSON sends a frame whose payload is v.
func (s *server) sendJSON(k wire.Kind, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.frame = append(wire.Begin(s.frame, k), text...)
	return s.send(s.frame)
}

func (s *server) define(payload []byte) error {
	s.progress.Store(s.rows, wire.SettingUp)
	defer s.progress.Store(s.rows, wire.Idle)
	f := &function{}
	if err := json.Unmarshal(payload, &f.def); err != nil {
		return err
	}
	// The compiler computes constants: it has the function's memory, no more.
	if err := s.limitTo(f.def.Limits.MemoryBytes); err != nil {
		return err
	}
	var refusal *wire.Refusal
	if f.def.Aggregate {
		f.prg, refusal = compileAggregate(&f.def)
	} else {
		f.prg, refusal = compile(&f.def)
	}
	if refusal != nil {
		return s.sendJSON(wire.Refused, refusal)
	}
	s.functions[f.def.Handle] = f
	if f.def.Aggregate {
		return s.sendJSON(wire.Defined, f.def.Able)
	}
	s.frame = wire.Begin(s.frame, wire.Defined)
	return s.send(s.frame)
}

// limitTo makes the kernel hold this process to what a function of so many bytes may have.
func (s *server) limitTo(bytes int64) error {
	if s.rlimit == bytes {
		return nil
	}
	s.rlimit = bytes
	if err := limitMemory(bytes); err != nil {
		return fmt.Errorf("set the memory limit: %w", err)
	}
	return nil
}

// ready gives f a realm, taking one away when there are too many.
func (s *server) ready(f *function) error {
	s.batches++
	f.used = s.batches
	if err := s.limitTo(f.def.Limits.MemoryBytes); err != nil {
		return err
	}
	if f.realm != nil && !f.realm.spoiled {
		return nil
	}
	s.progress.Store(s.rows, wire.SettingUp)
	var oldest *function
	held := 0
	for _, o := range s.functions {
		if o.realm == nil || o == f {
			continue
		}
		if held++; oldest == nil || o.used < oldest.used {
			oldest = o
		}
	}
	if held >= realmsMax {
		oldest.realm = nil
		held--
	}
	var err error
	if f.realm, err = newRealm(f, s.lockdown); err != nil {
		return err
	}
	s.watch.setRealms(held + 1)
	return nil
}

// request is the head of an Eval.
func (s *server) request(payload []byte) (*function, int, error) {
	r := wire.Reader{B: payload}
	f := s.functions[r.U64()]
	n := int(r.U32())
	if r.Err != nil || f == nil || n <= 0 || n > wire.BatchRowsMax {
		return nil, 0, wire.ErrMalformed
	}
	if len(s.cols) < len(f.def.Params) {
		s.cols = make([]batch.Vec, len(f.def.Params))
	}
	for i, p := range f.def.Params {
		s.cols[i].Reset(p.Type)
		if err := r.Column(&s.cols[i], n); err != nil {
			return nil, 0, err
		}
	}
	return f, n, nil
}

// eval answers a batch, in several Results when it is big.
func (s *server) eval(payload []byte) error {
	f, n, err := s.request(payload)
	if err != nil {
		return err
	}
	defer func() { s.progress.Store(s.rows, wire.Idle) }()
	if err := s.ready(f); err != nil {
		return err
	}
	c := chunk{s: s, f: f}
	c.begin()
	s.watch.begin(f, len(payload))
	defer s.watch.end()
	for i := range n {
		s.rows++
		s.progress.Store(s.rows, wire.Rows)
		v, flt := f.evaluate(s, i)
		if flt != nil && flt.limit != "" {
			if err := s.sendJSON(wire.Violation, wire.Broken{Limit: flt.limit, Row: i}); err != nil {
				return err
			}
			return errViolation
		}
		c.add(v, flt)
		if f.realm.spoiled && i+1 < n {
			s.watch.end()
			if err := s.ready(f); err != nil {
				return err
			}
			s.watch.begin(f, len(payload))
		}
		if len(c.vec.Buf) >= wire.ResultFlush && i+1 < n {
			if err := c.flush(true); err != nil {
				return err
			}
		}
	}
	return c.flush(false)
}
