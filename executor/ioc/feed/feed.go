// Package feed reads feeds of indicators: plain lines, CSV, JSON lines, STIX 2.1, MISP events and warning lists, netsets. It
// makes a stream of entries for a list of one type, their values canonical, and of what it refuses, with the line and the
// reason. Memory is bounded whatever comes. Where feeds come from, and what becomes of the entries, is the caller's.
package feed

import (
	"bufio"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Entry is an indicator. Value is canonical (ioc.Normalize); what the feed does not say of it is zero, but Confidence -1.
type Entry struct {
	Value      string
	Source     string
	Confidence int64
	Tags       []string
	// FirstSeen is when the source saw it first; from Expires on it is not valid any more.
	FirstSeen, Expires types.EventTime
	// Line is where in the feed it begins, from 1 on.
	Line int64
}

// Refusal is what is left out of a feed because it is wrong. Err tells the reason and does not repeat the line.
type Refusal struct {
	Line int64
	// Raw is what was there, at most rawMax bytes of it.
	Raw string
	Err error
}

// Options say how to read a feed.
type Options struct {
	// Format is one of Formats.
	Format string
	// Kind is the type of the list that the entries are for.
	Kind string
	// Source is that of entries whose feed names none.
	Source string
	// Columns names the fields of CSV that has no header; Delimiter stands between them, 0: a comma.
	Columns   []string
	Delimiter byte
	// BytesMax bounds the feed's size, uncompressed; 0: bytesMax.
	BytesMax int64
}

// Stats count what was in a feed.
type Stats struct {
	Entries, Refused int64
	// OtherType counts indicators that say themselves that they are of a type which the list does not hold, Inactive those
	// that are revoked, deleted or not meant for detection.
	OtherType, Inactive int64
}

// Sink takes what a feed has, in order. An error ends the reading. Entries and their tags may be kept.
type Sink struct {
	Entry   func(Entry) error
	Refused func(Refusal) error
}

// bytesMax bounds a feed, rawMax what a refusal shows.
const (
	bytesMax = 4 << 30
	rawMax   = 256
)

// format is a way to write feeds.
type format struct {
	name, doc string
	read      func(*reader) error
}

func formats() []format {
	return []format{
		{"lines", "one value a line; # begins a comment", (*reader).lines},
		{"csv", "fields with a header: value, type, source, confidence, tags, first_seen, expires_at, or their usual other names", (*reader).csv},
		{"jsonl", "one JSON object a line, with keys as csv has columns, or one string", (*reader).jsonl},
		{"stix", "STIX 2.1 bundles: the patterns of their indicators", (*reader).stix},
		{"misp", "MISP events, the attributes for detection (to_ids), and MISP warning lists", (*reader).misp},
		{"netset", "addresses, networks and ranges, one a line, as FireHOL and ipset write them", (*reader).netset},
	}
}

// Formats names the formats.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// reader is a feed that is being read.
type reader struct {
	in    *bufio.Reader
	o     Options
	sink  Sink
	stats Stats
}

// Read reads a feed to its end; it may be compressed with gzip. An error is one of the input, of its form as a whole, or the
// sink's; what came before it has been given to the sink.
func Read(r io.Reader, o Options, sink Sink) (Stats, error) {
	max := o.BytesMax
	if max == 0 {
		max = bytesMax
	}
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		z, err := gzip.NewReader(in)
		if err != nil {
			return Stats{}, damaged("the feed is compressed, but not as gzip has it: %v", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	f := &reader{in: bufio.NewReaderSize(&bounded{r: in, left: max, max: max}, lineMax), o: o, sink: sink}
	for _, known := range formats() {
		if known.name == o.Format {
			err := known.read(f)
			return f.stats, err
		}
	}
	return Stats{}, sqlerr.New(sqlerr.InvalidParameterValue, "feed format %q does not exist", o.Format).
		WithHint("The formats are %s.", strings.Join(Formats(), ", "))
}

func damaged(format string, args ...any) error {
	return sqlerr.New(sqlerr.DataException, format, args...)
}

// bounded ends with an error after a number of bytes.
type bounded struct {
	r         io.Reader
	left, max int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		var one [1]byte
		if n, err := b.r.Read(one[:]); n == 0 {
			return 0, err
		}
		return 0, sqlerr.New(sqlerr.ProgramLimitExceeded, "the feed is larger than %d bytes", b.max)
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	if _, told := errors.AsType[*sqlerr.Error](err); err != nil && !told && !errors.Is(err, io.EOF) {
		err = damaged("the feed cannot be read: %v", err)
	}
	return n, err
}

// emit gives an entry whose value is as the feed has it. kind is what the feed says that it is, "" when it does not say.
func (f *reader) emit(e Entry, kind string) error {
	if kind != "" && !fits(kind, f.o.Kind) {
		f.stats.OtherType++
		return nil
	}
	v, err := ioc.Normalize(f.o.Kind, e.Value)
	if err != nil {
		return f.refuse(e.Line, e.Value, err)
	}
	e.Value = v
	if e.Source == "" {
		e.Source = f.o.Source
	}
	f.stats.Entries++
	return f.sink.Entry(e)
}

// fits reports that a list holds indicators of a type, or may hold them.
func fits(kind, list string) bool {
	return kind == list || list == ioc.Text || kind == ioc.IP && list == ioc.CIDR || kind == ioc.CIDR && list == ioc.IP
}

func (f *reader) refuse(line int64, raw string, err error) error {
	f.stats.Refused++
	if len(raw) > rawMax {
		raw = raw[:rawMax]
	}
	if !utf8.ValidString(raw) {
		raw = strings.ToValidUTF8(raw, "\ufffd")
	}
	return f.sink.Refused(Refusal{Line: line, Raw: strings.Clone(raw), Err: err})
}

func refusal(format string, args ...any) error {
	return sqlerr.New(sqlerr.InvalidTextRepresentation, format, args...)
}
