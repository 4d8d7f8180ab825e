package arena

import (
	"sync"
	"sync/atomic"
)

// Pool is the memory of a server. Look keeps the process within its budget; everything is safe for concurrent use.
type Pool struct {
	budget  int64
	file    *file
	pages   *pages
	measure func(*Pool) int64
	// mapped are the bytes that spans have.
	mapped atomic.Int64
	// short: the process has had more memory than it wants to, and has not much less now, or something is in the file.
	short atomic.Bool

	// room is how much more there may be in memory, as of the last Look and what was had since.
	room atomic.Int64

	mu     sync.Mutex
	arenas []*Arena
	// err is why the last chunk could not be moved; nil: it could.
	err error
}

// Memory is moved out from a fifth below the budget on, but not more than slackMost below it, and down to half as much less: what comes in between
// two looks does not depend on the budget. Memory is scarce until there is less than calmPercent of the budget.
const (
	slackMost   = 256 << 20
	calmPercent = 60
)

// NewPool returns a pool whose process may have budget bytes in memory; state that does not fit goes to a file in dir. measure tells how much
// of the process is in memory; nil: the system does. NewPool returns nil where the system cannot do that: then state is on the Go heap.
func NewPool(dir string, budget int64, measure func(p *Pool) int64) *Pool {
	if !able || pageBytes > pageMost {
		return nil
	}
	p := &Pool{budget: budget, file: &file{dir: dir}, pages: openPages(), measure: measure}
	if measure == nil {
		p.measure = func(*Pool) int64 {
			n, _ := Resident()
			return n
		}
	}
	p.room.Store(p.high())
	return p
}

func (p *Pool) slack() int64 { return min(p.budget/5, slackMost) }

// high is from where on memory is moved out.
func (p *Pool) high() int64 { return p.budget - p.slack() }

// over is how much has to leave memory, of so much that is there; 0: nothing.
func (p *Pool) over(resident int64) int64 {
	high := p.high()
	p.room.Store(high - resident)
	if resident <= high {
		return 0
	}
	p.short.Store(true)
	return resident - (high - p.slack()/2)
}

// share is the part of n bytes that are to leave memory which is an arena's.
func (p *Pool) share(a *Arena, n int64) int64 {
	return int64(float64(n) * float64(a.mapped.Load()) / float64(max(p.mapped.Load(), 1)))
}

// Arena begins the memory of one goroutine. That of a nil Pool is nil.
func (p *Pool) Arena() *Arena {
	if p == nil {
		return nil
	}
	a := &Arena{pool: p}
	p.mu.Lock()
	p.arenas = append(p.arenas, a)
	p.mu.Unlock()
	return a
}

// Budget is what the process may have in memory, bytes.
func (p *Pool) Budget() int64 { return p.budget }

// Look measures how much of the process is in memory, and has what is too much moved out: by the owners of the arenas at their next
// Relieve, and, as far as it is in the file already, at once. It returns what was measured.
func (p *Pool) Look() int64 {
	resident := p.measure(p)
	over := p.over(resident)
	if resident < p.budget/100*calmPercent && p.file.bytes() == 0 {
		p.short.Store(false)
	}
	p.mu.Lock()
	arenas := p.arenas
	p.mu.Unlock()
	for _, a := range arenas {
		share := p.share(a, over)
		if a.want.Swap(share) > 0 && share > 0 { // its owner had no occasion since the last time, or has not come to the end
			a.sweep(share, 0)
		}
	}
	return resident
}

// Force has n bytes moved out at the next Relieve of each arena, whatever is in memory.
func (p *Pool) Force(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.arenas {
		a.want.Store(n)
	}
}

// Hold has nothing moved to the file, for a reason that Err tells, until it is called with nil: the disk has no room, say.
func (p *Pool) Hold(why error) { p.file.setHold(why) }

// note remembers why memory cannot be moved out.
func (p *Pool) note(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
}

// Err is why state could not be moved out last time; nil: it could.
func (p *Pool) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Stats are figures of a pool, bytes.
type Stats struct {
	// State is what operators have, File the part of it that is in the file, some of which may be in memory too.
	State, File int64
}

// Stats reports figures; of a nil Pool zeros.
func (p *Pool) Stats() Stats {
	if p == nil {
		return Stats{}
	}
	return Stats{State: p.mapped.Load(), File: p.file.bytes()}
}

// Resident is how much of the arenas is in memory. It asks the system about every chunk.
func (p *Pool) Resident() int64 {
	if p == nil {
		return 0
	}
	p.mu.Lock()
	arenas := p.arenas
	p.mu.Unlock()
	n := int64(0)
	for _, a := range arenas {
		n += a.resident()
	}
	return n
}

func (a *Arena) resident() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, s := range a.spans {
		for i := range s.slots {
			n += a.residentPages(s, i)
		}
	}
	return int64(n) * int64(pageBytes)
}

// Close ends moving memory out. What operators have stays until they free it, or the garbage collector finds it.
func (p *Pool) Close() error {
	if p == nil {
		return nil
	}
	p.pages.close()
	return p.file.close()
}
