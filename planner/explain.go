package planner

import (
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/planner/logical"
)

// Trace takes down how a statement is planned, when Env has one: see Explanation.
type Trace = logical.Trace

// Explanation is what a plan's making tells besides the plan.
type Explanation struct {
	// Written is the statement's relational tree as it was bound, Optimized what the rules made of it.
	Written, Optimized *spec.Outline
	// Notes are what the rules did, by their names, and then what choosing physical operators did.
	Notes []spec.Note
}

// Explain reads a trace and the program that came of it.
func Explain(t *Trace, p *spec.Program) Explanation {
	x := Explanation{Written: logical.Outline(t.Written), Optimized: logical.Outline(t.Optimized)}
	for _, s := range t.Steps {
		for _, d := range s.Did {
			x.Notes = append(x.Notes, spec.Note{Topic: s.Rule, Text: d})
		}
	}
	x.Notes = append(x.Notes, spec.Notes(p)...)
	return x
}
