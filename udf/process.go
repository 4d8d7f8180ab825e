package udf

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/udf/wire"
)

const (
	// lookEvery is how often a busy worker is looked at, lookFirst when for the first time.
	lookEvery = 5 * time.Millisecond
	lookFirst = 10 * time.Millisecond
	// setupMax is the CPU time for starting, compiling and making realms, which is not the rows' fault; setupWall bounds it
	// on a machine that gives no CPU time.
	setupMax  = time.Second
	setupWall = 20 * time.Second
	// rowWallMin: a worker that neither answers nor uses CPU time is given up after 20 times the row's limit, but not
	// sooner than this. Workers never wait for anything, so a short wall limit would only blame a busy machine.
	rowWallMin = 5 * time.Second
	// lastWordsMax is how much of a dead worker's standard error is read, in bytes.
	lastWordsMax = 4096
)

// process is a worker. One goroutine at a time exchanges frames; the watching timer only looks and kills.
type process struct {
	cmd      *exec.Cmd
	in       *os.File // we write
	out      *os.File // we read, through r
	errs     *os.File
	r        *bufio.Reader
	buf      []byte // the last frame read
	progress *wire.Progress
	cpu      func() (time.Duration, bool) // CPU time of the process; false where the system does not tell
	defined  map[uint64]bool
	able     wire.Abilities // of what was defined last
	logged   uint32
	onLog    func(function string, lines []string)
	retire   bool
	timer    *time.Timer

	mu      sync.Mutex
	busy    bool
	limits  wire.Limits
	base    uint64 // rows begun before this exchange
	seen    uint64 // rows and state when last looked at
	seenAt  time.Time
	seenCPU time.Duration
	killed  *kill
}

// kill says why the watch ended a worker. A kill by the wall clock blames nobody at first.
type kill struct {
	setup, wall bool
	row         int
}

// start runs command with an empty environment, a pipe in each direction and the progress page as descriptor 3.
func start(command []string, unsandboxed bool) (*process, error) {
	p := &process{cmd: exec.Command(command[0], command[1:]...), defined: map[uint64]bool{}}
	page, err := wire.NewProgress()
	if err != nil {
		return nil, err
	}
	defer page.Close()
	if p.progress, err = wire.OpenProgress(page); err != nil {
		return nil, err
	}
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			if f != nil {
				f.Close()
			}
		}
	}()
	if theirs[0], p.in, err = os.Pipe(); err == nil {
		if p.out, theirs[1], err = os.Pipe(); err == nil {
			p.errs, theirs[2], err = os.Pipe()
		}
	}
	if err == nil {
		p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirs[0], theirs[1], theirs[2]
		p.cmd.ExtraFiles = []*os.File{page}
		// Where the program is linked with C's library, each thread's arena would take 64 MB of the address space that there is.
		p.cmd.Env = []string{"MALLOC_ARENA_MAX=1", "GOMAXPROCS=2", "GOTRACEBACK=none", "TZ=UTC", "LANG=C"}
		if unsandboxed {
			p.cmd.Env = append(p.cmd.Env, wire.UnsandboxedEnv+"=1")
		}
		p.cmd.Dir = "/"
		p.cmd.SysProcAttr = childAttributes()
		err = p.cmd.Start()
	}
	if err != nil {
		p.release()
		return nil, err
	}
	p.r = bufio.NewReaderSize(p.out, 64<<10)
	p.cpu = processClock(p.cmd.Process.Pid)
	p.timer = time.AfterFunc(time.Hour, p.look)
	p.timer.Stop()
	return p, nil
}

// close kills the worker and frees what it held, except what lastWords reads.
func (p *process) close() {
	p.timer.Stop()
	// The watch may be looking at the page this moment.
	p.mu.Lock()
	p.busy = false
	p.mu.Unlock()
	_ = p.cmd.Process.Kill() // it may be dead
	_ = p.cmd.Wait()         // its status says nothing that the exchange did not
	words, _ := io.ReadAll(io.LimitReader(p.errs, lastWordsMax))
	p.buf = words
	p.release()
}

