package job

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/storage/results"
)

// Content is what a changelog leaves: rows that were inserted and not taken back, in the order in which they came.
type Content struct {
	rows []results.Row // Data nil: taken back
	at   map[string][]int
}

// Change applies one row of the changelog, copying its data. A row that is taken back and not there was trimmed.
func (c *Content) Change(r results.Row) {
	if c.at == nil {
		c.at = map[string][]int{}
	}
	switch batch.Op(r.Op) {
	case batch.UpdateBefore, batch.Delete:
		places := c.at[string(r.Data)]
		if len(places) == 0 {
			return
		}
		c.rows[places[0]].Data = nil
		if places = places[1:]; len(places) == 0 {
			delete(c.at, string(r.Data))
			return
		}
		c.at[string(r.Data)] = places
	default:
		key := string(r.Data)
		r.Op, r.Data = byte(batch.Insert), []byte(key)
		c.at[key] = append(c.at[key], len(c.rows))
		c.rows = append(c.rows, r)
	}
}

// Rows are the rows that are left, as inserts.
func (c *Content) Rows() []results.Row {
	out := make([]results.Row, 0, len(c.rows))
	for _, r := range c.rows {
		if r.Data != nil {
			out = append(out, r)
		}
	}
	return out
}
