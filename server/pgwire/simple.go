package pgwire

import (
	"context"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// simple runs a query string: its statements one after the other, each planned when its turn comes, up to the first
// error. The result is an error only when the connection must end.
func (c *conn) simple(body []byte) error {
	err := c.run(func(ctx context.Context) error {
		// A simple query ends what the unnamed statement and portal held, as in Postgres.
		c.dropPortal("")
		c.dropStatement("")
		sql, err := decodeQuery(body)
		if err != nil {
			return err
		}
		return c.runString(ctx, sql)
	})
	if err != nil {
		if isFatal(err) {
			return err
		}
		c.report(err)
	}
	return c.ready()
}

func (c *conn) runString(ctx context.Context, sql string) error {
	list, err := c.session.Split(sql)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		c.out.send(&pgproto3.EmptyQueryResponse{})
	}
	if len(list) > 1 {
		c.group()
	}
	for _, p := range list {
		if err := c.runParsed(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// group begins an implicit transaction, where the session has them.
func (c *conn) group() {
	if g, ok := c.session.(Grouper); ok {
		g.Group()
	}
}

// runParsed plans and runs one statement of a query string.
func (c *conn) runParsed(ctx context.Context, p Parsed) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stmt, err := c.session.Prepare(ctx, p, nil)
	if err != nil {
		return err
	}
	defer stmt.Close()
	if len(stmt.Params()) > 0 {
		return sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $1")
	}
	pt, err := stmt.Bind(nil)
	if err != nil {
		return err
	}
	defer pt.Close()
	if cols := stmt.Columns(); cols != nil {
		c.out.send(rowDescription(cols, origins(stmt), nil))
	}
	x := c.newExecution(ctx, nil)
	_, tag, err := pt.Execute(ctx, 0, x)
	if err = x.finish(err); err != nil {
		return err
	}
	c.out.send(&pgproto3.CommandComplete{CommandTag: []byte(withoutZero(tag))})
	return c.out.err
}
