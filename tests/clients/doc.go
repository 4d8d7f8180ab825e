// Package clients runs the Postgres clients that people use against the real server: node-postgres, psycopg 2 and 3, asyncpg,
// SQLAlchemy, ODBC, pgjdbc, lib/pq and pgx; psql has tests/psql. Each client's program does what people and tools do with
// it, and prints a line a check, "ok NAME" or "FAIL NAME: what went wrong"; the Go test turns the lines into subtests. What a
// check demands is what PostgreSQL 15 does: write a new one against it first.
package clients
