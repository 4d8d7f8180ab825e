package wire

import (
	"os"

	"golang.org/x/sys/unix"
)

// sharedFile returns an empty file that lives in memory and has no name.
func sharedFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("vigil-udf", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "progress"), nil
}
