package main

import (
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/server"
)

// functionFlags bound the limits that JavaScript functions may give themselves.
type functionFlags struct {
	TimeoutMax time.Duration `help:"The most CPU time per row that a JavaScript function may ask for." default:"1m"`
	MemoryMax  string        `help:"The most memory." default:"1GB" placeholder:"SIZE"`
	StackMax   int           `help:"The deepest calls." default:"10000"`
	OutputMax  string        `help:"The largest result of a row." default:"16MB" placeholder:"SIZE"`
}

// limits reads the flags.
func (f *functionFlags) limits() (spec.FunctionLimits, error) {
	out := spec.FunctionLimits{TimeoutMicros: f.TimeoutMax.Microseconds(), StackFrames: f.StackMax}
	var err error
	if out.MemoryBytes, err = server.ParseSize("--javascript-memory-max", f.MemoryMax); err != nil {
		return out, err
	}
	if out.OutputBytes, err = server.ParseSize("--javascript-output-max", f.OutputMax); err != nil {
		return out, err
	}
	most := server.FunctionLimitsMax()
	switch {
	case out.TimeoutMicros < 1 || out.TimeoutMicros > most.TimeoutMicros:
		return out, fmt.Errorf("--javascript-timeout-max %v: it is from 1us to %v", f.TimeoutMax, time.Duration(most.TimeoutMicros)*time.Microsecond)
	case out.MemoryBytes < 1 || out.MemoryBytes > most.MemoryBytes:
		return out, fmt.Errorf("--javascript-memory-max %s: it is from 1 to %d bytes", f.MemoryMax, most.MemoryBytes)
	case out.StackFrames < 1 || out.StackFrames > most.StackFrames:
		return out, fmt.Errorf("--javascript-stack-max %d: it is from 1 to %d", f.StackMax, most.StackFrames)
	case out.OutputBytes < 1 || out.OutputBytes > most.OutputBytes:
		return out, fmt.Errorf("--javascript-output-max %s: it is from 1 to %d bytes", f.OutputMax, most.OutputBytes)
	}
	return out, nil
}
