// Package soak runs the real server under a mixed load for a while and shows what it holds: memory must not grow without bound. Seconds by default,
// hours with `make soak SOAK_FOR=8h`.
package soak
