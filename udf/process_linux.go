package udf

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childAttributes: a worker dies with the server, and a terminal's interrupt does not reach it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// processClock reads the CPU clock of another process.
func processClock(pid int) func() (time.Duration, bool) {
	// Linux makes the clock of a process of its id; 2 is the time the scheduler gave it.
	id := int32(^pid<<3 | 2)
	return func() (time.Duration, bool) {
		var ts unix.Timespec
		if unix.ClockGettime(id, &ts) != nil {
			return 0, false
		}
		return time.Duration(ts.Nano()), true
	}
}
