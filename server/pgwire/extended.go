package pgwire

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// prepared is a statement under a name; stmt is nil for the empty query. uses counts the name and the portals: a portal
// may outlive the name.
type prepared struct {
	stmt Statement
	uses int
}

func (p *prepared) release() {
	if p.uses--; p.uses == 0 && p.stmt != nil {
		p.stmt.Close()
	}
}

// columns is nil when the statement returns no rows.
func (p *prepared) columns() *types.Schema {
	if p.stmt == nil {
		return nil
	}
	return p.stmt.Columns()
}

// portal is a bound statement.
type portal struct {
	of      *prepared
	portal  Portal // nil for the empty query
	formats []int16
	failed  bool // a portal that failed does not run again
	// done: it has completed, with doneTag.
	done    bool
	doneTag string
}

// extended runs one message of the extended protocol.
func (c *conn) extended(typ byte, body []byte) error {
	if c.replication {
		return sqlerr.New(sqlerr.ProtocolViolation, "extended query protocol not supported in a replication connection")
	}
	return c.run(func(ctx context.Context) error {
		switch typ {
		case 'P':
			return c.parse(ctx, body)
		case 'B':
			return c.bind(body)
		case 'D':
			return c.describe(body)
		case 'E':
			return c.execute(ctx, body)
		}
		return c.closeTarget(body) // 'C': parseHeader knows no other
	})
}

func (c *conn) parse(ctx context.Context, body []byte) error {
	m, err := decodeParse(body)
	if err != nil {
		return err
	}
	if m.Name == "" {
		c.dropStatement("")
	}
	list, err := c.session.Split(m.Query)
	if err != nil {
		return err
	}
	if len(list) > 1 {
		return sqlerr.New(sqlerr.SyntaxError, "cannot insert multiple commands into a prepared statement")
	}
	if c.statements[m.Name] != nil {
		return sqlerr.New(sqlerr.DuplicatePreparedStatement, "prepared statement %q already exists", m.Name)
	}
	if len(c.statements) >= c.server.opts.StatementsMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot have more than %d prepared statements",
			c.server.opts.StatementsMax).WithHint("Close statements that are not used any more.")
	}
	p := &prepared{uses: 1}
	if len(list) == 1 {
		if p.stmt, err = c.session.Prepare(ctx, list[0], m.ParameterOIDs); err != nil {
			return err
		}
	}
	c.statements[m.Name] = p
	if n, ok := p.stmt.(Named); ok {
		n.SetName(m.Name)
	}
	c.out.send(&pgproto3.ParseComplete{})
	return nil
}

// statement finds a prepared statement.
func (c *conn) statement(name string) (*prepared, error) {
	if p := c.statements[name]; p != nil {
		return p, nil
	}
	if name == "" {
		return nil, sqlerr.New(sqlerr.InvalidStatementName, "unnamed prepared statement does not exist")
	}
	return nil, sqlerr.New(sqlerr.InvalidStatementName, "prepared statement %q does not exist", name)
}

// findPortal finds a portal.
func (c *conn) findPortal(name string) (*portal, error) {
	if p := c.portals[name]; p != nil {
		return p, nil
	}
	return nil, sqlerr.New(sqlerr.InvalidCursorName, "portal %q does not exist", name)
}

func (c *conn) bind(body []byte) error {
	m, err := decodeBind(body)
	if err != nil {
		return err
	}
	of, err := c.statement(m.PreparedStatement)
	if err != nil {
		return err
	}
	if m.DestinationPortal == "" {
		c.dropPortal("")
	}
	if c.portals[m.DestinationPortal] != nil {
		return sqlerr.New(sqlerr.DuplicateCursor, "cursor %q already exists", m.DestinationPortal)
	}
	if len(c.portals) >= c.server.opts.StatementsMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot have more than %d portals",
			c.server.opts.StatementsMax).WithHint("Close portals that are not used any more.")
	}
	params, err := c.bindParams(of, &m)
	if err != nil {
		return err
	}
	p := &portal{of: of}
	if p.formats, err = resultFormats(m.ResultFormatCodes, of.columns()); err != nil {
		return err
	}
	if of.stmt != nil {
		if p.portal, err = of.stmt.Bind(params); err != nil {
			return err
		}
	}
	of.uses++
	c.portals[m.DestinationPortal] = p
	c.out.send(&pgproto3.BindComplete{})
	return nil
}

// bindParams turns the bytes of a Bind into values of the statement's parameter types.
func (c *conn) bindParams(of *prepared, m *pgproto3.Bind) ([]types.Value, error) {
	var want []types.Type
	if of.stmt != nil {
		want = of.stmt.Params()
	}
	codes, n := m.ParameterFormatCodes, len(m.Parameters)
	if len(codes) > 1 && len(codes) != n {
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "bind message has %d parameter formats but %d parameters", len(codes), n)
	}
	if n != len(want) {
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "bind message supplies %d parameters, but prepared statement %q requires %d",
			n, m.PreparedStatement, len(want))
	}
	values := make([]types.Value, n)
	for i, b := range m.Parameters {
		if b == nil {
			values[i] = types.Null(want[i])
			continue
		}
		code := int16(0)
		if len(codes) == 1 {
			code = codes[0]
		} else if len(codes) > 1 {
			code = codes[i]
		}
		v, err := c.param(want[i], code, b)
		if err != nil {
			return nil, paramError(err, m.DestinationPortal, i)
		}
		values[i] = v
	}
	return values, nil
}

