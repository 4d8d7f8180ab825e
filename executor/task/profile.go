package task

import (
	"context"
	"time"

	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Profile counts what the operators of a bounded program do, for EXPLAIN ANALYZE. Set it in Env before Run and read it after;
// it counts the first run that it meets, the statement's own. The nil Profile counts nothing.
type Profile struct {
	// Timing: operators are timed as well, by Now.
	Timing bool
	Now    func() time.Time
	// Program is what ran.
	Program *spec.Program
	// Total is how long it took, without planning, and Peak the most bytes that it held at once.
	Total time.Duration
	Peak  int64

	stats map[*spec.Node]*OpStats
	// current is who spends time at the moment, since since.
	current *OpStats
	since   time.Time
	began   time.Time
}

// OpStats is what one operator did in all its loops.
type OpStats struct {
	// In and Out are rows, Batches what came out.
	In, Out, Batches int64
	// Loops is how often the operator was run from its start: more than once in subqueries and lateral joins.
	Loops int64
	// Self is the time spent in the operator itself, not in those below and above it.
	Self time.Duration
	// Scan is what a scan says of its work; nil for others.
	Scan *ScanStats

	mems []*op.Memory
}

// ScanStats is what a scan of a stream's history read.
// Skipped are the bytes that the time index left out.
type ScanStats struct{ Records, Bytes, Skipped, Refused int64 }

// Add sums what several scans read.
func (s *ScanStats) Add(o ScanStats) {
	s.Records, s.Bytes, s.Skipped, s.Refused = s.Records+o.Records, s.Bytes+o.Bytes, s.Skipped+o.Skipped, s.Refused+o.Refused
}

// Memory is the most bytes that the operator held at once.
func (s *OpStats) Memory() int64 {
	most := int64(0)
	for _, m := range s.mems {
		most = max(most, m.Peak())
	}
	return most
}

// part gives an operator a memory budget of its own within the query's.
func (s *OpStats) part(m *op.Memory) *op.Memory {
	own := m.Part()
	s.mems = append(s.mems, own)
	return own
}

// Stats are those of an operator of Program; nil when it did not run.
func (p *Profile) Stats(n *spec.Node) *OpStats { return p.stats[n] }

// Scan is where a scan of Program counts what it reads; nil without a profile.
func (p *Profile) Scan(n *spec.Node) *ScanStats {
	if p == nil {
		return nil
	}
	s := p.of(n)
	if s.Scan == nil {
		s.Scan = &ScanStats{}
	}
	return s.Scan
}

type profileKey struct{}

// WithProfile makes the next program that runs under the context be counted.
func WithProfile(ctx context.Context, p *Profile) context.Context {
	return context.WithValue(ctx, profileKey{}, p)
}

// ProfileOf is the profile of a context, nil without one.
func ProfileOf(ctx context.Context) *Profile {
	p, _ := ctx.Value(profileKey{}).(*Profile)
	return p
}

func (p *Profile) begin(program *spec.Program) { p.Program, p.began = program, p.Now() }

func (p *Profile) end(m *op.Memory) {
	p.Total, p.Peak = p.Now().Sub(p.began), m.Peak()
}

// of finds or makes an operator's statistics.
func (p *Profile) of(n *spec.Node) *OpStats {
	if p == nil {
		return nil
	}
	s := p.stats[n]
	if s == nil {
		s = &OpStats{}
		if p.stats == nil {
			p.stats = map[*spec.Node]*OpStats{}
		}
		p.stats[n] = s
	}
	return s
}

func nothing() {}

// enter charges the time from now on to an operator, until what it returns is called.
func (p *Profile) enter(s *OpStats) (leave func()) {
	if p == nil || !p.Timing {
		return nothing
	}
	before := p.charge(s)
	return func() { p.charge(before) }
}

// charge ends the time of the current operator and begins that of s, which may be nil. It returns who was current.
func (p *Profile) charge(s *OpStats) *OpStats {
	now := p.Now()
	before := p.current
	if before != nil {
		before.Self += now.Sub(p.since)
	}
	p.current, p.since = s, now
	return before
}

// counted is Emit of a run with a profile.
func (e *edge) counted(in op.Input) error {
	n := int64(len(in.Sel))
	e.from.Out += n
	e.from.Batches++
	if e.to == nil {
		defer e.run.env.Profile.enter(nil)()
		return e.sink(in)
	}
	e.into.In += n
	defer e.run.env.Profile.enter(e.into)()
	return e.to.op.Process(e.port, in, &e.to.out)
}
