//go:build !race

package udf

const raceBuild = false
