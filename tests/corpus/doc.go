// Package corpus replays what real Postgres clients sent to a real PostgreSQL against a running vigil, and compares the
// answers. The recorded statements are others' and lie beside the repository.
package corpus
