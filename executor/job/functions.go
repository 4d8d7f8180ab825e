package job

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Functions are the users' functions: which definition of each counts in which epoch, whether it is in service, and what it has
// done. A definition is in the pool under a number of its own, so that what is under way ends with the one that it began with.
// Safe for concurrent use.
type Functions struct {
	pool UDF

	mu sync.RWMutex
	// list is by the catalogue's ids.
	list    map[uint64]*function
	handles uint64
	// shapes are the numbers of calls with rows, shaped what they stand for.
	shapes map[string]uint64
	shaped map[uint64]*shapedCall
}

// function is one function of the catalogue.
type function struct {
	name string
	// versions are its definitions, by the epochs from which they count.
	versions []version
	// out says why it is not in service; nil: it is.
	out   atomic.Pointer[string]
	stats functionCounts
}

// version is a definition, and its number in the pool.
type version struct {
	from   uint64
	handle uint64
	spec   *spec.Function
	// rows are the numbers in the pool of the definition for rows, by the number of the call.
	rows map[uint64]uint64
}

type functionCounts struct{ calls, rows, errors, violations atomic.Int64 }

// FunctionStats are counts since the server started.
type FunctionStats struct {
	// Calls are of batches; Errors are exceptions, and results of a wrong type.
	Calls, Rows, Errors int64
	Violations          int64
}

// handleBase is where the pool's numbers of definitions begin, above all ids of the catalogue.
const handleBase = 1 << 48

// newest is the epoch of those who call outside of epochs.
const newest = ^uint64(0)

// NewFunctions gives the functions of an engine whose Config.UDF they are to be: for those who call them before it runs.
func NewFunctions(pool UDF) *Functions {
	if f, ok := pool.(*Functions); ok || pool == nil {
		return f
	}
	return &Functions{pool: pool, list: map[uint64]*function{}, handles: handleBase, shapes: map[string]uint64{}, shaped: map[uint64]*shapedCall{}}
}

// compile gives a definition to the pool; it counts once it is published.
func (f *Functions) compile(d *spec.Function) (version, error) {
	v := version{handle: f.number(), spec: d, rows: map[uint64]uint64{}}
	x := *d
	x.ID = v.handle
	x.Params = slices.Clone(d.Params)
	for i, c := range x.Params {
		if c.Type.Kind == types.Record {
			x.Params[i].Type = types.T(types.JSONB) // it is compiled to see that it can be; see shapedCall
		}
	}
	return v, f.pool.Define(&x)
}

// number draws a number for the pool.
func (f *Functions) number() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.handles++
	return f.handles
}

// publish makes a definition count from an epoch on, and the function be in service.
func (f *Functions) publish(d *spec.Function, v version, from uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.list[d.ID]
	if x == nil {
		x = &function{}
		f.list[d.ID] = x
	}
	v.from = from
	x.name, x.versions = d.Name, append(x.versions, v)
	x.out.Store(nil)
}

// settle forgets the definitions that count in no epoch after one that is over.
func (f *Functions) settle(epoch uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.list {
		for len(x.versions) > 1 && x.versions[1].from <= epoch {
			f.forget(&x.versions[0])
			x.versions = slices.Delete(x.versions, 0, 1)
		}
	}
}

// CPU is the CPU time that the pool's workers have had; 0 where it does not tell.
func (f *Functions) CPU() time.Duration {
	if u, ok := f.pool.(cpuUser); ok {
		return u.CPU()
	}
	return 0
}

// Define makes a function callable before it is part of an epoch: one of an open transaction block.
func (f *Functions) Define(d *spec.Function) error {
	v, err := f.compile(d)
	if err == nil {
		f.publish(d, v, 0)
	}
	return err
}

// Remove forgets a function. Calls under way end normally.
func (f *Functions) Remove(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x := f.list[id]
	if x == nil {
		return
	}
	for i := range x.versions {
		f.forget(&x.versions[i])
	}
	delete(f.list, id)
	for key, number := range f.shapes {
		if f.shaped[number].id == id {
			delete(f.shapes, key)
			delete(f.shaped, number)
		}
	}
}

