//go:build race

package udf

// raceBuild: workers have no limit of the kernel on their memory, so what needs one is skipped.
const raceBuild = true
