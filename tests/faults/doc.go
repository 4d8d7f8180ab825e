// Package faults runs the whole engine on a disk in memory of which any call can fail, and which can lose power at any: results stay those of
// an undisturbed run, what was acknowledged counts, and nothing counts twice. See docs/design/0008-faults.md.
package faults
