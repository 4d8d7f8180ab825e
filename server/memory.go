package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/planner/bind"
	"github.com/vigil-sql/vigil/storage/pebblekv"
)

// memoryLeast is the least budget: what a server without queries has in memory, and some.
const memoryLeast = 128 << 20

// ParseMemory reads a size such as '512MB' as a budget of memory; "" is 0, the default.
func ParseMemory(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := bind.SizeText(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("--memory %q is not a size; write it as 512MB or 8GB", text)
	case n < memoryLeast:
		return 0, fmt.Errorf("--memory %s is too little: the server needs %d MB", text, memoryLeast>>20)
	}
	return n, nil
}

// ParseSize reads the size that a flag gives.
func ParseSize(flag, text string) (int64, error) {
	n, err := bind.SizeText(text)
	if err != nil {
		return 0, fmt.Errorf("%s %q is not a size; write it as 512kB, 16MB or 1GB", flag, text)
	}
	return n, nil
}

// FunctionLimitsMax is the most that a server may allow functions to ask for.
func FunctionLimitsMax() spec.FunctionLimits { return bind.FunctionLimitsMax }

// resultsLeast is the least that results may take together.
const resultsLeast = 1 << 20

// ParseResults reads how much results may take together, such as '100GB'; "" is 0, the default.
func ParseResults(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := bind.SizeText(text)
	if err != nil || n < resultsLeast {
		return 0, fmt.Errorf("--results-retention-bytes %q is not a size of 1MB or more; write it as 500MB or 100GB", text)
	}
	return n, nil
}

// resultsMax is what results may take together: without a choice half of the disk, where that tells its size.
func (c *Config) resultsMax() int64 {
	if c.ResultsMax > 0 {
		return c.ResultsMax
	}
	_, total, err := disk{dir: c.Dir}.Free()
	if err != nil {
		return 0
	}
	return total / 2
}

// shareMemory gives the parts of the server that have bounds of their own their parts of its memory, where it has little.
func (c *Config) shareMemory() {
	if c.Memory == 0 {
		c.Memory = systemMemory() / 4 * 3
	}
	if c.IngestMax == 0 && c.Memory > 0 {
		c.IngestMax = min(256<<20, c.Memory/8)
	}
}

// storeOptions are those of the store: by default 64 MiB for its cache, and for what is not in files yet, or some parts of the memory.
func (c *Config) storeOptions(log *slog.Logger) pebblekv.Options {
	o := pebblekv.Options{Logger: log, Fatal: c.Fatal}
	if c.Memory > 0 {
		o.CacheBytes, o.MemTableBytes = min(64<<20, c.Memory/32), min(64<<20, c.Memory/64)
	}
	return o
}

// systemMemory is what the machine has, or the process's control group allows, bytes; 0: it is not known.
func systemMemory() int64 {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	n := int64(0)
	for line := range bytes.Lines(data) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == "MemTotal:" {
			kilobytes, _ := strconv.ParseInt(f[1], 10, 64)
			n = kilobytes << 10
		}
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		data, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64); err == nil && limit > 0 { // else "max"
			n = min(n, limit)
		}
	}
	return n
}
