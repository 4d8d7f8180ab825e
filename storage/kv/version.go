package kv

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrVersion is wrapped by the errors about stored bytes of a format version that this vigil does not read.
var ErrVersion = errors.New("use the vigil that wrote it, or a newer one")

// CheckVersion refuses stored bytes whose first byte, the version of their format, is none of those known. what names the format.
func CheckVersion(what string, value []byte, known ...byte) error {
	if len(value) == 0 {
		return fmt.Errorf("%s is empty", what)
	}
	if slices.Contains(known, value[0]) {
		return nil
	}
	list := make([]string, len(known))
	for i, v := range known {
		list[i] = fmt.Sprint(v)
	}
	return fmt.Errorf("%s has format version %d, this vigil reads version %s: %w", what, value[0], strings.Join(list, " and "), ErrVersion)
}
