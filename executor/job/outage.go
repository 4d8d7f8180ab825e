package job

import (
	"fmt"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/meta"
)

// outage is a query that the engine takes out of service.
type outage struct {
	q     *query
	why   *sqlerr.Error
	state string
	// until is the clock at which it goes on by itself; 0: it does not.
	until  types.EventTime
	object meta.Object
	// function is as in verdict.
	function string
}

// reason is what vigil.queries shows.
func (o *outage) reason() string {
	if o.until == 0 {
		return o.why.Error()
	}
	return o.why.Error() + "; it goes on at " + time.UnixMicro(int64(o.until)).UTC().Format(untilLayout)
}

// takeOut records that a query is out of service; the committer calls it in the epoch that decided so.
func (e *Engine) takeOut(b batchKV, ep *epoch, out outage) error {
	out.q.taken = true
	o, err := e.object(ep, out.q.spec.ID)
	if err != nil {
		return err
	}
	o.Props = withReads(o.Props, map[string]string{PropState: out.state, PropReason: out.reason(), PropStateEpoch: fmt.Sprint(ep.n)})
	dropService(o.Props)
	if delete(o.Props, PropUntil); out.until != 0 {
		o.Props[PropUntil] = fmt.Sprint(int64(out.until))
	}
	if err := e.putObject(b, ep, o); err != nil {
		return err
	}
	out.object = o
	e.failMu.Lock()
	e.failedQueries = append(e.failedQueries, out)
	e.failMu.Unlock()
	ep.outages = append(ep.outages, out)
	return nil
}
