package parse

import (
	"strconv"
)

// Parse splits a query string at its semicolons and parses each statement. The whole string must be free of errors: as in
// Postgres, one wrong statement fails all. Empty statements between semicolons are dropped; a string of nothing
// else gives one *Empty. Errors are *sqlerr.Error with a position in characters of sql.
func Parse(sql string) ([]Parsed, error) {
	toks, lexErr := lex(sql)
	if lexErr != nil {
		return nil, lexErr
	}
	var out []Parsed
	for first := 0; first < len(toks); {
		end := first
		for toks[end].kind != tokSemi && toks[end].kind != tokEOF {
			end++
		}
		if end > first {
			p, err := parseOne(sql, toks, first, end)
			if err != nil {
				return nil, err
			}
			out = append(out, p)
		}
		first = end + 1
	}
	if len(out) == 0 {
		out = append(out, Parsed{Stmt: &Empty{}})
	}
	return out, nil
}

// parseOne parses the statement of tokens [first, end).
func parseOne(sql string, toks []token, first, end int) (Parsed, error) {
	c := &cursor{src: sql, toks: toks, i: first, end: end}
	p := Parsed{Text: sql[toks[first].off:toks[end-1].end], Start: toks[first].pos - 1}
	p.Stmt = c.statement()
	if c.err == nil && !c.atEnd() {
		c.leftOver()
	}
	if c.err != nil {
		return Parsed{}, c.err
	}
	for i := first; i < end; i++ {
		if toks[i].kind == tokParam {
			// A number that does not fit was refused where it stood.
			n, _ := strconv.Atoi(toks[i].val)
			c.params = max(c.params, n)
		}
	}
	p.ParamCount = c.params
	return p, nil
}

// leftOver reports tokens after a finished statement.
func (c *cursor) leftOver() {
	t := c.peek()
	err := syntaxError(c.src, t)
	switch {
	case c.streamClause():
		err = err.WithHint("EMIT and SUPPRESS belong to CREATE CONTINUOUS QUERY; a SELECT is a snapshot that ends.")
	}
	c.failWith(err)
}

// ParseExpr parses one expression that fills the whole text.
func ParseExpr(sql string) (Expr, error) {
	toks, lexErr := lex(sql)
	if lexErr != nil {
		return nil, lexErr
	}
	c := &cursor{src: sql, toks: toks, end: len(toks) - 1}
	e := c.subExpr(0)
	if c.err == nil && !c.atEnd() {
		c.fail()
	}
	if c.err != nil {
		return nil, c.err
	}
	return e, nil
}

// statement parses the statement at the cursor.
func (c *cursor) statement() Statement {
	if !c.enter() {
		return nil
	}
	defer c.leave()
	t := c.peek()
	if t.isOp("(") {
		return &SelectStmt{c.subQuery()}
	}
	if t.kind != tokIdent {
		c.fail()
		return nil
	}
	switch t.val {
	case "with":
		return c.withStatement()
	case "select", "values", "table", "sequence":
		return &SelectStmt{c.subQuery()}
	case "create":
		return c.create()
	case "alter":
		return c.alter()
	case "drop":
		return c.drop()
	case "insert":
		return c.insert(nil)
	case "delete":
		return c.deleteFrom()
	case "update":
		return c.update()
	case "truncate":
		return c.truncate()
	case "comment":
		return c.comment()
	case "copy":
		return c.copy()
	case "subscribe":
		return c.subscribe()
	case "show":
		return c.show()
	case "explain":
		return c.explain()
	case "set", "reset":
		return c.set()
	case "replay", "retro":
		return c.replay()
	case "test":
		return c.testQuery()
	case "grant", "revoke":
		return c.grant()
	case "pause", "resume", "refresh":
		return c.pauseOrRefresh()
	}
	if c.startsWith("backup to") {
		return c.backup()
	}
	return c.session(t)
}

