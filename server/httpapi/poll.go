package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/session"
)

// Limits of one page of results.
const (
	pageRows    = 1000
	pageRowsMax = 10_000
)

// page is the answer to a poll. The cursor is opaque to clients, and good for ever: it names a query by its number, which
// no other query ever has, and an offset.
type page struct {
	Cursor string            `json:"cursor"`
	Rows   []json.RawMessage `json:"rows"`
}

// poll is GET /v1/queries/NAME/results?after=CURSOR&wait=30s&limit=1000: the rows after the cursor (from the oldest that
// is kept, without one), waiting for the first to come.
func (a *API) poll(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, err := a.srv.QueryID(r.PathValue("name"))
	if err != nil {
		writeError(w, err)
		return
	}
	of, after, err := decodeCursor(q.Get("after"))
	if err != nil {
		writeError(w, err)
		return
	}
	if of != id {
		after = -1 // the name stands for a new query since, whose offsets have nothing to do with those of the old one
	}
	wait, err := a.waitOf(q.Get("wait"))
	if err != nil {
		writeError(w, err)
		return
	}
	limit := pageRows
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			writeError(w, sqlerr.New(sqlerr.InvalidParameterValue, "limit %q is not a positive number", s))
			return
		}
		limit = min(n, pageRowsMax)
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	p := page{Rows: []json.RawMessage{}}
	next, err := a.srv.Results(ctx, session.ResultsRequest{Query: r.PathValue("name"), ID: id, After: after, Limit: limit, Wait: wait > 0},
		func(row []byte) { p.Rows = append(p.Rows, append(json.RawMessage(nil), row...)) })
	if err != nil {
		writeError(w, err)
		return
	}
	p.Cursor = encodeCursor(id, next)
	writeJSON(w, http.StatusOK, p)
}

func encodeCursor(id uint64, offset int64) string {
	return "v1-" + strconv.FormatUint(id, 10) + "-" + strconv.FormatInt(offset, 10)
}

// decodeCursor takes a cursor apart; none at all is the beginning.
func decodeCursor(s string) (id uint64, offset int64, err error) {
	if s == "" {
		return 0, -1, nil
	}
	rest, ok := strings.CutPrefix(s, "v1-")
	query, at, both := strings.Cut(rest, "-")
	id, idErr := strconv.ParseUint(query, 10, 64)
	offset, err = strconv.ParseInt(at, 10, 64)
	if !ok || !both || idErr != nil || err != nil || offset < 0 || s != encodeCursor(id, offset) {
		return 0, 0, sqlerr.New(sqlerr.InvalidParameterValue, "cursor %q is not one that this server gave", s).
			WithHint("Leave out after= to begin with the oldest rows.")
	}
	return id, offset, nil
}

// waitOf reads a duration; a bare number is seconds.
func (a *API) waitOf(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil {
		s = strconv.FormatFloat(n, 'f', -1, 64) + "s"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "wait %q is not a duration", s).WithHint("Write wait=30s.")
	}
	return min(d, a.o.WaitMax), nil
}
