// Package need is how tests ask for what a machine with Go alone does not have. A test skips with the name of what is
// missing and what brings it; in CI (CI=true) nothing may be missing, and the test fails instead.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Missing skips, or fails in CI.
func Missing(t testing.TB, what, how string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing, and in CI nothing may be; %s", what, how)
	}
	t.Skipf("%s is missing; %s", what, how)
}

// Binary finds a program on the PATH or at one of the places.
func Binary(t testing.TB, name, how string, places ...string) string {
	t.Helper()
	if p, err := exec.LookPath(name); err == nil {
		return p
	}
	for _, p := range places {
		if found, _ := filepath.Glob(p); len(found) > 0 {
			return found[len(found)-1]
		}
	}
	Missing(t, name, how)
	return ""
}

// Psql is Postgres' terminal client.
func Psql(t testing.TB) string {
	t.Helper()
	return Binary(t, "psql", "install Debian's postgresql-client", "/usr/lib/postgresql/*/bin/psql")
}

// Postgres is a real PostgreSQL server, for tests that compare with it.
func Postgres(t testing.TB) string {
	t.Helper()
	return Binary(t, "postgres", "install Debian's postgresql", "/usr/lib/postgresql/*/bin/postgres")
}

// Postgres15 is the server of PostgreSQL 15, the version that vigil is compared with to the letter.
func Postgres15(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/15/bin/postgres")
	if len(found) == 0 {
		Missing(t, "PostgreSQL 15", "install Debian's postgresql-15")
		return ""
	}
	return found[0]
}

// Java runs a real Apache Kafka.
func Java(t testing.TB) string {
	t.Helper()
	return Binary(t, "java", "install a Java runtime 17 or newer")
}

// Root is the repository's directory: the nearest one above the test's own that has a go.mod. Call it before changing
// directories; it panics where there is none, because then nothing can be found.
func Root() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			panic("tests run inside the repository")
		}
		dir = up
	}
}

// Shared is a path of the shared material beside the repository: real events, rules and captures that are not part of it.
func Shared(t testing.TB, path string) string {
	t.Helper()
	p := filepath.Join(Root(), "..", "shared", path)
	if _, err := os.Stat(p); err != nil {
		Missing(t, "../shared/"+path, "put the shared material beside the checkout")
	}
	return p
}

// KafkaJars is the directory with Apache Kafka's jars.
func KafkaJars(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Root(), "tests", "kafka", "target", "jars")
	if found, _ := filepath.Glob(filepath.Join(dir, "kafka_*.jar")); len(found) == 0 {
		Missing(t, "Apache Kafka", "run make kafka-jars (needs Maven)")
	}
	return dir
}

// Made finds a file of the repository, by a pattern, that a make target fetches or builds.
func Made(t testing.TB, pattern, what, how string) string {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(Root(), filepath.FromSlash(pattern)))
	if len(found) == 0 {
		Missing(t, what, how)
	}
	return found[len(found)-1]
}
