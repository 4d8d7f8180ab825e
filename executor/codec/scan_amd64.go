package codec

// scanString looks for the first byte that ends a plain run within a JSON string (see stringStop), 16 bytes at a time. n is
// its index, or, when there is none, a place with fewer than 16 bytes behind it. high is not 0 when the bytes looked at, up
// to 15 of them behind n, are not all ASCII.
//
//go:noescape
func scanString(s []byte) (n, high int)
