package predindex

import (
	"math"
	"slices"
)

// automaton finds all of many texts in a value in one pass (Aho and Corasick, "Efficient string matching: an aid to bibliographic
// search", CACM 18(6), 1975). Bytes that no text has share a class, which leads back to the root; A to Z are classed with a to z,
// so that values of ASCII need not be folded first. States near the root have a full row of transitions, deeper ones their few edges
// and the state to go on from: ten thousand texts take some megabytes, not tens of them. It is immutable once built.
type automaton struct {
	class   [256]uint8
	classes int
	states  []acState
	edges   []acEdge
	rows    []uint32 // the full rows, classes entries each
	outs    []acOut
}

type acState struct {
	// row is the index of the state's row in rows, or noRow.
	row uint32
	// edges are edges[from:to]; fail is the state of the longest proper suffix.
	from, to, fail uint32
	// out is 1 + the first of the state's own outputs in outs, 0: none. more is the next state on the way of fails with outputs.
	out, more uint32
}

const noRow = math.MaxUint32

type acEdge struct {
	class uint8
	to    uint32
}

// acOut is a text that ends in a state.
type acOut struct {
	list           uint32 // what the caller wants to know when it is found
	length         uint32
	atStart, atEnd bool
	whole          bool
	last           bool // of the state
}

// acText is one text to build from.
type acText struct {
	literal
	list uint32
}

// trie is the automaton under construction.
type trie struct {
	kids []map[uint8]uint32
	outs [][]acOut
}

// newAutomaton builds an automaton of texts that fold made; none is empty.
func newAutomaton(texts []acText) *automaton {
	a := &automaton{}
	a.classify(texts)
	t := &trie{kids: []map[uint8]uint32{{}}, outs: [][]acOut{nil}}
	for i := range texts {
		t.add(a, &texts[i])
	}
	order := a.link(t)
	a.fill(order)
	return a
}

func (a *automaton) classify(texts []acText) {
	used := [256]bool{}
	for i := range texts {
		for _, c := range []byte(texts[i].text) {
			used[c] = true
		}
	}
	a.classes = 1
	for c := range used {
		if used[c] && a.classes < 256 {
			a.class[c] = uint8(a.classes)
			a.classes++
		}
	}
	for c := 'A'; c <= 'Z'; c++ {
		a.class[c] = a.class[c|0x20]
	}
}

func (t *trie) add(a *automaton, x *acText) {
	s := uint32(0)
	for _, c := range []byte(x.text) {
		k := a.class[c]
		next, ok := t.kids[s][k]
		if !ok {
			next = uint32(len(t.kids))
			t.kids, t.outs = append(t.kids, nil), append(t.outs, nil)
			if t.kids[s] == nil {
				t.kids[s] = map[uint8]uint32{}
			}
			t.kids[s][k] = next
		}
		s = next
	}
	t.outs[s] = append(t.outs[s], acOut{list: x.list, length: uint32(len(x.text)), atStart: x.atStart, atEnd: x.atEnd, whole: x.whole})
}

// link numbers the states, sorts their edges and finds their fails; it returns them in the order of their depth.
func (a *automaton) link(t *trie) []uint32 {
	a.states = make([]acState, len(t.kids))
	order := make([]uint32, 1, len(t.kids))
	for i := 0; i < len(order); i++ {
		s := order[i]
		st := &a.states[s]
		st.row, st.from = noRow, uint32(len(a.edges))
		for k, to := range t.kids[s] {
			a.edges = append(a.edges, acEdge{k, to})
		}
		st.to = uint32(len(a.edges))
		mine := a.edges[st.from:]
		slices.SortFunc(mine, func(x, y acEdge) int { return int(x.class) - int(y.class) })
		if outs := t.outs[s]; len(outs) > 0 {
			st.out = uint32(len(a.outs)) + 1
			outs[len(outs)-1].last = true
			a.outs = append(a.outs, outs...)
		}
		for _, e := range mine {
			if s != 0 {
				a.states[e.to].fail = a.follow(st.fail, e.class)
			}
			order = append(order, e.to)
		}
		st = &a.states[s]
		if f := &a.states[st.fail]; s != 0 {
			st.more = f.more
			if f.out != 0 {
				st.more = st.fail
			}
		}
	}
	return order
}

// follow is the state after a byte, by edges and fails alone.
func (a *automaton) follow(s uint32, class uint8) uint32 {
	for {
		st := &a.states[s]
		for _, e := range a.edges[st.from:st.to] {
			if e.class == class {
				return e.to
			}
		}
		if s == 0 {
			return 0
		}
		s = st.fail
	}
}

// fewEdges is up to how many edges a state is searched one by one.
const fewEdges = 3

// fill gives full rows to the root and to states with many edges.
func (a *automaton) fill(order []uint32) {
	for _, s := range order {
		st := &a.states[s]
		if s != 0 && st.to-st.from <= fewEdges {
			continue
		}
		from := len(a.rows)
		a.rows = append(a.rows, make([]uint32, a.classes)...)
		row := a.rows[from:]
		for k := 1; k < a.classes; k++ {
			row[k] = a.follow(s, uint8(k))
		}
		st.row = uint32(from)
	}
}

// scan appends the lists of the texts that a value contains where they want to be; exact gets those whose texts say all, if the
// value is of ASCII. A list may come more than once.
func (a *automaton) scan(value []byte, ascii bool, dst []hit) []hit {
	s := uint32(0)
	for i, c := range value {
		k := a.class[c]
		if k == 0 {
			s = 0
			continue
		}
		for {
			st := &a.states[s]
			if st.row != noRow {
				s = a.rows[st.row+uint32(k)]
				break
			}
			if to := a.edge(st, k); to != 0 {
				s = to
				break
			}
			s = st.fail
		}
		if st := &a.states[s]; st.out|st.more != 0 {
			dst = a.found(s, i+1, len(value), ascii, dst)
		}
	}
	return dst
}

func (a *automaton) edge(st *acState, k uint8) uint32 {
	for _, e := range a.edges[st.from:st.to] {
		if e.class == k {
			return e.to
		}
	}
	return 0
}

// found appends the outputs of a state and of those on its way of fails.
func (a *automaton) found(s uint32, end, length int, ascii bool, dst []hit) []hit {
	for {
		st := &a.states[s]
		for o := st.out; o != 0; o++ {
			x := &a.outs[o-1]
			if (!x.atStart || int(x.length) == end) && (!x.atEnd || end == length) {
				dst = append(dst, hit{list: x.list, exact: x.whole && ascii})
			}
			if x.last {
				break
			}
		}
		if s = st.more; s == 0 {
			return dst
		}
	}
}

// bytes is about the memory that the automaton takes.
func (a *automaton) bytes() int {
	return len(a.states)*24 + len(a.edges)*8 + len(a.rows)*4 + len(a.outs)*12
}
