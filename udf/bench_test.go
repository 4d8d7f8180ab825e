package udf

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// BenchmarkCall is the cost of a row: wall time, and CPU time of both processes. BenchmarkRow of package worker has the same functions in
// one process.
func BenchmarkCall(b *testing.B) {
	for _, c := range []struct {
		name, body string
		rows       int
	}{
		{"predicate", "return a.includes('Failed') && b > 2", 1024},
		{"predicate", "return a.includes('Failed') && b > 2", 64},
		{"predicate", "return a.includes('Failed') && b > 2", 1},
		{"lower", "return a.toLowerCase().includes('failed') && b % 3 === 0", 1024},
		{"matches", "return utils.matches(a, '^Failed \\\\w+ for (invalid user )?\\\\w+') && b > 2", 1024},
		{"rule", "return /^Failed \\w+ for (invalid user )?\\w+/.test(a) && b > 2 && b < 9", 1024},
		{"fold", "return utils.includesIgnoreCase(a, 'INVALID') && b > 2", 1024},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.name, c.rows), func(b *testing.B) {
			p := newPool(b, 1)
			define(b, p, &spec.Function{ID: 1, Ret: types.T(types.Bool), Body: c.body}, types.Text, types.Int4)
			text, num := vec(types.Text), vec(types.Int4)
			for i := range c.rows {
				text.AppendString(fmt.Sprintf("Failed password for invalid user admin%d from 10.0.0.%d", i, i%250))
				num.AppendInt(int64(i % 10))
			}
			out := &batch.Vec{}
			args := []*batch.Vec{text, num}
			before := bothCPU(p)
			for b.Loop() {
				out.Reset(types.T(types.Bool))
				if err := p.Call(1, args, c.rows, out, func(_ int, err error) { b.Fatal(err) }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*c.rows), "ns/row")
			b.ReportMetric(float64(bothCPU(p)-before)/float64(b.N*c.rows), "cpu-ns/row")
		})
	}
}

// bothCPU is the CPU time of this process and of the workers.
func bothCPU(p *Pool) time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano()+u.Stime.Nano()) + p.CPU()
}

// BenchmarkAggregate is a row of an aggregate, in 64 groups.
func BenchmarkAggregate(b *testing.B) {
	p := newPool(b, 1)
	k := defineAggregate(b, p, &spec.Function{Ret: types.T(types.Float8), Body: wavg}, types.Float8, types.Float8)
	const rows = 1024
	x, gids := vec(types.Float8), make([]uint32, rows)
	for i := range rows {
		x.AppendFloat(float64(i))
		gids[i] = uint32(i % 64)
	}
	s := &agg.Slab{Stride: 1}
	s.Grow(64)
	before := bothCPU(p)
	for b.Loop() {
		if err := k.Update(s, 0, gids, []*batch.Vec{x, x}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
	b.ReportMetric(float64(bothCPU(p)-before)/float64(b.N*rows), "cpu-ns/row")
}

// BenchmarkDefine is CREATE FUNCTION and a first call, in a worker that runs.
func BenchmarkDefine(b *testing.B) {
	p := newPool(b, 1)
	out := &batch.Vec{}
	for b.Loop() {
		define(b, p, &spec.Function{ID: 1, Ret: types.T(types.Bool), Body: "return true"})
		out.Reset(types.T(types.Bool))
		if err := p.Call(1, nil, 1, out, func(int, error) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(p.Stats().Started)/float64(b.N), "workers/op")
}
