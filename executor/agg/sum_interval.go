package agg

import (
	"encoding/binary"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sumInterval adds intervals field by field. Words: low and high half of the microseconds, number of values, months, days.
type sumInterval struct{ avg bool }

func (sumInterval) Words() int       { return 5 }
func (sumInterval) Type() types.Type { return types.T(types.Interval) }

// The words of a sumInterval: the microseconds are the state of a sumInt, whose count serves all.
const (
	ivMicros = 0
	ivCount  = 2
	ivMonths = 3
	ivDays   = 4
)

func (sumInterval) Update(s *Slab, off int, gids []uint32, args []*batch.Vec) error {
	v := args[0]
	for i, g := range gids {
		if v.IsNull(i) {
			continue
		}
		b := v.Bytes(i)
		if len(b) != intervalBytes {
			return errState("bad interval")
		}
		w := s.Words[s.word(off, g):]
		w[ivMonths] += uint64(int64(int32(binary.BigEndian.Uint32(b))))
		w[ivDays] += uint64(int64(int32(binary.BigEndian.Uint32(b[4:]))))
		addInt(w[ivMicros:], int64(binary.BigEndian.Uint64(b[8:])))
	}
	return nil
}

// intervalBytes is the length of a stored interval, see types.AppendIntervalBytes.
const intervalBytes = 16

func (sumInterval) Merge(dst *Slab, dg uint32, src *Slab, sg uint32, off int) error {
	d, f := dst.Words[dst.word(off, dg):], src.Words[src.word(off, sg):]
	d[ivMonths] += f[ivMonths]
	d[ivDays] += f[ivDays]
	return sumInt{}.Merge(dst, dg, src, sg, off)
}

func (k sumInterval) Result(s *Slab, off int, gid uint32) (types.Value, error) {
	w := s.Words[s.word(off, gid):]
	n, months, days, micros := w[ivCount], int64(w[ivMonths]), int64(w[ivDays]), int64(w[ivMicros])
	if n == 0 {
		return null(k.Type())
	}
	wide := int64(w[ivMicros+1]) != micros>>63
	if wide || months != int64(int32(months)) || days != int64(int32(days)) {
		return types.Value{}, sqlerr.New(sqlerr.DatetimeFieldOverflow, "interval out of range")
	}
	sum := types.IntervalValue{Months: int32(months), Days: int32(days), Micros: micros}
	if k.avg {
		sum = divideInterval(sum, float64(n))
	}
	return types.NewInterval(sum), nil
}

// divideInterval is Postgres' interval / double precision: what is left of months goes to days, of days to microseconds.
func divideInterval(iv types.IntervalValue, by float64) types.IntervalValue {
	return spreadInterval(float64(iv.Months)/by, float64(iv.Days)/by, float64(iv.Micros)/by)
}

// spreadInterval makes an interval of fractions.
func spreadInterval(months, days, micros float64) types.IntervalValue {
	const daysPerMonth, secondsPerDay, microsPerSecond = 30, 86400, 1e6
	out := types.IntervalValue{Months: int32(months), Days: int32(days)}
	fromMonths := toMicros((months - math.Trunc(months)) * daysPerMonth)
	seconds := toMicros((days - math.Trunc(days) + fromMonths - math.Trunc(fromMonths)) * secondsPerDay)
	if math.Abs(seconds) >= secondsPerDay {
		out.Days += int32(seconds / secondsPerDay)
		seconds -= math.Trunc(seconds/secondsPerDay) * secondsPerDay
	}
	out.Days += int32(fromMonths)
	out.Micros = int64(math.RoundToEven(micros + seconds*microsPerSecond))
	return out
}

// toMicros rounds to six digits after the point.
func toMicros(x float64) float64 { return math.RoundToEven(x*1e6) / 1e6 }

func (sumInterval) Append(dst []byte, s *Slab, off int, gid uint32) []byte {
	w := s.Words[s.word(off, gid):]
	dst = sumInt{}.Append(dst, s, off, gid)
	if w[ivCount] == 0 {
		return dst
	}
	dst = binary.AppendVarint(dst, int64(w[ivMonths]))
	return binary.AppendVarint(dst, int64(w[ivDays]))
}

func (sumInterval) Load(src []byte, s *Slab, off int, gid uint32) ([]byte, error) {
	src, err := sumInt{}.Load(src, s, off, gid)
	w := s.Words[s.word(off, gid):]
	if err != nil || w[ivCount] == 0 {
		return src, err
	}
	months, src, err := takeVarint(src)
	if err != nil {
		return nil, err
	}
	days, src, err := takeVarint(src)
	if err != nil {
		return nil, err
	}
	w[ivMonths], w[ivDays] = uint64(months), uint64(days)
	return src, nil
}