// session parses the statements of a connection: transactions, cursors, prepared statements, notifications.
func (c *cursor) session(t *token) Statement {
	switch t.val {
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release":
		return c.transaction()
	case "declare":
		return c.declare()
	case "fetch", "move":
		return c.fetch()
	case "close":
		c.next()
		if c.acceptKw("all") {
			return &CloseCursor{All: true}
		}
		return &CloseCursor{Name: c.name()}
	case "prepare":
		return c.prepare()
	case "execute":
		return c.execute()
	case "deallocate":
		c.next()
		c.acceptKw("prepare")
		if c.acceptKw("all") {
			return &Deallocate{All: true}
		}
		return &Deallocate{Name: c.name()}
	case "discard":
		return c.discard()
	case "listen":
		c.next()
		return &Listen{Channel: c.qualified()}
	case "unlisten":
		c.next()
		if c.accept("*") {
			return &Unlisten{All: true}
		}
		return &Unlisten{Channel: c.name()}
	case "notify":
		return c.notify()
	}
	return c.unsupported()
}

// missing lists the beginnings of statements that vigil knows and does not have, with what to do instead.
var missing = []struct{ words, what, hint string }{
	{"create database", "CREATE DATABASE", "A server has the one database vigil; start another server on another directory."},
	{"create unlogged", "CREATE UNLOGGED TABLE", "Use CREATE TABLE."},
	{"create type", "CREATE TYPE", "Use the built-in types."},
	{"create domain", "CREATE DOMAIN", "Use the built-in types."},
	{"create extension", "CREATE EXTENSION", "Write a function with CREATE FUNCTION .. LANGUAGE javascript."},
	{"create trigger", "CREATE TRIGGER", "Use CREATE CONTINUOUS QUERY."},
	{"create rule", "CREATE RULE", "Use CREATE CONTINUOUS QUERY."},
	{"create procedure", "CREATE PROCEDURE", "Use CREATE FUNCTION .. LANGUAGE javascript."},
	{"create policy", "CREATE POLICY", ""},
	{"alter stream", "ALTER STREAM", "Drop the stream and create it again."},
	{"alter source", "ALTER STREAM", "Drop the stream and create it again."},
	{"alter default privileges", "ALTER DEFAULT PRIVILEGES", "GRANT on the objects once they are there."},
	{"alter", "ALTER", "vigil has ALTER TABLE, ALTER SEQUENCE, ALTER CONTINUOUS QUERY, ALTER SINK and ALTER IOC LIST."},
	{"backup", "BACKUP", "vigil has BACKUP TO 'directory'."},
	{"restore", "RESTORE", "Start a server on the directory of the backup: vigil serve --data DIRECTORY."},
	{"merge", "MERGE", "Use INSERT and DELETE."},
	{"lock", "LOCK", "vigil reads snapshots and takes no locks."},
	{"vacuum", "VACUUM", "vigil cleans up by itself."},
	{"analyze", "ANALYZE", "vigil needs no statistics."},
	{"analyse", "ANALYZE", "vigil needs no statistics."},
	{"cluster", "CLUSTER", ""},
	{"reindex", "REINDEX", ""},
	{"checkpoint", "CHECKPOINT", "Checkpoints are taken in the background."},
	{"do", "DO", "Use CREATE FUNCTION .. LANGUAGE javascript."},
	{"call", "CALL", "Use SELECT with a function."},
	{"load", "LOAD", ""},
	{"reassign", "REASSIGN OWNED", ""},
	{"security", "SECURITY LABEL", ""},
	{"import", "IMPORT FOREIGN SCHEMA", ""},
	{"identify_system", "streaming replication", "Use SUBSCRIBE to follow a query's results."},
	{"start_replication", "streaming replication", "Use SUBSCRIBE to follow a query's results."},
	{"create_replication_slot", "streaming replication", "Use SUBSCRIBE to follow a query's results."},
}

// unsupported finds a known statement that is missing and moves over it; anything else is a syntax error.
func (c *cursor) unsupported() Statement {
	for _, m := range missing {
		if c.startsWith(m.words) {
			u := &Unsupported{What: m.what, Hint: m.hint, Pos: c.peek().pos}
			c.i = c.end
			return u
		}
	}
	c.fail()
	return nil
}

// startsWith reports whether the next tokens are the words of a phrase.
func (c *cursor) startsWith(phrase string) bool {
	n, start := 0, 0
	for i := 0; i <= len(phrase); i++ {
		if i < len(phrase) && phrase[i] != ' ' {
			continue
		}
		if !c.at(n).isKw(phrase[start:i]) {
			return false
		}
		n, start = n+1, i+1
	}
	return true
}
