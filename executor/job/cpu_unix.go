//go:build unix

package job

import (
	"syscall"
	"time"
)

// processCPU is the CPU time that the process has had.
func processCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
