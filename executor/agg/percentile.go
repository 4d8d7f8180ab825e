package agg

import (
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func percentileContDef() Def {
	return Def{
		Name: "percentile_cont",
		Bind: notPlain,
		Within: func(args []types.Type, desc bool) (Kernel, bool) {
			if len(args) != 2 || args[0].Kind != types.Float8 && args[0].Kind != types.Interval || !isFraction(args[1]) {
				return nil, false
			}
			return percentile{gathered{cellOf(args[0])}, args[1], true, desc}, true
		},
		Params: func(args []types.Type) []types.Type {
			if len(args) != 2 || args[0].Kind == types.Interval {
				return fractionParams(args)
			}
			if args[0].Kind == types.Unknown || args[0].Kind.IsNumber() {
				if out := fractionParams(args); out != nil {
					out[0] = types.T(types.Float8)
					return out
				}
			}
			return nil
		},
		Fixed: true,
		Check: checkFraction,
		Doc: "percentile_cont(f) WITHIN GROUP (ORDER BY x) is the value below which the fraction f of the values lies, between two values if need be; " +
			"of an array of fractions the array of values. x is double precision or interval. A group's values are kept, up to 16 MiB.",
		Examples: []Example{
			{"SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (NULL), (4), (8)) v(x)", "3"},
			{"SELECT percentile_cont(ARRAY[0, 0.5, 1]) WITHIN GROUP (ORDER BY x DESC) FROM (VALUES (1), (2)) v(x)", "{2,1.5,1}"},
		},
	}
}

func percentileDiscDef() Def {
	return Def{
		Name: "percentile_disc",
		Bind: notPlain,
		Within: func(args []types.Type, desc bool) (Kernel, bool) {
			if len(args) != 2 || !ordered(args[0]) || !isFraction(args[1]) || args[1].Kind == types.Array && args[0].Kind == types.Array {
				return nil, false
			}
			return percentile{gathered{cellOf(args[0])}, args[1], false, desc}, true
		},
		Params: fractionParams,
		Fixed:  true,
		Check:  checkFraction,
		Doc: "percentile_disc(f) WITHIN GROUP (ORDER BY x) is the first value with at least the fraction f of the values up to it; " +
			"of an array of fractions the array of values. A group's values are kept, up to 16 MiB.",
		Examples: []Example{
			{"SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY x) FROM (VALUES (1), (2), (NULL), (4), (8)) v(x)", "2"},
			{"SELECT percentile_disc(ARRAY[0.1, 0.9]) WITHIN GROUP (ORDER BY x) FROM (VALUES ('b'), ('a'), ('c')) v(x)", "{a,c}"},
		},
	}
}

// fractionParams keeps the values and makes the fractions double precision.
func fractionParams(args []types.Type) []types.Type {
	if len(args) != 2 {
		return nil
	}
	x, f := args[0], args[1]
	if x.Kind == types.Unknown {
		x = types.T(types.Text)
	}
	switch {
	case f.Kind == types.Array && f.Elem.IsNumber():
		return []types.Type{x, types.ArrayOf(types.Float8)}
	case f.Kind.IsNumber() || f.Kind == types.Unknown:
		return []types.Type{x, types.T(types.Float8)}
	}
	return nil
}

func isFraction(t types.Type) bool {
	return t.Kind == types.Float8 || t.Kind == types.Array && t.Elem == types.Float8
}

// checkFraction refuses fractions that are none.
func checkFraction(_ int, v types.Value) error {
	fractions, err := fractionsOf(v)
	for i := range fractions {
		if err == nil && !fractions[i].Null {
			err = inUnit(fractions[i].F)
		}
	}
	return err
}

// inUnit refuses what is not between 0 and 1.
func inUnit(f float64) error {
	if f >= 0 && f <= 1 {
		return nil
	}
	return sqlerr.New(sqlerr.NumericValueOutOfRange, "percentile value %g is not between 0 and 1", f)
}

// fractionsOf returns the fractions of an argument that is one or an array.
func fractionsOf(v types.Value) ([]types.Value, error) {
	if v.Type.Kind != types.Array || v.Null {
		return []types.Value{v}, nil
	}
	return types.DecodeArray(types.Float8, v.S)
}

// percentile is percentile_cont or percentile_disc. Words: those of gathered, then the block of the fraction as a key.
type percentile struct {
	gathered
	fraction   types.Type
	cont, desc bool
}

const percentileFraction = gatheredWords

func (percentile) Words() int { return gatheredWords + 1 }

func (k percentile) Type() types.Type {
	if k.fraction.Kind == types.Array {
		return types.ArrayOf(k.x.typ.Kind)
	}
	return k.x.typ
}

func (k percentile) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	var scratch []byte
	for i, g := range gids {
		at := s.word(off, g)
		if s.Words[at+percentileFraction] != 0 || args[0].IsNull(i) {
			continue
		}
		scratch = batch.AppendKey(scratch[:0], args[1], i)
		if err := s.setBlock(at+percentileFraction, scratch); err != nil {
			return err
		}
	}
	return k.gathered.Update(s, off, gids, args)
}