func (f *Functions) forget(v *version) {
	f.pool.Remove(v.handle)
	for _, handle := range v.rows {
		f.pool.Remove(handle)
	}
}

// setOut takes a function out of service, or with nil back into it.
func (f *Functions) setOut(id uint64, why *string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if x := f.list[id]; x != nil {
		x.out.Store(why)
	}
}

// inService reports that a function is there and not deactivated.
func (f *Functions) inService(id uint64) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	x := f.list[id]
	return x != nil && x.out.Load() == nil
}

// Stats returns a function's counts.
func (f *Functions) Stats(id uint64) FunctionStats {
	f.mu.RLock()
	defer f.mu.RUnlock()
	x := f.list[id]
	if x == nil {
		return FunctionStats{}
	}
	c := &x.stats
	return FunctionStats{c.calls.Load(), c.rows.Load(), c.errors.Load(), c.violations.Load()}
}

// at finds a function and the definition that counts in an epoch: its number in the pool, 0 when it is not there yet.
func (f *Functions) at(id, epoch uint64) (x *function, v version, handle uint64) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	shape := f.shaped[id]
	if shape != nil {
		id = shape.id
	}
	if x = f.list[id]; x == nil {
		return nil, version{}, 0
	}
	i := len(x.versions) - 1
	for i > 0 && x.versions[i].from > epoch {
		i--
	}
	if v, handle = x.versions[i], x.versions[i].handle; shape != nil {
		handle = v.rows[shape.number]
	}
	return x, v, handle
}

// Call implements expr.UDFCaller with the newest definition.
func (f *Functions) Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(row int, err error)) error {
	return (&caller{f, newest}).Call(id, args, n, out, rowErr)
}

// caller calls functions as of an epoch. One goroutine's.
type caller struct {
	f     *Functions
	epoch uint64
}

var _ expr.UDFCaller = (*caller)(nil)

// Call implements expr.UDFCaller. A broken limit comes as *expr.BrokenLimit.
func (c *caller) Call(id uint64, args []*batch.Vec, n int, out *batch.Vec, rowErr func(row int, err error)) error {
	x, v, handle := c.f.at(id, c.epoch)
	if x == nil {
		return c.f.pool.Call(id, args, n, out, rowErr) // a test's engine: the functions are those of the server's
	}
	if why := x.out.Load(); why != nil {
		return FunctionDeactivated(x.name, *why)
	}
	var err error
	if handle == 0 {
		if handle, err = c.f.shapeOf(id, v); err != nil {
			return err
		}
	}
	x.stats.calls.Add(1)
	x.stats.rows.Add(int64(n))
	counted := func(row int, err error) {
		x.stats.errors.Add(1)
		if v.spec.Limits.OnError == "skip" {
			err = &expr.Skipped{Err: err}
		}
		rowErr(row, err)
	}
	err = c.f.pool.Call(handle, args, n, out, counted)
	if sqlerr.CodeOf(err) == sqlerr.UndefinedFunction {
		if _, _, next := c.f.at(id, c.epoch); next != handle && next != 0 { // it was replaced between the two
			err = c.f.pool.Call(next, args, n, out, counted)
		}
	}
	switch sqlerr.CodeOf(err) {
	case sqlerr.UDFTimeLimit, sqlerr.UDFMemoryLimit, sqlerr.UDFStackLimit, sqlerr.UDFOutputLimit, sqlerr.UDFCrash:
		x.stats.violations.Add(1)
		return &expr.BrokenLimit{Function: v.spec.ID, Err: sqlerr.As(err)}
	}
	return err
}

// FunctionDeactivated is the error of a call of a function that is not in service.
func FunctionDeactivated(name, why string) *sqlerr.Error {
	return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "function %q is deactivated: %s", name, why).
		WithHint("Mend it with CREATE OR REPLACE FUNCTION, or ALTER FUNCTION %s ACTIVATE.", name)
}
