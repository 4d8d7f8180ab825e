//go:build !linux || !(amd64 || arm64)

package worker

import (
	"fmt"
	"runtime"
)

// confine has nothing to work with here.
func confine() error {
	return fmt.Errorf("%s on %s has no filter of system calls that vigil knows", runtime.GOOS, runtime.GOARCH)
}