// lastWords is what a closed worker wrote to its standard error, without the stacks of its goroutines.
func (p *process) lastWords() string {
	words, _, _ := strings.Cut(string(p.buf), "\n\n")
	return clean(strings.TrimSpace(words))
}

func (p *process) release() {
	for _, f := range []*os.File{p.in, p.out, p.errs} {
		if f != nil {
			f.Close()
		}
	}
	_ = p.progress.Close()
}

// begin arms the watch for an exchange.
func (p *process) begin(l wire.Limits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy, p.limits, p.killed = true, l, nil
	p.base, _ = p.progress.Load()
	p.seen, p.seenAt = ^uint64(0), time.Time{}
	p.timer.Reset(lookFirst)
}

// end disarms it. The decision to kill is taken under the same lock, so it concerns this exchange or none.
func (p *process) end() *kill {
	p.timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	return p.killed
}

// look kills the worker when its row used more than twice its CPU time: by then it should have stopped itself, and did
// not because it is in a native loop.
func (p *process) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy || p.killed != nil {
		return
	}
	rows, state := p.progress.Load()
	now := time.Now()
	cpu, known := p.cpu()
	if seen := rows<<2 | uint64(state); seen != p.seen || p.seenAt.IsZero() {
		p.seen, p.seenAt, p.seenCPU = seen, now, cpu
	}
	timeout := time.Duration(p.limits.TimeoutMicros) * time.Microsecond
	most, wall := 2*timeout+30*time.Millisecond, max(20*timeout, rowWallMin)
	if state != wire.Rows {
		most, wall = setupMax, setupWall
	}
	over, late := known && cpu-p.seenCPU > most, now.Sub(p.seenAt) > wall
	if over || late {
		p.killed = &kill{setup: state != wire.Rows, wall: !over, row: p.row(rows)}
		_ = p.cmd.Process.Kill()
		return
	}
	p.timer.Reset(lookEvery)
}

// row is the row of the exchange that is running when the worker has begun so many.
func (p *process) row(rows uint64) int {
	return int(min(max(rows-p.base, 1), wire.BatchRowsMax)) - 1
}

// define teaches the worker f, once.
func (p *process) define(f *function) error {
	if p.defined[f.def.Handle] {
		return nil
	}
	p.begin(f.def.Limits)
	kind, payload, err := p.roundTrip(f.frame, wire.ResultMax(0))
	killed := p.end()
	switch {
	case err != nil:
		return p.broken(err, killed)
	case kind == wire.Defined:
		if f.def.Aggregate && json.Unmarshal(payload, &p.able) != nil {
			return &crash{err: wire.ErrMalformed}
		}
		p.defined[f.def.Handle] = true
		return nil
	case kind == wire.Refused:
		r := &refused{}
		if err := json.Unmarshal(payload, &r.why); err != nil {
			return &crash{err: err}
		}
		return r
	}
	return &crash{err: wire.ErrMalformed}
}

func (p *process) roundTrip(frame []byte, max int) (wire.Kind, []byte, error) {
	// A worker that dies while the frame is written is seen by the read, which waits for the end of the pipe.
	_, werr := p.in.Write(frame)
	kind, payload, err := wire.Read(p.r, &p.buf, max)
	if err != nil && werr != nil {
		err = errors.Join(err, werr)
	}
	return kind, payload, err
}

// broken explains why an exchange ended without an answer.
func (p *process) broken(err error, killed *kill) error {
	rows, _ := p.progress.Load()
	if killed == nil {
		return &crash{err: err, row: p.row(rows)}
	}
	if killed.wall {
		return &crash{err: fmt.Errorf("no answer, and no CPU time used"), row: killed.row, slow: true}
	}
	return &violation{limit: wire.TimeLimit, row: killed.row, setup: killed.setup}
}

func defineFrame(d *wire.Definition) ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	return wire.Finish(append(wire.Begin(nil, wire.Define), text...)), nil
}
