package bind

import (
	"sync"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// signature is one way to call a name: of a builtin (def), a set-returning function (set) or a user's function (user).
type signature struct {
	args     []types.Type
	variadic bool
	def      *fn.Def
	set      *fn.SetDef
	user     *catalog.Function
}

// tables are the built-in names, indexed.
type tables struct {
	funcs map[string][]*signature
	sets  map[string][]*signature
	aggs  map[string]*agg.Def
}

// registry returns the index over the built-in functions. It is made once and never changed: bound calls point into it.
var registry = sync.OnceValue(func() *tables {
	t := &tables{funcs: map[string][]*signature{}, sets: map[string][]*signature{}, aggs: map[string]*agg.Def{}}
	defs := fn.Builtins()
	for i := range defs {
		d := &defs[i]
		t.funcs[d.Name] = append(t.funcs[d.Name], &signature{args: d.Args, variadic: d.Variadic, def: d})
	}
	sets := fn.SetBuiltins()
	for i := range sets {
		d := &sets[i]
		t.sets[d.Name] = append(t.sets[d.Name], &signature{args: d.Args, variadic: d.Variadic, set: d})
	}
	aggs := agg.Builtins()
	for i := range aggs {
		t.aggs[aggs[i].Name] = &aggs[i]
	}
	return t
})

// arg is the declared type of argument i.
func (s *signature) arg(i int) types.Type { return s.args[min(i, len(s.args)-1)] }

// takes tells whether the signature can have n arguments.
func (s *signature) takes(n int) bool {
	if s.variadic {
		// A result type that depends on the arguments needs one.
		least := len(s.args) - 1
		if s.def != nil && s.def.RetOf != nil {
			least = len(s.args)
		}
		return n >= least && len(s.args) > 0
	}
	return n == len(s.args)
}

// polymorphic tells whether a declared type accepts any type, or any array.
func polymorphic(t types.Type) bool {
	return t.Kind == types.Unknown || t.Kind == types.Array && t.Elem == types.Unknown
}

// exact tells whether the arguments have the declared types.
func exact(s *signature, args []types.Type) bool {
	if !s.takes(len(args)) {
		return false
	}
	for i, a := range args {
		if want := s.arg(i); polymorphic(want) || !sameKind(want, a) {
			return false
		}
	}
	return true
}

// accepts tells whether the arguments can be converted implicitly.
func accepts(s *signature, args []types.Type) bool {
	if !s.takes(len(args)) {
		return false
	}
	elem, ok := s.element(args)
	if !ok {
		return false
	}
	for i, a := range args {
		if !s.acceptsArg(s.arg(i), a, elem) {
			return false
		}
	}
	return true
}

// acceptsArg tells whether one argument fits; elem is what the polymorphic ones agree on.
func (s *signature) acceptsArg(want, have, elem types.Type) bool {
	switch {
	case have.Kind == types.Unknown:
		return true
	case !polymorphic(want):
		return expr.CanCast(have, want, expr.Implicit)
	case want.Kind == types.Array:
		if have.Kind != types.Array {
			return false
		}
		return elem.Kind == types.Unknown || have.Elem == types.Unknown || expr.CanCast(have, types.ArrayOf(elem.Kind), expr.Implicit)
	}
	switch s.poly() {
	case fn.NonArray:
		return have.Kind != types.Array
	case fn.Compatible:
		return expr.CanCast(have, elem, expr.Implicit)
	}
	return true
}

func (s *signature) poly() fn.Poly {
	if s.def != nil {
		return s.def.Poly
	}
	return fn.Each
}

// element is the type that polymorphic arguments agree on: of elements where they are arrays. Unknown: none of them is known,
// or they need not agree. ok is false when they do not.
func (s *signature) element(args []types.Type) (elem types.Type, ok bool) {
	mode := s.poly()
	if mode != fn.Alike && mode != fn.Compatible {
		return unknownType, true
	}
	var known []types.Type
	for i, a := range args {
		want := s.arg(i)
		switch {
		case !polymorphic(want) || a.Kind == types.Unknown:
		case want.Kind == types.Array && a.Kind == types.Array && a.Elem != types.Unknown:
			known = append(known, elemType(a))
		case want.Kind == types.Unknown:
			known = append(known, plain(a))
		}
	}
	if len(known) == 0 {
		return unknownType, true
	}
	if mode == fn.Compatible {
		elem, bad := common(known)
		return elem, bad < 0
	}
	for _, t := range known[1:] {
		if t != known[0] {
			return unknownType, false
		}
	}
	return known[0], true
}

// resolve chooses a signature as chapter 10.3 of the Postgres manual does. nil: none fits, or (ambiguous) several do.
func resolve(list []*signature, args []types.Type) (best *signature, ambiguous bool) {
	var cands []*signature
	for _, s := range list {
		if exact(s, args) && !s.variadic {
			return s, false
		}
		if accepts(s, args) {
			cands = append(cands, s)
		}
	}
	if len(cands) == 0 {
		return nil, false
	}
	for _, round := range []func([]*signature, []types.Type) []*signature{mostExact, mostPreferred, byCategory, byKnown} {
		if len(cands) == 1 {
			return cands[0], false
		}
		cands = round(cands, args)
	}
	if len(cands) == 1 {
		return cands[0], false
	}
	if s := nonVariadic(cands); s != nil {
		return s, false
	}
	return nil, true
}

// nonVariadic prefers the one candidate that is not variadic.
func nonVariadic(cands []*signature) *signature {
	var out *signature
	for _, s := range cands {
		if s.variadic {
			continue
		}
		if out != nil {
			return nil
		}
		out = s
	}
	return out
}

// best keeps the candidates with the highest score.
func best(cands []*signature, score func(*signature) int) []*signature {
	high := -1
	var out []*signature
	for _, s := range cands {
		n := score(s)
		if n > high {
			high, out = n, nil
		}
		if n == high {
			out = append(out, s)
		}
	}
	return out
}

func mostExact(cands []*signature, args []types.Type) []*signature {
	return best(cands, func(s *signature) int {
		n := 0
		for i, a := range args {
			if a.Kind != types.Unknown && sameKind(s.arg(i), a) {
				n++
			}
		}
		return n
	})
}

func mostPreferred(cands []*signature, args []types.Type) []*signature {
	return best(cands, func(s *signature) int {
		n := 0
		for i, a := range args {
			if a.Kind == types.Unknown {
				continue
			}
			want := s.arg(i)
			ac, _ := category(a)
			wc, preferred := category(want)
			if sameKind(want, a) || preferred && ac == wc {
				n++
			}
		}
		return n
	})
}

// byCategory decides by what unknown arguments could be: a string if any candidate takes one there, else the one
// category that all candidates agree on.
func byCategory(cands []*signature, args []types.Type) []*signature {
	for i, a := range args {
		if a.Kind != types.Unknown {
			continue
		}
		want, agreed := byte(0), true
		for _, s := range cands {
			c, _ := category(s.arg(i))
			if polymorphic(s.arg(i)) {
				continue
			}
			if c == 'S' {
				want, agreed = 'S', true
				break
			}
			agreed = agreed && (want == 0 || want == c)
			want = c
		}
		if !agreed || want == 0 {
			continue
		}
		cands = inCategory(cands, i, want)
	}
	return cands
}

// inCategory keeps the candidates whose argument i is of a category, and of those the preferred type if there is one.
func inCategory(cands []*signature, i int, want byte) []*signature {
	var in, pref []*signature
	for _, s := range cands {
		c, preferred := category(s.arg(i))
		if c == want && !polymorphic(s.arg(i)) {
			in = append(in, s)
			if preferred {
				pref = append(pref, s)
			}
		}
	}
	switch {
	case len(pref) > 0:
		return pref
	case len(in) > 0:
		return in
	}
	return cands
}

// byKnown assumes that unknown arguments have the type that all known ones share.
func byKnown(cands []*signature, args []types.Type) []*signature {
	var known types.Type
	for _, a := range args {
		switch {
		case a.Kind == types.Unknown:
		case known.Kind == types.Unknown:
			known = plain(a)
		case !sameKind(known, a):
			return cands
		}
	}
	if known.Kind == types.Unknown {
		return cands
	}
	assumed := make([]types.Type, len(args))
	for i := range assumed {
		assumed[i] = known
	}
	var out []*signature
	for _, s := range cands {
		if accepts(s, assumed) {
			out = append(out, s)
		}
	}
	if len(out) == 1 {
		return out
	}
	return cands
}
