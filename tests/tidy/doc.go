// Package tidy checks the rules of style that a machine can count: lengths, parameters, doc comments, names, banned words,
// init functions, sleeps in tests, formatting. Exceptions stand in allow.txt, each with its reason; testdata/bad proves
// that every check fires.
package tidy
