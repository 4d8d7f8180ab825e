package parse

import "slices"

// explained are the words with which a statement that can be explained begins.
var explained = []string{"select", "with", "values", "table", "create", "insert", "delete", "update", "declare", "execute",
	"subscribe", "sequence"}

// unexplained are the words with which other statements begin: unquoted, they are no names of queries here.
var unexplained = []string{"abort", "alter", "begin", "close", "commit", "copy", "deallocate", "discard", "drop", "end", "explain",
	"fetch", "listen", "move", "notify", "pause", "prepare", "refresh", "release", "replay", "reset", "resume", "rollback",
	"savepoint", "set", "show", "start", "truncate", "unlisten"}

// explain parses EXPLAIN [ANALYZE] [VERBOSE] | (options), then a statement, CONTINUOUS QUERY name, or the bare name of a
// continuous query. A bare name ends the statement, so that what is no statement stays a syntax error where Postgres has one.
func (c *cursor) explain() Statement {
	c.next()
	e := &Explain{}
	if c.peek().isOp("(") && !c.queryParen(c.i, 0) {
		e.Options = c.explainOptions()
	} else {
		if t := c.peek(); c.acceptKw("analyze") || c.acceptKw("analyse") {
			e.Options = append(e.Options, Option{Key: "analyze", Bare: true, Pos: t.pos})
		}
		if t := c.peek(); c.acceptKw("verbose") {
			e.Options = append(e.Options, Option{Key: "verbose", Bare: true, Pos: t.pos})
		}
	}
	if c.acceptKw("continuous", "query") || c.acceptKw("materialized", "view") {
		name := c.qualified()
		e.Query = &name
		return e
	}
	t := c.peek()
	if !t.isOp("(") && !t.isAnyKw(explained...) {
		if !t.isWord() || t.isAnyKw(unexplained...) || c.isMissing() || c.bareNameEnd() != c.end {
			c.fail()
			return nil
		}
		name := c.qualified()
		e.Query = &name
		return e
	}
	e.Stmt = c.statement()
	if u, ok := e.Stmt.(*Unsupported); ok {
		return u
	}
	return e
}

// bareNameEnd is the place after the dotted name at the cursor.
func (c *cursor) bareNameEnd() int {
	i := 1
	for c.at(i).isOp(".") && c.at(i+1).isWord() {
		i += 2
	}
	return c.i + i
}

// isMissing reports that a statement begins here that vigil does not have.
func (c *cursor) isMissing() bool {
	return slices.ContainsFunc(missing, func(m struct{ words, what, hint string }) bool { return c.startsWith(m.words) })
}

// explainOptions parses (name [value], ...). Postgres knows no "=" here.
func (c *cursor) explainOptions() []Option {
	c.expect("(")
	var list []Option
	for {
		o := Option{Pos: c.peek().pos, Key: c.label()}
		if t := c.peek(); t.isOp(",") || t.isOp(")") {
			o.Bare = true
		} else if t.isOp("=") {
			c.fail()
		} else {
			o.Value = c.optionValue()
		}
		list = append(list, o)
		if c.err != nil || !c.accept(",") {
			break
		}
	}
	c.expect(")")
	return list
}