func (k percentile) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	at, from := dst.word(off, dg), src.word(off, sg)
	if dst.Words[at+percentileFraction] == 0 && src.Words[from+percentileFraction] != 0 {
		if err := dst.setBlock(at+percentileFraction, dst.foreign(src, from+percentileFraction)); err != nil {
			return err
		}
	}
	return k.gathered.Merge(dst, dg, src, sg, off)
}

func (k percentile) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.Type())
	}
	arg := keyValue(k.fraction, s.block(at+percentileFraction))
	fractions, err := fractionsOf(arg)
	if err != nil {
		return types.Value{}, err
	}
	sorted := k.sorted(s, at, k.desc)
	for i, f := range fractions {
		if f.Null {
			fractions[i] = types.Null(k.x.typ)
			continue
		}
		if err := inUnit(f.F); err != nil {
			return types.Value{}, err
		}
		if fractions[i], err = k.pick(sorted, f.F); err != nil {
			return types.Value{}, err
		}
	}
	if k.fraction.Kind == types.Array && !arg.Null {
		return types.NewArray(k.x.typ.Kind, fractions), nil
	}
	v := fractions[0]
	v.Type = k.Type()
	return v, nil
}

// pick returns the value at a fraction of the sorted values.
func (k percentile) pick(sorted sortedValues, f float64) (types.Value, error) {
	if !k.cont {
		return sorted.at(max(0, int(math.Ceil(f*float64(sorted.n)))-1)), nil
	}
	place := f * float64(sorted.n-1)
	low := math.Floor(place)
	a, b := sorted.at(int(low)), sorted.at(int(math.Ceil(place)))
	switch share := place - low; {
	case math.Ceil(place) == low:
		return a, nil
	case k.x.typ.Kind == types.Float8:
		a.F += share * (b.F - a.F)
		return a, nil
	default:
		return betweenIntervals(a, b, share)
	}
}

// betweenIntervals is a + (b - a) * share.
func betweenIntervals(a, b types.Value, share float64) (types.Value, error) {
	x, err := types.DecodeInterval(a.S)
	if err != nil {
		return a, err
	}
	y, err := types.DecodeInterval(b.S)
	if err != nil {
		return a, err
	}
	months, days := int64(y.Months)-int64(x.Months), int64(y.Days)-int64(x.Days)
	part := spreadInterval(float64(months)*share, float64(days)*share, float64(y.Micros-x.Micros)*share)
	months, days = int64(x.Months)+int64(part.Months), int64(x.Days)+int64(part.Days)
	over := (y.Micros < x.Micros) != (y.Micros-x.Micros < 0)
	if over || months != int64(int32(months)) || days != int64(int32(days)) {
		return a, sqlerr.New(sqlerr.DatetimeFieldOverflow, "interval out of range")
	}
	return types.NewInterval(types.IntervalValue{Months: int32(months), Days: int32(days), Micros: x.Micros + part.Micros}), nil
}

func (k percentile) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	dst = k.gathered.Append(dst, s, off, gid)
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return dst
	}
	return append(dst, s.block(at+percentileFraction)...)
}

func (k percentile) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	src, err := k.gathered.Load(src, s, off, gid)
	at := s.word(off, gid)
	if err != nil || s.Words[at] == 0 {
		return src, err
	}
	return loadKey(src, s, at+percentileFraction, k.fraction)
}

// loadKey reads an encoded value into the block of word w.
func loadKey(src []byte, s *Slab, w int, t types.Type) ([]byte, error) {
	rest, err := SkipKey(src, []types.Type{t})
	if err != nil {
		return nil, err
	}
	return rest, s.setBlock(w, src[:len(src)-len(rest)])
}

// keyValue reads an encoded value that SkipKey has passed.
func keyValue(t types.Type, key []byte) types.Value {
	v := new(batch.Vec)
	v.Reset(t)
	if _, err := batch.DecodeKey(key, []*batch.Vec{v}); err != nil || v.N == 0 {
		return types.Null(t)
	}
	return v.Value(0)
}

func modeDef() Def {
	return Def{
		Name: "mode",
		Bind: notPlain,
		Within: func(args []types.Type, desc bool) (Kernel, bool) {
			if len(args) != 1 || !ordered(args[0]) {
				return nil, false
			}
			return mode{gathered{cellOf(args[0])}, desc}, true
		},
		Doc: "mode() WITHIN GROUP (ORDER BY x) is the most frequent value, of equally frequent ones the first in the order. " +
			"A group's values are kept, up to 16 MiB.",
		Examples: []Example{{"SELECT mode() WITHIN GROUP (ORDER BY x) FROM (VALUES ('b'), ('a'), (NULL), ('b')) v(x)", "b"}},
	}
}

// mode is the most frequent value.
type mode struct {
	gathered
	desc bool
}

func (k mode) Type() types.Type { return k.x.typ }

func (k mode) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	at := s.word(off, gid)
	if s.Words[at] == 0 {
		return null(k.x.typ)
	}
	sorted := k.sorted(s, at, k.desc)
	best, most := 0, 0
	for start, i := 0, 1; i <= sorted.n; i++ {
		if i < sorted.n && types.Equal(sorted.at(i), sorted.at(start)) {
			continue
		}
		if i-start > most {
			best, most = start, i-start
		}
		start = i
	}
	return sorted.at(best), nil
}