// paramError says which parameter is wrong.
func paramError(err error, portal string, i int) error {
	which := "unnamed portal"
	if portal != "" {
		which = fmt.Sprintf("portal %q", portal)
	}
	value := ""
	if _, ok := err.(badText); ok {
		value = " = '...'" // Postgres keeps the value itself out of the context, too
	}
	return sqlerr.As(err).WithWhere("%s parameter $%d%s", which, i+1, value)
}

// badText is the error of a parameter that came as text of its encoding and is no value of its type.
type badText struct{ error }

func (e badText) Unwrap() error { return e.error }

// param reads one parameter value.
func (c *conn) param(t types.Type, code int16, b []byte) (types.Value, error) {
	switch code {
	case 0:
		if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 {
			return types.Value{}, invalidUTF8(b)
		}
		v, err := types.ParseText(t, string(b), c.textFormat())
		if err != nil {
			return v, badText{err}
		}
		return v, nil
	case 1:
		return types.ParseBinary(t, b)
	}
	return types.Value{}, unsupportedFormat(code)
}

func unsupportedFormat(code int16) error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "unsupported format code: %d", code)
}

// resultFormats spreads the client's codes (none, one for all, or one each) over the columns; nil is all text.
func resultFormats(codes []int16, cols *types.Schema) ([]int16, error) {
	n := 0
	if cols != nil {
		n = len(cols.Cols)
	}
	for _, code := range codes {
		if code != 0 && code != 1 {
			return nil, unsupportedFormat(code)
		}
	}
	switch {
	case len(codes) == 0 || n == 0:
		return nil, nil
	case len(codes) == 1:
		formats := make([]int16, n)
		for i := range formats {
			formats[i] = codes[0]
		}
		return formats, nil
	case len(codes) == n:
		return codes, nil
	}
	return nil, sqlerr.New(sqlerr.ProtocolViolation, "bind message has %d result formats but query has %d columns", len(codes), n)
}

func (c *conn) describe(body []byte) error {
	kind, name, err := decodeTarget(body)
	if err != nil {
		return err
	}
	switch kind {
	case 'S':
		p, err := c.statement(name)
		if err != nil {
			return err
		}
		m := &pgproto3.ParameterDescription{}
		if p.stmt != nil {
			for _, t := range p.stmt.Params() {
				m.ParameterOIDs = append(m.ParameterOIDs, t.OID())
			}
		}
		c.out.send(m)
		c.describeColumns(p, nil)
		return nil
	case 'P':
		if s, ok := c.session.(CursorDescriber); ok && c.portals[name] == nil {
			if cols := s.CursorColumns(name); cols != nil {
				c.out.send(rowDescription(cols, nil, nil))
				return nil
			}
		}
		p, err := c.findPortal(name)
		if err != nil {
			return err
		}
		c.describeColumns(p.of, p.formats)
		return nil
	}
	return sqlerr.New(sqlerr.ProtocolViolation, "invalid DESCRIBE message subtype %d", kind)
}

func (c *conn) describeColumns(p *prepared, formats []int16) {
	if p.columns() == nil {
		c.out.send(&pgproto3.NoData{})
		return
	}
	c.out.send(rowDescription(p.columns(), origins(p.stmt), formats))
}

// execute runs a portal, or goes on with one that was suspended.
func (c *conn) execute(ctx context.Context, body []byte) error {
	m, err := decodeExecute(body)
	if err != nil {
		return err
	}
	p, err := c.findPortal(m.Portal)
	if err != nil {
		return err
	}
	if p.portal == nil {
		c.out.send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	if p.done || p.failed {
		return c.executeAgain(m.Portal, p)
	}
	p.failed = true // until it has gone well; a panic counts as failure
	x := c.newExecution(ctx, p.formats)
	c.group()
	suspended, tag, err := p.portal.Execute(ctx, int(m.MaxRows), x)
	if err = x.finish(err); err != nil {
		return err
	}
	p.failed = false
	if suspended {
		c.out.send(&pgproto3.PortalSuspended{})
		return nil
	}
	p.done, p.doneTag = true, tag
	c.out.send(&pgproto3.CommandComplete{CommandTag: []byte(withoutZero(tag))})
	return nil
}

// executeAgain answers for a portal that has completed: a query has no more rows, a command does not run twice.
func (c *conn) executeAgain(name string, p *portal) error {
	if p.failed || p.of.columns() == nil {
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "portal %q cannot be run", name)
	}
	verb, _, _ := strings.Cut(p.doneTag, " ")
	if verb == "SELECT" {
		verb = "SELECT 0"
	}
	c.out.send(&pgproto3.CommandComplete{CommandTag: []byte(verb)})
	return nil
}

func (c *conn) closeTarget(body []byte) error {
	kind, name, err := decodeTarget(body)
	if err != nil {
		return err
	}
	switch kind {
	case 'S':
		c.dropStatement(name)
	case 'P':
		c.dropPortal(name)
	default:
		return sqlerr.New(sqlerr.ProtocolViolation, "invalid CLOSE message subtype %d", kind)
	}
	c.out.send(&pgproto3.CloseComplete{})
	return nil
}

// dropStatement forgets a statement; it is no error if there is none. The caller guards against panics of the engine.
func (c *conn) dropStatement(name string) {
	if p := c.statements[name]; p != nil {
		delete(c.statements, name)
		p.release()
	}
}

// dropPortals forgets all portals; they live as long as their transaction.
func (c *conn) dropPortals() error {
	for name := range c.portals {
		c.dropPortal(name)
	}
	return nil
}

// dropPortal forgets a portal; it is no error if there is none. The caller guards against panics of the engine.
func (c *conn) dropPortal(name string) {
	p := c.portals[name]
	if p == nil {
		return
	}
	delete(c.portals, name)
	if p.portal != nil {
		p.portal.Close()
	}
	p.of.release()
}
