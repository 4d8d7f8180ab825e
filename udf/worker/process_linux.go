package worker

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-sql/vigil/udf/wire"
)

const (
	// dataBase is private writable memory of a worker that runs nothing, with room for its frames and realms.
	dataBase = 160 << 20
	// dataWorn is the size from which a worker is replaced: Go gives address space never back, and an innocent function
	// would meet the limit.
	dataWorn = 96 << 20
)

// limitProcess sets the limits that do not depend on a function.
func limitProcess() error {
	for _, l := range []struct {
		resource int
		max      uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NOFILE, 16}} {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return err
		}
	}
	if raceBuild {
		return nil
	}
	max := uint64(dataBase + 2*wire.MemoryMax)
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: max, Max: max})
}

// limitMemory makes room for a function of so many bytes: twice, because garbage is there until it is collected.
func limitMemory(bytes int64) error {
	debug.SetMemoryLimit(dataWorn + bytes)
	if raceBuild {
		return nil
	}
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: uint64(dataBase + 2*bytes), Max: uint64(dataBase + 2*wire.MemoryMax)})
}

// wornOut reports whether the process has grown so that it should be replaced.
func wornOut(memoryBytes int64) bool {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil || raceBuild {
		return false
	}
	f := bytes.Fields(text)
	if len(f) < 6 {
		return false
	}
	pages, err := strconv.ParseInt(string(f[5]), 10, 64)
	return err == nil && pages*int64(os.Getpagesize()) > dataWorn+memoryBytes*3/2
}

// threadClock returns the CPU clock of the calling thread, readable from any thread.
func threadClock() func() time.Duration {
	// Linux makes the clock of a thread of its id: bit 2 says thread, 2 the time the scheduler gave it.
	id := int32(^unix.Gettid()<<3 | 6)
	return func() time.Duration {
		var ts unix.Timespec
		if unix.ClockGettime(id, &ts) != nil {
			return 0
		}
		return time.Duration(ts.Nano())
	}
}
