package parse

import "slices"

// withStatement parses a statement that begins with WITH: a query, or an INSERT.
func (c *cursor) withStatement() Statement {
	main := c.afterWith()
	switch t := c.at(main); {
	case t.isKw("insert"):
		with := slices.Clone(c.toks[c.i : c.i+main])
		c.i += main
		return c.insert(with)
	case t.isAnyKw("update", "delete", "merge"):
		c.lack(t.pos, "WITH before "+upperWord(t), "write the WITH query as a subquery")
		return nil
	}
	return &SelectStmt{c.subQuery()}
}

// afterWith is how many tokens the WITH clause has that is next, as far as its parentheses tell.
func (c *cursor) afterWith() int {
	depth := 0
	for n := 1; c.i+n < c.end; n++ {
		switch t := c.at(n); {
		case t.isOp("("):
			depth++
		case t.isOp(")"):
			depth--
		case depth == 0 && t.isAnyKw("select", "insert", "update", "delete", "merge", "values", "table"):
			return n
		}
	}
	return 0
}

// putFirst puts tokens before the current one, where the statement's own come from further to the left: each keeps its position.
func (c *cursor) putFirst(list []token) {
	c.toks = slices.Concat(c.toks[:c.i:c.i], list, c.toks[c.i:])
	c.end += len(list)
}
