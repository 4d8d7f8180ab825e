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

// page is the answer to a poll. The cursor is opaque to clients, and good for ever: it names a query and an offset.
type page struct {
	Cursor string            `json:"cursor"`
	Rows   []json.RawMessage `json:"rows"`
}

// poll is GET /v1/queries/NAME/results?after=CURSOR&wait=30s&limit=1000: the rows after the cursor (from the oldest that
// is kept, without one), waiting for the first to come.
func (a *API) poll(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	after, err := decodeCursor(q.Get("after"))
	if err != nil {
		writeError(w, err)
		return
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
	next, err := a.srv.Results(ctx, session.ResultsRequest{Query: r.PathValue("name"), After: after, Limit: limit, Wait: wait > 0},
		func(row []byte) { p.Rows = append(p.Rows, append(json.RawMessage(nil), row...)) })
	if err != nil {
		writeError(w, err)
		return
	}
	p.Cursor = "v1-" + strconv.FormatInt(next, 10)
	writeJSON(w, http.StatusOK, p)
}

func decodeCursor(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	rest, ok := strings.CutPrefix(s, "v1-")
	n, err := strconv.ParseInt(rest, 10, 64)
	if !ok || err != nil || n < 0 {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "cursor %q is not one that this server gave", s).
			WithHint("Leave out after= to begin with the oldest rows.")
	}
	return n, nil
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
