//go:build unix && !linux

package udf

import (
	"syscall"
	"time"
)

// childAttributes: a terminal's interrupt does not reach a worker. It ends when its pipe does.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// processClock knows nothing here: workers that do not stop are killed by the wall clock.
func processClock(int) func() (time.Duration, bool) {
	return func() (time.Duration, bool) { return 0, false }
}
