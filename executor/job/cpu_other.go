//go:build !linux

package job

import "time"

// threadCPU is not known here.
func threadCPU() time.Duration { return 0 }
