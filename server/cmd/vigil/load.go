package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/flow"
)

// loadCmd is vigil load.
type loadCmd struct {
	HTTP   string   `name:"http" help:"Address of the server." default:"127.0.0.1:8433"`
	Stream string   `arg:"" help:"Stream to load into."`
	Files  []string `arg:"" help:"Files in the stream's format: lines, captures (pcap, pcapng) or datagrams of NetFlow and IPFIX; .gz is decompressed." type:"existingfile"`
}

// loadPiece is how many bytes go into one request.
const loadPiece = 4 << 20

// Run posts the files in pieces that end between lines, or between packets, with a progress line, and prints the totals.
func (c *loadCmd) Run(ctx context.Context) error {
	l := &loader{ctx: ctx, url: "http://" + c.HTTP + "/v1/streams/" + url.PathEscape(c.Stream) + "/events", bar: newProgress(os.Stderr)}
	for _, f := range c.Files {
		if info, err := os.Stat(f); err == nil {
			l.bar.total += info.Size()
		}
	}
	for _, f := range c.Files {
		if err := l.file(f); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	l.bar.end(l.accepted + l.rejected)
	fmt.Printf("%d accepted, %d rejected\n", l.accepted, l.rejected)
	if l.rejected > 0 {
		fmt.Println("SELECT * FROM vigil.rejected shows the rejected ones with the reason.")
	}
	return nil
}

// loader posts pieces.
type loader struct {
	ctx                context.Context
	url                string
	bar                *progress
	accepted, rejected int64
}

func (l *loader) file(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	counted := &countingReader{r: f, n: &l.bar.done}
	var src io.Reader = counted
	if strings.HasSuffix(name, ".gz") {
		if src, err = gzip.NewReader(counted); err != nil {
			return err
		}
	}
	lines := bufio.NewReaderSize(src, 1<<20)
	switch head, _ := lines.Peek(4); { // an error comes again
	case flow.KindOf(head) != flow.Unknown:
		return flow.Cut(lines, loadPiece, l.post)
	case flow.IsExports(head):
		return flow.CutExports(lines, loadPiece, l.post)
	}
	return cutLines(lines, loadPiece, l.post)
}

// cutLines posts pieces that end behind a line or behind a message with octet counting, each the first place from size bytes on.
func cutLines(in *bufio.Reader, size int, post func([]byte) error) error {
	piece := make([]byte, 0, size+1<<20)
	var header zeekHeader
	counted := false // the record before was a message with octet counting
	for {
		head, _ := in.Peek(codec.SyslogCountedHead) // an error comes again
		frame := codec.SyslogCounted(head)
		if len(piece) >= size && (!counted || frame > 0) {
			if err := post(piece); err != nil {
				return err
			}
			piece = append(piece[:0], header.lines...)
		}
		var err error
		if counted = frame > 0; counted {
			piece, err = appendN(piece, in, frame)
		} else {
			piece, err = appendLine(piece, in, &header)
		}
		if errors.Is(err, io.EOF) {
			if len(piece) > header.repeated(piece) {
				return post(piece)
			}
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// appendN appends n bytes, or those that there are and io.EOF.
func appendN(piece []byte, in *bufio.Reader, n int) ([]byte, error) {
	at := len(piece)
	piece = append(piece, make([]byte, n)...)
	got, err := io.ReadFull(in, piece[at:])
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return piece[:at+got], err
}

// appendLine appends the next line.
func appendLine(piece []byte, in *bufio.Reader, header *zeekHeader) ([]byte, error) {
	for {
		line, err := in.ReadSlice('\n')
		piece = append(piece, line...)
		header.add(line)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return piece, err
		}
	}
}

// zeekHeader keeps the header lines of a tab-separated Zeek log: each piece must begin with them.
type zeekHeader struct {
	lines []byte
	done  bool
}

// zeekHeaderMax bounds the header, bytes.
const zeekHeaderMax = 64 << 10

// add takes the file's next line.
func (h *zeekHeader) add(line []byte) {
	if len(h.lines) == 0 && !bytes.HasPrefix(line, []byte("#separator ")) || !bytes.HasPrefix(line, []byte("#")) || len(h.lines)+len(line) > zeekHeaderMax {
		h.done = true
	}
	if !h.done {
		h.lines = append(h.lines, line...)
	}
}

// repeated is how much of a piece is a header that stood in the piece before.
func (h *zeekHeader) repeated(piece []byte) int {
	if h.done && len(piece) == len(h.lines) {
		return len(piece)
	}
	return 0
}

// answer is what the server says to a piece.
type answer struct {
	Accepted, Rejected int64
	Error              struct{ Message, Hint string }
}

// post sends one piece; while the server is overloaded it waits and tries again.
func (l *loader) post(piece []byte) error {
	for {
		req, err := http.NewRequestWithContext(l.ctx, http.MethodPost, l.url, bytes.NewReader(piece))
		if err != nil {
			return err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("%w (is vigil serve running?)", err)
		}
		var a answer
		err = json.NewDecoder(res.Body).Decode(&a)
		_ = res.Body.Close() // it has been read
		switch {
		case res.StatusCode == http.StatusTooManyRequests:
			select {
			case <-time.After(time.Second):
				continue
			case <-l.ctx.Done():
				return l.ctx.Err()
			}
		case res.StatusCode != http.StatusOK && a.Error.Message != "":
			return fmt.Errorf("the server refused: %s (%s)", a.Error.Message, a.Error.Hint)
		case res.StatusCode != http.StatusOK:
			return fmt.Errorf("the server answered %s", res.Status)
		case err != nil:
			return err
		}
		l.accepted += a.Accepted
		l.rejected += a.Rejected
		l.bar.show(l.accepted + l.rejected)
		return nil
	}
}

// countingReader counts what passes.
type countingReader struct {
	r io.Reader
	n *int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	*c.n += int64(n)
	return n, err
}
