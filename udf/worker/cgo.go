//go:build cgo

package worker

// threadSpace is address space of the stacks of C threads, which a program with cgo gives to each of its threads: a dozen of 8 MB. They
// are hardly touched.
const threadSpace = 12 * 8 << 20
