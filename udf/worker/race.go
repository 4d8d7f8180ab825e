//go:build race

package worker

// raceBuild: the race detector's shadow memory is more than any limit of the process allows.
const raceBuild = true
