// Package meta proves that what a run of the whole engine produces is a function of the recorded order of its input and of
// event times. Worlds of random streams and queries, written as SQL, run again and again with other batch sizes, other
// numbers of workers, other checkpoint and crash moments: the results stay the same, and are those of a slow model that
// shares no code with the operators.
package meta
