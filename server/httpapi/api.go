// Package httpapi is the HTTP side of vigil: events in, results out by long poll, health and metrics. The paths are a
// contract (docs/reference/http.md); what they mean is in package session.
package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/session"
)

// Options are the limits of the interface; zero values take the defaults.
type Options struct {
	// BodyMax bounds a request's body before and after decompression, bytes (64 MiB).
	BodyMax int64
	// IngestMax bounds what the bodies of all ingest requests hold in memory, bytes (256 MiB). A body is held twice, so BodyMax
	// is less than half of it in any case.
	IngestMax int64
	// WaitMax bounds a long poll (5 minutes).
	WaitMax time.Duration
	// Connections tells of Postgres connections, for metrics; nil: there are none.
	Connections func() Connections
	Logger      *slog.Logger
}

// Connections are figures of the Postgres interface: sessions open now, and connections since the server started that were
// refused, or cut off because the client read too slowly.
type Connections struct{ Open, Refused, Slow int64 }

// API serves HTTP for one server.
type API struct {
	srv    *session.Server
	o      Options
	mux    *http.ServeMux
	budget *budget
}

// New returns the handler.
func New(srv *session.Server, o Options) *API {
	if o.BodyMax <= 0 {
		o.BodyMax = 64 << 20
	}
	if o.IngestMax <= 0 {
		o.IngestMax = 256 << 20
	}
	o.BodyMax = min(o.BodyMax, max(o.IngestMax/bodyCopies-1, 1))
	if o.WaitMax <= 0 {
		o.WaitMax = 5 * time.Minute
	}
	if o.Connections == nil {
		o.Connections = func() Connections { return Connections{} }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	a := &API{srv: srv, o: o, mux: http.NewServeMux(), budget: newBudget(o.IngestMax, time.Now)}
	a.mux.HandleFunc("POST /v1/streams/{name}/events", a.ingest)
	a.mux.HandleFunc("GET /v1/queries/{name}/results", a.poll)
	a.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "ok\n") })
	a.mux.HandleFunc("GET /readyz", a.ready)
	a.mux.Handle("GET /metrics", promhttp.HandlerFor(registry(srv, a.budget, o.Connections), promhttp.HandlerOpts{}))
	return a
}

// ServeHTTP implements http.Handler; a panic in a handler costs one request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			a.o.Logger.Error("http handler", "path", r.URL.Path, "panic", p)
			writeError(w, sqlerr.New(sqlerr.InternalError, "internal error"))
		}
	}()
	a.mux.ServeHTTP(w, r)
}

// Server returns an http.Server for the handler with timeouts against clients that never finish.
func (a *API) Server() *http.Server {
	return &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 5 * time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(a.o.Logger.Handler(), slog.LevelDebug)}
}

func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	if err := a.srv.Engine().Ready(); err != nil {
		writeText(w, http.StatusServiceUnavailable, "not ready: "+err.Error()+"\n")
		return
	}
	writeText(w, http.StatusOK, "ready\n")
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // a client that has gone cannot be told
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte(`{"error":{"code":"XX000","message":"internal error"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // a client that has gone cannot be told
}

// statusOf maps an SQLSTATE to an HTTP status.
func statusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if _, ok := errors.AsType[*overloaded](err); ok {
		return http.StatusTooManyRequests
	}
	switch code := sqlerr.CodeOf(err); code {
	case sqlerr.UndefinedTable, sqlerr.UndefinedObject:
		return http.StatusNotFound
	case sqlerr.InternalError, sqlerr.IOError, sqlerr.DataCorrupted:
		return http.StatusInternalServerError
	case sqlerr.AdminShutdown, sqlerr.CannotConnectNow, sqlerr.DiskFull:
		return http.StatusServiceUnavailable
	case sqlerr.SnapshotTooOld:
		return http.StatusGone
	case sqlerr.FeatureNotSupported:
		return http.StatusNotImplemented
	}
	return http.StatusBadRequest
}

// retryAfter is when a client may ask again that the server has no room for, or that came while it stops; seconds.
const retryAfter = "5"

// errorBody is what a failed request gets.
type errorBody struct {
	Error struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint,omitempty"`
	} `json:"error"`
}

func writeError(w http.ResponseWriter, err error) {
	status := statusOf(err)
	se := sqlerr.As(err)
	if status == http.StatusRequestEntityTooLarge {
		se = sqlerr.New(sqlerr.ProgramLimitExceeded, "the body is larger than this server takes").WithHint("Send the events in smaller pieces.")
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	if busy, ok := errors.AsType[*overloaded](err); ok {
		w.Header().Set("Retry-After", strconv.FormatInt(busy.seconds, 10))
	}
	var body errorBody
	body.Error.Code, body.Error.Message, body.Error.Hint = string(se.Code), se.Message, se.Hint
	writeJSON(w, status, body)
}
