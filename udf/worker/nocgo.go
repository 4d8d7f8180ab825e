//go:build !cgo

package worker

// threadSpace: threads of Go have their stacks in its heap.
const threadSpace = 0
