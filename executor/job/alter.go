package job

import (
	"fmt"
	"maps"

	"github.com/vigil-sql/vigil/storage/meta"
)

// applyPause takes queries out of their inputs' plans; their results stay.
func (e *Engine) applyPause(ep *epoch, c *change) {
	for i := range c.Pause {
		delete(e.seq.throttled, c.Pause[i].Meta.ID)
		if q := e.queries[c.Pause[i].Meta.ID]; q != nil {
			e.detach(ep, q)
		}
	}
}

// persistAltered writes the objects that go on under a new name or text, and those that pause.
func (c *change) persistAltered(e *Engine, b batchKV, ep *epoch) error {
	for i := range c.Alter {
		o, err := e.altered(ep, &c.Alter[i].Meta)
		if err != nil {
			return err
		}
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
	}
	if err := c.persistReplaced(e, b, ep); err != nil {
		return err
	}
	for i := range c.Pause {
		o, err := e.object(ep, c.Pause[i].Meta.ID)
		if err != nil {
			return err
		}
		o.Props = withReads(o.Props, map[string]string{PropState: StatePaused, PropReason: "", PropStateEpoch: fmt.Sprint(ep.n)})
		delete(o.Props, PropUntil)
		dropService(o.Props)
		if err := e.putObject(b, ep, o); err != nil {
			return err
		}
		if err := e.putEvent(b, ep, o.ID, o.Name, Event{What: "paused"}); err != nil {
			return err
		}
	}
	return nil
}

// altered is an object as it will be: what the engine keeps of it stays.
func (e *Engine) altered(ep *epoch, m *meta.Object) (meta.Object, error) {
	o, err := e.object(ep, m.ID)
	if err != nil {
		return o, err
	}
	o.Name, o.SQL = m.Name, m.SQL
	o.Props = withReads(o.Props, m.Props)
	return o, nil
}

// withReads adds properties to a copy.
func withReads(props, reads map[string]string) map[string]string {
	out := maps.Clone(props)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, reads)
	return out
}
