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
	dataBase = 160<<20 + threadSpace
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
	if fd, err := unix.Open("/proc/self/statm", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
		statmFile = fd
	}
	spaceAtStart = uint64(statm(0))
	max := uint64(dataBase + 2*wire.MemoryMax)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: spaceAtStart + max, Max: spaceAtStart + max}); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: max, Max: max})
}

// statmFile is /proc/self/statm, opened while files could be; -1: there is none.
var statmFile = -1

// spaceAtStart is the address space of the worker before it ran anything, in bytes: Go reserves some.
var spaceAtStart uint64

// statm reads a field of /proc/self/statm, 0 for the address space, 5 for private writable memory, in bytes; 0 when there is none.
func statm(field int) int64 {
	if statmFile < 0 {
		return 0
	}
	var buf [256]byte
	n, err := unix.Pread(statmFile, buf[:], 0)
	f := bytes.Fields(buf[:max(n, 0)])
	if err != nil || len(f) <= field {
		return 0
	}
	pages, err := strconv.ParseInt(string(f[field]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// limitMemory makes room for a function of so many bytes: twice, because garbage is there until it is collected. Address space is
// limited as well: since Linux 6.12 memory that was reserved before is not held against RLIMIT_DATA when it is taken into use, and Go
// reserves first.
func limitMemory(bytes int64) error {
	debug.SetMemoryLimit(dataWorn + bytes)
	if raceBuild {
		return nil
	}
	cur, max := uint64(dataBase+2*bytes), uint64(dataBase+2*wire.MemoryMax)
	if err := unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: spaceAtStart + cur, Max: spaceAtStart + max}); err != nil {
		return err
	}
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: cur, Max: max})
}

// wornOut reports whether the process has grown so that it should be replaced.
func wornOut(memoryBytes int64) bool {
	return !raceBuild && statm(5) > dataWorn+threadSpace+memoryBytes*3/2
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
