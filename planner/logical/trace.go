package logical

// Trace takes down what optimization makes of a query, for EXPLAIN. Nobody else asks for one.
type Trace struct {
	// Written is the query as it was bound, Optimized what the rules made of it.
	Written, Optimized *Node
	Steps              []Step
}

// Step is what one rule did; rules that did nothing leave none.
type Step struct {
	Rule string
	Did  []string
}

// Add notes what a rule did, each thing once.
func (t *Trace) Add(rule string, did []string) {
	seen := map[string]bool{}
	s := Step{Rule: rule}
	for _, d := range did {
		if !seen[d] {
			seen[d] = true
			s.Did = append(s.Did, d)
		}
	}
	if len(s.Did) > 0 {
		t.Steps = append(t.Steps, s)
	}
}
