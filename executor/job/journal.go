package job

import (
	"bytes"
	"encoding/json"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/meta"
)

// journalVersion is the version of the rows of journals, which are JSON: docs/formats/epochs.md.
const journalVersion = 1

// Versioned is the version of a journal's row, as stored. Absent, it is 1.
type Versioned struct {
	Version int `json:"version,omitempty"`
}

func (v Versioned) check(what string) error {
	if v.Version == 0 || v.Version == journalVersion {
		return nil
	}
	return sqlerr.New(sqlerr.DataCorrupted, "%s has format version %d, this vigil reads version %d", what, v.Version, journalVersion).
		WithHint("Use the vigil that wrote it, or a newer one.")
}

// DecodeRejected reads a row of vigil.rejected.
func DecodeRejected(data []byte) (r Rejected, err error) {
	return r, decodeJournal("a rejected row", data, &r)
}

// DecodeEvent reads a row of vigil.query_events.
func DecodeEvent(data []byte) (e Event, err error) {
	return e, decodeJournal("a query event", data, &e)
}

// decodeLate reads a late row.
func decodeLate(data []byte) (l Late, err error) { return l, decodeJournal("a late row", data, &l) }

// decodeJournal looks at the version first: a row of another one need not fit.
func decodeJournal(what string, data []byte, into any) error {
	var v Versioned
	err := json.Unmarshal(data, &v)
	if err == nil {
		if err := v.check(what); err != nil {
			return err
		}
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		return sqlerr.New(sqlerr.DataCorrupted, "%s cannot be read: %v", what, err)
	}
	return nil
}

// journalTime is when a journal's row came.
func journalTime(data []byte) int64 {
	const name = `"at":` // a text never holds it: its quotes are escaped
	at := int64(0)
	if i := bytes.Index(data, []byte(name)); i >= 0 {
		for _, d := range data[i+len(name):] {
			if d < '0' || d > '9' {
				break
			}
			at = at*10 + int64(d-'0')
		}
	}
	return at // 0 if there is none: those who read the row say what is wrong with it
}

// trimJournals adds to b that the rows of journals are forgotten that are too old by now.
func (e *Engine) trimJournals(b batchKV, now int64) {
	for _, j := range []*meta.Journal{e.meta.Rejected, e.meta.Events, e.meta.Late, e.meta.Dead} {
		j.Trim(b, now)
	}
}
