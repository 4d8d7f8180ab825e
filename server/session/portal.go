package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// portal is a bound statement. With no row limit the rows go straight to the client; with one, what produces them stands
// still while the portal is suspended.
type portal struct {
	st     *statement
	params []types.Value
	pull   rowSource
	sent   int64
}

var _ pgwire.Portal = (*portal)(nil)

// Execute implements pgwire.Portal.
func (p *portal) Execute(ctx context.Context, most int, out pgwire.Output) (bool, string, error) {
	ctx, cancel := p.st.s.withTimeout(ctx)
	defer cancel()
	defer p.st.s.takeBroken()
	p.st.s.begin(p.st.text)
	p.st.s.running, p.st.s.text = ctx, p.st.text
	defer p.st.s.sendWarnings(out)
	if err := p.st.s.readOnlyDDL(p.st.stmt); err != nil {
		return false, "", err
	}
	if p.st.do != nil {
		tag, err := p.st.do(ctx, p.params, out)
		return false, tag, cause(ctx, err)
	}
	if most <= 0 && p.pull == nil {
		err := p.st.rows(ctx, p.params, func(row []types.Value) error {
			p.sent++
			p.st.s.sendWarnings(out)
			return out.Row(row)
		}, out)
		if err != nil {
			return false, "", cause(ctx, err)
		}
		return false, p.st.tag(p.sent), nil
	}
	if p.pull == nil {
		var err error
		if p.pull, err = p.st.source(ctx, p.params, out); err != nil {
			return false, "", cause(ctx, err)
		}
	}
	var sent int64
	for most <= 0 || sent < int64(most) {
		row, ok, err := p.pull.next(ctx)
		if err != nil {
			return false, "", cause(ctx, err)
		}
		if !ok {
			return false, p.st.tag(sent), nil
		}
		if err := out.Row(row); err != nil {
			return false, "", err
		}
		sent++
	}
	return true, "", nil
}

// Close implements pgwire.Portal.
func (p *portal) Close() {
	if p.pull != nil {
		p.pull.close()
	}
}

// quiet is the Output of a producer that may only emit rows.
type quiet struct{ pgwire.Output }

// Notice drops the notice: the client is not listening at this moment.
func (quiet) Notice(pgwire.Notice) {}

// Flush does nothing: the rows go through a channel.
func (quiet) Flush() error { return nil }
