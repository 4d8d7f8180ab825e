package httpapi

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/session"
)

// keyMax bounds an Idempotency-Key, bytes.
const keyMax = 255

// accepted is the answer to an ingest request.
type accepted struct {
	Accepted  int64 `json:"accepted"`
	Rejected  int64 `json:"rejected"`
	Duplicate bool  `json:"duplicate,omitempty"`
}

// ingest is POST /v1/streams/NAME/events: the body's octets in the stream's format, or JSON or CSV by Content-Type. It
// answers when the events are on disk and decoded.
func (a *API) ingest(w http.ResponseWriter, r *http.Request) {
	id, format, err := a.srv.StreamID(r.PathValue("name"))
	if err != nil {
		writeError(w, err)
		return
	}
	in := session.Ingest{Stream: id, Key: r.Header.Get("Idempotency-Key")}
	if len(in.Key) > keyMax {
		writeError(w, sqlerr.New(sqlerr.InvalidParameterValue, "Idempotency-Key is longer than %d bytes", keyMax))
		return
	}
	if in.Codec, err = codecOf(r.Header.Get("Content-Type"), format); err != nil {
		writeError(w, err)
		return
	}
	if in.Data, err = a.body(w, r); err != nil {
		writeError(w, err)
		return
	}
	in.Whole = wholeBody(in, format)
	out, err := a.srv.Append(r.Context(), in)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, accepted{out.Accepted, out.Rejected, out.Duplicate})
}

// wholeBody: a JSON array, or CSV whose quotes may span lines, must not be cut.
func wholeBody(in session.Ingest, format string) bool {
	if in.Codec != "" {
		format, _, _ = strings.Cut(in.Codec, "?")
	}
	first := bytes.TrimLeft(in.Data[:min(len(in.Data), 64)], " \t\r\n")
	return format != "JSON" || len(first) > 0 && first[0] == '['
}

// codecOf picks the codec for a content type; "" is the stream's own format.
func codecOf(contentType, format string) (string, error) {
	if contentType == "" {
		return "", nil
	}
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "Content-Type %q cannot be read", contentType)
	}
	want := map[string]string{"application/x-ndjson": "JSON", "application/ndjson": "JSON", "application/json": "JSON",
		"application/jsonl": "JSON", "text/csv": "CSV"}[t]
	if want == "" || want == format {
		return "", nil // octets of the stream's format
	}
	return want, nil
}

// body reads the request's body within the limit.
func (a *API) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	var src io.Reader = http.MaxBytesReader(w, r.Body, a.o.BodyMax)
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the body is not gzip: %v", err)
		}
		src = io.LimitReader(z, a.o.BodyMax+1)
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "Content-Encoding %q is not supported", enc).WithHint("Send gzip or plain octets.")
	}
	data, err := io.ReadAll(src)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, err
	}
	if err != nil { // a client that went away, or gzip that is cut or damaged
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the body could not be read to its end: %v", err).
			WithHint("Nothing of this request was taken; send it again.")
	}
	if int64(len(data)) > a.o.BodyMax {
		return nil, &http.MaxBytesError{Limit: a.o.BodyMax}
	}
	return data, nil
}
