//go:build !amd64

package codec

func scanString(s []byte) (n, high int) { return scanStringGo(s) }
