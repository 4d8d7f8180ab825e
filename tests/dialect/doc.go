// Package dialect asks vigil the questions that other streaming engines' test suites ask theirs, and compares its answers with
// the ones those suites record. Each suite has an adapter that rewrites its SQL, token by token, into vigil's; the outcome of
// every case is in docs/dialects.md.
package dialect
