// Package diff compares vigil with a real PostgreSQL 15: the same statements over the same tables, over the wire, column by
// column, value by value, error by error.
package diff
