package sink

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

func httpDef() connector.SinkDef {
	d := connector.SinkDef{
		Name: "http",
		Doc: "POSTs rows to a URL and goes on when that answers 2xx. Each row arrives at least once; one that arrives again has the same id and the " +
			"same bytes. Network errors and answers of 5xx, 408, 425, 429 and those that blame the sender as a whole (401, 402, 403, 404, 405, 407, 421, 426, 428, 451) " +
			"are tried again, for as long as it takes; other answers of 4xx blame the rows: those that are at fault become dead letters.",
		Params: []connector.Param{
			{Name: "url", Doc: "http or https"},
			{Name: "body", Default: "array", Doc: "array: a JSON array of rows; lines: a row per line; row: one row alone"},
			{Name: "timeout", Default: "10 seconds", Doc: "for a request and its answer"},
			{Name: "secret", Doc: "key of the signature: Vigil-Signature is v1= and the HMAC-SHA256, in hexadecimal, of Vigil-Timestamp, a dot and the body"},
			{Name: "header.", Doc: "header.NAME: a header of each request"},
		},
		Secrets: []string{"secret", "header.", "url"},
		Batch:   100,
		Check:   func(o connector.SinkOptions) error { _, err := newWebhook(o); return err },
		Target: func(o connector.SinkOptions) string {
			// The path, too, may be a secret: many services tell their customers apart by it.
			if u, err := url.Parse(o.Params["url"]); err == nil {
				return u.Scheme + "://" + u.Host
			}
			return ""
		},
	}
	d.Params = append(d.Params, connector.TLSParams...)
	d.New = func(o connector.SinkOptions) (connector.Sink, error) { return newWebhook(o) }
	return d
}

// answerMax bounds what is read of an answer, bytes; reasonMax what is kept of it.
const (
	answerMax = 64 << 10
	reasonMax = 200
)

// webhook is the Sink.
type webhook struct {
	url     *url.URL
	body    string
	timeout time.Duration
	secret  []byte
	headers http.Header
	trust   connector.TLSFiles
	content string
	server  string
	client  *http.Client
	buf     []byte
}

var _ connector.Sink = (*webhook)(nil)

func newWebhook(o connector.SinkOptions) (*webhook, error) {
	v := &connector.Values{Connector: "http", Params: o.Params}
	w := &webhook{body: v.OneOf("body", "array", "lines", "row"), timeout: v.Duration("timeout", 10*time.Second, time.Millisecond, time.Hour),
		secret: []byte(v.Text("secret", "")), headers: http.Header{}, trust: v.TLS()}
	text := v.Needed("url")
	if v.Err != nil {
		return nil, v.Err
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, `option "url" of connector http must be a URL of http or https`).WithHint("Write url = 'https://host/path'.")
	}
	if u.Scheme == "http" && w.trust != (connector.TLSFiles{}) {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector http reads tls_ca, tls_cert and tls_key with a URL of https only")
	}
	w.url, w.server = u, o.Server
	switch w.content = o.ContentType; {
	case w.content == "application/json" && w.body == "lines":
		w.content = "application/x-ndjson"
	case w.content != "application/json" && w.body == "array":
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "body = 'array' is for FORMAT JSON").WithHint("Use body = 'lines' or 'row'.")
	}
	for k, value := range o.Params {
		name, ok := strings.CutPrefix(k, "header.")
		if !ok {
			continue
		}
		if !validHeader(name, value) {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, `option "%s" of connector http is no header`, k).WithHint("Names are of letters, digits and dashes; values are one line.")
		}
		w.headers.Set(name, value)
	}
	return w, nil
}

