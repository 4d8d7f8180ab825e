package fn

import (
	"context"
	"math"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// backendDefs wait, and act on other connections.
func backendDefs() []Def {
	return []Def{
		def("pg_sleep", args{tFloat8}, tVoid, func(ctx *Ctx, a values) (value, error) { return sleep(ctx, a[0].F) }).volatile().
			about("Waits for a number of seconds; a cancellation and statement_timeout end it."),
		def("pg_sleep_for", args{tInterval}, tVoid, func(ctx *Ctx, a values) (value, error) {
			iv, err := types.DecodeInterval(a[0].S)
			if err != nil {
				return value{}, err
			}
			const day = 24 * 60 * 60
			return sleep(ctx, float64(iv.Micros)/1e6+float64(iv.Days)*day+float64(iv.Months)*30*day)
		}).volatile().about("Waits for an interval."),
		def("pg_sleep_until", args{tTimestampTZ}, tVoid, func(ctx *Ctx, a values) (value, error) {
			return sleep(ctx, float64(a[0].I-int64(ctx.Now))/1e6)
		}).volatile().about("Waits until a time, from the statement's start."),
		def("pg_cancel_backend", args{tInt4}, tBool, signal(func(b Backends, pid int32) (bool, error) { return b.Cancel(pid) })).volatile().
			about("Cancels what the connection with a process id runs; false if there is no such connection."),
		def("pg_terminate_backend", args{tInt4, tInt8}, tBool, signal(func(b Backends, pid int32) (bool, error) { return b.Terminate(pid) })).volatile().
			about("Ends the connection with a process id. It does not wait for that."),
		def("pg_terminate_backend", args{tInt4}, tBool, signal(func(b Backends, pid int32) (bool, error) { return b.Terminate(pid) })).volatile().
			about("Ends the connection with a process id."),
	}
}

// Backends acts on connections by process id; the error is that of a missing privilege. ok is false when there is no such
// connection.
type Backends interface {
	Cancel(pid int32) (ok bool, err error)
	Terminate(pid int32) (ok bool, err error)
}

// sleepMax is for ever, seconds.
const sleepMax = float64(100 * 365 * 24 * 60 * 60)

// sleep waits, or fails when the statement ends before.
func sleep(ctx *Ctx, seconds float64) (value, error) {
	s, err := ctx.session()
	if err != nil {
		return value{}, err
	}
	if s.Context == nil {
		return value{}, sqlerr.NotSupported("waiting in this place", "Call pg_sleep in a SELECT of its own.")
	}
	if math.IsNaN(seconds) || seconds <= 0 {
		return value{Type: tVoid}, s.Context.Err()
	}
	wait, cancel := context.WithTimeout(s.Context, time.Duration(min(seconds, sleepMax)*float64(time.Second)))
	defer cancel()
	<-wait.Done()
	return value{Type: tVoid}, s.Context.Err()
}

func signal(send func(b Backends, pid int32) (bool, error)) eval {
	return func(ctx *Ctx, a values) (value, error) {
		s, err := ctx.session()
		if err != nil {
			return value{}, err
		}
		if s.Backends == nil {
			return value{}, sqlerr.NotSupported("acting on connections in this place", "")
		}
		if len(a) > 1 && a[1].I < 0 {
			return value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "\"timeout\" must not be negative")
		}
		ok, err := send(s.Backends, int32(a[0].I))
		if err == nil && !ok && s.Warn != nil {
			s.Warn(sqlerr.New(sqlerr.Warning, "PID %d is not a PostgreSQL backend process", a[0].I))
		}
		return types.NewBool(ok), err
	}
}
