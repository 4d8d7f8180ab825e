//go:build !linux

package arena

import (
	"errors"
	"os"
	"unsafe"
)

// able: state can be moved to a file. Here it cannot: NewPool returns nil, and nothing of the rest is called.
const able = false

var errSystem = errors.New("state stays on the heap on this system")

func mapZeros(int, bool) unsafe.Pointer             { return nil }
func unmap(unsafe.Pointer, int)                     {}
func moveChunk(_, _ unsafe.Pointer) bool            { return false }
func dropPages(unsafe.Pointer, int)                 {}
func mapFile(unsafe.Pointer, *os.File, int64) error { return errSystem }
func openUnnamed(string) (*os.File, error)          { return nil, errSystem }
func reserve(*os.File, int64) error                 { return errSystem }
func punch(*os.File, int64)                         {}

type pages struct{}

func openPages() *pages                            { return nil }
func (*pages) resident(unsafe.Pointer, []byte) int { return 0 }
func (*pages) close()                              {}

// Resident is how much memory the process has; false where the system does not tell.
func Resident() (int64, bool) { return 0, false }
