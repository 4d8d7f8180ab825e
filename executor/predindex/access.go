package predindex

import "slices"

// access is a condition that every row of a rule meets, as the disjunction of atoms that can be looked up.
type access struct {
	atoms []*atom
	// part is about how much of all rows it lets through.
	part float64
	// exact: a row that passes one of the atoms passes the node that the access was made of.
	exact bool
}

// Bounds of what is looked up for one rule, and of what lets so much through that every row is asked instead.
const (
	accessMax = 4096
	partMax   = 0.6
)

// find looks for the best access of a node; false when there is none.
func find(n *node, est *Estimates) (access, bool) {
	switch n.kind {
	case nodeAtom:
		if !lookable(n.atom) {
			return access{}, false
		}
		return access{atoms: []*atom{n.atom}, part: est.of(n.atom), exact: !n.atom.every || len(n.atom.members) == 1}, true
	case nodeAnd:
		best, found := access{}, false
		for _, k := range n.kids {
			if a, ok := find(k, est); ok && (!found || a.part < best.part) {
				best, found = a, true
			}
		}
		best.exact = false
		return best, found
	}
	all := access{exact: true}
	for _, k := range n.kids {
		a, ok := find(k, est)
		if !ok || len(all.atoms)+len(a.atoms) > accessMax {
			return access{}, false
		}
		all.atoms = append(all.atoms, a.atoms...)
		all.part += a.part
		all.exact = all.exact && a.exact
	}
	return all, true
}

// lookable reports that rows which pass the atom can be found without testing it for each rule.
func lookable(a *atom) bool {
	if a.not {
		return false
	}
	switch a.kind {
	case atomEqual, atomOneOf, atomInts, atomNet, atomRange, atomNever, atomMember:
		return true
	case atomLike, atomRegex:
		for i := range a.lits {
			if len(a.lits[i].text) < literalMin {
				return false
			}
		}
		return len(a.lits) > 0
	}
	return false
}

// asked is from which part of the rows on it is better to ask a rule's table about all of them than to look the rule's access up.
const asked = 0.25

// askedTerm is the place among the slow terms of one that is a question to a table, -1: there is none.
func askedTerm(p *Predicate) int {
	return slices.IndexFunc(p.slow, func(t *slowTerm) bool { return t.asks != nil })
}

// choose picks a rule's access among its conditions; which is the condition that it was made of, -1: every row has to be asked.
func choose(p *Predicate, est *Estimates) (best access, which int) {
	which = -1
	for i, n := range p.fast {
		if a, ok := find(n, est); ok && (which < 0 || a.part < best.part) {
			best, which = a, i
		}
	}
	if which >= 0 && best.part > partMax {
		return access{}, -1
	}
	return best, which
}