func validHeader(name, value string) bool {
	for _, c := range name {
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return !strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
}

// Open implements connector.Sink. Connections are made when there are rows.
func (w *webhook) Open(_ context.Context, at connector.SinkPosition) (connector.SinkPosition, error) {
	config, err := w.trust.Config()
	if err != nil {
		return at, err
	}
	w.client = &http.Client{Timeout: w.timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{TLSClientConfig: config, MaxIdleConns: 1, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}}
	return at, nil
}

// Close implements connector.Sink.
func (w *webhook) Close() error {
	if w.client != nil {
		w.client.CloseIdleConnections()
		w.client = nil
	}
	return nil
}

// Deliver implements connector.Sink.
func (w *webhook) Deliver(ctx context.Context, rows []connector.SinkRow) (connector.Delivery, error) {
	var d connector.Delivery
	size := len(rows)
	if w.body == "row" {
		size = 1
	}
	for d.Done < len(rows) {
		if err := w.some(ctx, rows, d.Done, min(d.Done+size, len(rows)), &d); err != nil {
			return d, err
		}
	}
	return d, nil
}

// some sends rows[from:to]. When the target says that they are at fault, it sends half of them, and so on, until it is known which are.
func (w *webhook) some(ctx context.Context, rows []connector.SinkRow, from, to int, d *connector.Delivery) error {
	refused, err := w.send(ctx, rows[from:to])
	switch {
	case err != nil:
		return err
	case refused == nil:
		d.Done = to
		return nil
	case to-from == 1:
		refused.Row = from
		d.Dead, d.Done = append(d.Dead, *refused), to
		return nil
	}
	middle := (from + to) / 2
	if err := w.some(ctx, rows, from, middle, d); err != nil {
		return err
	}
	return w.some(ctx, rows, middle, to, d)
}

// send makes one request. refused: the target will never take these rows.
func (w *webhook) send(ctx context.Context, rows []connector.SinkRow) (refused *connector.DeadLetter, err error) {
	w.encode(rows)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url.String(), bytes.NewReader(w.buf))
	if err != nil {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the URL of the sink cannot be used")
	}
	for name, values := range w.headers {
		req.Header[name] = values
	}
	if req.Header.Get("Content-Type") == "" {
		req.Header.Set("Content-Type", w.content)
	}
	first, last := rows[0].ID, rows[len(rows)-1].ID
	req.Header.Set("User-Agent", "vigil")
	req.Header.Set("Vigil-Server", w.server)
	req.Header.Set("Idempotency-Key", w.server+":"+first+"-"+last[strings.IndexByte(last, ':')+1:])
	req.Header.Set("Vigil-First-Id", first)
	req.Header.Set("Vigil-Last-Id", last)
	if len(w.secret) > 0 {
		stamp := strconv.FormatInt(time.Now().Unix(), 10)
		mac := hmac.New(sha256.New, w.secret)
		mac.Write(append([]byte(stamp), '.'))
		mac.Write(w.buf)
		req.Header.Set("Vigil-Timestamp", stamp)
		req.Header.Set("Vigil-Signature", "v1="+hex.EncodeToString(mac.Sum(nil)))
	}
	res, err := w.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, which may hold a secret
		}
		return nil, sqlerr.New(sqlerr.ConnectionFailure, "POST to %s: %v", w.url.Host, err)
	}
	answer, readErr := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err := errors.Join(readErr, res.Body.Close()); err != nil && res.StatusCode/100 != 2 {
		return nil, sqlerr.New(sqlerr.ConnectionFailure, "POST to %s: %v", w.url.Host, err)
	}
	return w.judge(res, answer)
}

// encode makes the body of a request.
func (w *webhook) encode(rows []connector.SinkRow) {
	w.buf = w.buf[:0]
	if w.body == "array" {
		w.buf = append(w.buf, '[')
	}
	for i, r := range rows {
		if i > 0 && w.body == "array" {
			w.buf = append(w.buf, ',')
		}
		w.buf = append(w.buf, r.Body...)
		if w.body == "lines" {
			w.buf = append(w.buf, '\n')
		}
	}
	if w.body == "array" {
		w.buf = append(w.buf, ']')
	}
}

// again are the answers of 4xx that do not blame the rows: they can be sent when the target, or the sink's options, are put right.
var again = map[int]bool{401: true, 402: true, 403: true, 404: true, 405: true, 407: true, 408: true, 421: true, 423: true, 425: true, 426: true, 428: true,
	429: true, 431: true, 451: true}

// judge tells what an answer means.
func (w *webhook) judge(res *http.Response, answer []byte) (refused *connector.DeadLetter, err error) {
	if res.StatusCode/100 == 2 {
		return nil, nil
	}
	text := w.excerpt(answer)
	if res.StatusCode/100 == 4 && !again[res.StatusCode] {
		return &connector.DeadLetter{Code: strconv.Itoa(res.StatusCode), Reason: fmt.Sprintf("%s answered %s%s", w.url.Host, res.Status, text)}, nil
	}
	failed := sqlerr.New(sqlerr.ConnectionFailure, "%s answered %s%s", w.url.Host, res.Status, text)
	if after := retryAfter(res.Header.Get("Retry-After"), time.Now()); after > 0 {
		return nil, &connector.Retry{After: after, Err: failed}
	}
	return nil, failed
}

// excerpt is the beginning of an answer, without what the sink keeps secret.
func (w *webhook) excerpt(answer []byte) string {
	text := strings.ToValidUTF8(string(answer), "\uFFFD")
	text = strings.Join(strings.FieldsFunc(text, func(c rune) bool { return c <= ' ' || c == 0x7f }), " ")
	secrets := []string{string(w.secret), w.url.RequestURI(), w.url.User.String()}
	for _, values := range w.headers {
		secrets = append(secrets, values...)
	}
	for _, s := range secrets {
		if len(s) > 1 {
			text = strings.ReplaceAll(text, s, "********")
		}
	}
	if text == "" {
		return ""
	}
	if len(text) > reasonMax {
		cut := reasonMax
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + ".."
	}
	return ": " + text
}

// retryAfter reads a header of seconds or of a date.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32); err == nil {
		return time.Duration(max(n, 0)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return at.Sub(now)
	}
	return 0
}
