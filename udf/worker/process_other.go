//go:build unix && !linux

package worker

import (
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// limitProcess sets what every Unix has.
func limitProcess() error {
	return unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
}

// limitMemory only makes the collector work harder: there is no limit of the kernel to set, the watchdog's check remains.
func limitMemory(bytes int64) error {
	debug.SetMemoryLimit(96<<20 + bytes)
	return nil
}

// wornOut: without a limit of the kernel there is nothing to wear out.
func wornOut(int64) bool { return false }

// threadClock returns the CPU clock of the process: threads have none that others can read.
func threadClock() func() time.Duration {
	return func() time.Duration {
		var u unix.Rusage
		if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
			return 0
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
}
