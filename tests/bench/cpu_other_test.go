//go:build !linux

package bench

import (
	"testing"
	"time"
)

// threadCPU is not known here.
func threadCPU() time.Duration { return 0 }

// processCPU is not known here.
func processCPU(b testing.TB) time.Duration {
	b.Skip("the CPU time of a process is measured on Linux only")
	return 0
}
