// Package arch checks which package imports which: the table of ours, one package per third-party module, and the
// packages that must be deterministic. The table is in table_test.go; testdata/bad proves that each check fires.
package arch
