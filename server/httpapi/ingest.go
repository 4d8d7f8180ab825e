package httpapi

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/session"
)

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
	if err := a.srv.Engine().NotLoaded(); err != nil { // the sender can wait, or choose another server; its body need not lie here
		writeError(w, err)
		return
	}
	in := session.Ingest{Stream: id, From: remoteAddr(r), Key: cmp.Or(r.Header.Get("Idempotency-Key"), r.Header.Get("Block-Id"))}
	if len(in.Key) > session.KeyMax {
		writeError(w, sqlerr.New(sqlerr.InvalidParameterValue, "Idempotency-Key (or Block-Id) is longer than %d bytes", session.KeyMax))
		return
	}
	if in.Codec, err = codecOf(r.Header.Get("Content-Type"), format); err != nil {
		writeError(w, err)
		return
	}
	c := &claim{b: a.budget, stream: id}
	defer c.release()
	if in.Data, err = a.body(w, r, c); err != nil {
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

// remoteAddr is who sent a request.
func remoteAddr(r *http.Request) netip.Addr {
	at, _ := netip.ParseAddrPort(r.RemoteAddr)
	return at.Addr().Unmap()
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

// body reads the request's body within its limit and the budget.
func (a *API) body(w http.ResponseWriter, r *http.Request, c *claim) ([]byte, error) {
	src, declared := io.Reader(http.MaxBytesReader(w, r.Body, a.o.BodyMax)), r.ContentLength
	switch enc := strings.ToLower(r.Header.Get("Content-Encoding")); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(src)
		if err != nil {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the body is not gzip: %v", err)
		}
		src, declared = io.LimitReader(z, a.o.BodyMax+1), -1
	default:
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "Content-Encoding %q is not supported", enc).WithHint("Send gzip or plain octets.")
	}
	if declared > a.o.BodyMax {
		return nil, &http.MaxBytesError{Limit: a.o.BodyMax}
	}
	data, err := readClaimed(src, declared, a.o.BodyMax, c)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, err
	}
	if _, busy := errors.AsType[*overloaded](err); busy {
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

// readClaimed reads src to its end, at most one byte more than limit, and claims room before it reads. A declared length is
// claimed as a whole before the first byte, so that requests do not fill the budget with halves of bodies; -1 is unknown.
func readClaimed(src io.Reader, declared, limit int64, c *claim) ([]byte, error) {
	if declared >= 0 {
		if err := c.take(declared); err != nil {
			return nil, err
		}
		data := make([]byte, declared)
		_, err := io.ReadFull(src, data)
		return data, err
	}
	var pieces [][]byte
	size := int64(0)
	for {
		n := min(bodyPiece, limit+1-size)
		if n == 0 {
			return bytes.Join(pieces, nil), nil
		}
		if err := c.take(n); err != nil {
			return nil, err
		}
		piece := make([]byte, n)
		got, err := fill(src, piece)
		pieces, size = append(pieces, piece[:got]), size+int64(got)
		if err == io.EOF {
			return bytes.Join(pieces, nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// fill is io.ReadFull, but gives the reader's own error: gzip that was cut is not the end.
func fill(src io.Reader, dst []byte) (n int, err error) {
	for n < len(dst) && err == nil {
		var got int
		got, err = src.Read(dst[n:])
		n += got
	}
	return n, err
}
