package op

import "fmt"

// blockVersion refuses a block of state whose first byte, the version of its format, is not the one that this vigil reads.
func blockVersion(what string, block []byte, known byte) error {
	switch {
	case len(block) == 0:
		return fmt.Errorf("%s is empty", what)
	case block[0] != known:
		return fmt.Errorf("%s has format version %d, this vigil reads version %d: use the vigil that wrote it, or a newer one", what, block[0], known)
	}
	return nil
}
