package job

import "slices"

// The sequencer's account of who reads a stream. Coming and going cost the same however many others there are, but for copying
// the list of readers when one leaves: plans, which other goroutines read, share the list as it was.

// join adds an input of a query. What a plan has of the list stays as it is: it ends before.
func (s *stream) join(r reader) {
	s.attached = append(s.attached, r)
	s.countWanted(r, 1)
	if s.rules != nil {
		s.rules.add(r)
	}
}

// leave takes all inputs of a query out.
func (s *stream) leave(q *query) {
	if s.planned {
		s.attached, s.planned = slices.Clone(s.attached), false
	}
	s.attached = slices.DeleteFunc(s.attached, func(r reader) bool {
		if r.q == q {
			s.countWanted(r, -1)
			s.removals++
			if s.rules != nil {
				s.rules.remove(r)
			}
		}
		return r.q == q
	})
}

// countWanted counts, by column, who reads it.
func (s *stream) countWanted(r reader, n int) {
	if s.wanted == nil {
		s.wanted = make([]int, len(s.spec.Schema.Cols))
	}
	want := r.q.parts.Inputs[r.input].Want
	for i := range s.wanted {
		if want == nil || want[i] {
			s.wanted[i] += n
		}
	}
}

// replan gives a stream a new plan with the queries that now read it.
func (e *Engine) replan(s *stream) {
	p := &plan{stream: s, want: make([]bool, len(s.spec.Schema.Cols)), removals: s.removals}
	if s.spec.TimeCol >= 0 {
		p.want[s.spec.TimeCol] = true
	}
	for i := range s.spec.Schema.Cols {
		p.want[i] = p.want[i] || s.spec.Schema.Cols[i].NotNull
	}
	if s.rules != nil {
		p.segments = s.rules.segments
	}
	e.mu.RLock()
	if s.rules == nil {
		p.readers, s.planned = s.attached[:len(s.attached):len(s.attached)], true
	}
	for i, n := range s.wanted {
		p.want[i] = p.want[i] || n > 0
	}
	e.mu.RUnlock()
	p.want = withSources(s.spec, p.want)
	s.plan = p
}

// streamList lists all streams; the list must not be changed.
func (e *Engine) streamList() []*stream {
	e.mu.RLock()
	list := e.listed
	e.mu.RUnlock()
	if list != nil {
		return list
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.listed == nil {
		e.listed = make([]*stream, 0, len(e.streams))
		for _, s := range e.streams {
			e.listed = append(e.listed, s)
		}
	}
	return e.listed
}

// setStream makes a stream known; called with mu held, or before anything runs.
func (e *Engine) setStream(s *stream) {
	e.streams[s.id()] = s
	e.listed = nil
	e.files.note(s)
}

// dropStream forgets a stream; called with mu held.
func (e *Engine) dropStream(id uint64) {
	delete(e.streams, id)
	e.listed = nil
}
