//go:build unix && !linux

package wire

import "os"

// sharedFile returns an empty file without a name.
func sharedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "vigil-udf-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
