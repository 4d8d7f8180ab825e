package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	headerBytes    = 16
	segmentMagic   = "vigilog"
	segmentVersion = 1
	segmentSuffix  = ".log"
	sidecarSuffix  = ".idx"
	tempSuffix     = ".tmp"
	nameDigits     = 20

	// rebuildMax bounds how many sealed segments without a usable sidecar Open reads for their keys and last arrival.
	rebuildMax = 4
)

func segmentName(base int64) string { return fmt.Sprintf("%0*d%s", nameDigits, base, segmentSuffix) }
func sidecarName(base int64) string { return fmt.Sprintf("%0*d%s", nameDigits, base, sidecarSuffix) }

// Open opens the log in o.Dir, making it where it does not exist, and repairs what a crash left behind. A directory is used
// by one Log at a time; the caller sees to that.
func Open(o Options) (*Log, error) {
	if o.FS == nil {
		o.FS = OS()
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = segmentBytesDefault
	}
	o.SegmentBytes = max(o.SegmentBytes, segmentBytesMin)
	l := &Log{o: o, room: make(chan struct{}), wake: make(chan struct{}), pending: map[string]*request{}}
	if err := l.open(); err != nil {
		if l.active != nil {
			err = errors.Join(err, l.active.Close())
		}
		return nil, fmt.Errorf("open event log %s: %w", o.Dir, err)
	}
	return l, nil
}

func (l *Log) open() error {
	if err := l.o.FS.MkdirAll(l.o.Dir); err != nil {
		return err
	}
	bases, err := l.listSegments()
	if err != nil {
		return err
	}
	if n := len(bases); n > 0 {
		dropped, err := l.dropUnborn(bases[n-1])
		if err != nil {
			return err
		}
		if dropped && n == 1 {
			return l.roll(bases[0])
		}
		if dropped {
			bases = bases[:n-1]
		}
	}
	if len(bases) == 0 {
		return l.roll(0)
	}
	for i, base := range bases {
		s, err := l.loadSegment(base)
		if err != nil {
			return err
		}
		if i+1 < len(bases) {
			s.size = min(s.size, bases[i+1]-base)
		}
		l.segments = append(l.segments, s)
	}
	if err := l.loadSealed(); err != nil {
		return err
	}
	return l.recoverLast()
}

// listSegments returns the base offsets in order. It removes what an interrupted write or removal left: temporary files and
// sidecars without a segment.
func (l *Log) listSegments() ([]int64, error) {
	names, err := l.o.FS.List(l.o.Dir)
	if err != nil {
		return nil, err
	}
	var bases []int64
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, segmentSuffix)
		if !ok || len(digits) != nameDigits {
			continue
		}
		base, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || base < 0 {
			return nil, fmt.Errorf("%w: file name %s", ErrFormat, name)
		}
		bases = append(bases, base)
	}
	for _, name := range names {
		digits, isSidecar := strings.CutSuffix(name, sidecarSuffix)
		lone := isSidecar && len(digits) == nameDigits && !slices.Contains(names, digits+segmentSuffix)
		if lone || strings.HasSuffix(name, sidecarSuffix+tempSuffix) || strings.HasSuffix(name, segmentSuffix+tempSuffix) {
			if err := l.o.FS.Remove(filepath.Join(l.o.Dir, name)); err != nil {
				return nil, err
			}
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// dropUnborn removes the last segment when its header was never completed: then it never held an acknowledged record.
func (l *Log) dropUnborn(base int64) (bool, error) {
	name := filepath.Join(l.o.Dir, segmentName(base))
	f, err := l.o.FS.OpenRead(name)
	if err != nil {
		return false, err
	}
	headerErr := checkHeader(f, base)
	size, err := f.Size()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	switch {
	case err != nil:
		return false, err
	case headerErr == nil:
		return false, nil
	case errors.Is(headerErr, errTorn) && size <= headerBytes:
		return true, l.o.FS.Remove(name)
	case errors.Is(headerErr, errTorn):
		return false, fmt.Errorf("segment %s has a damaged header and %d bytes of records; move it away to go on without it",
			segmentName(base), size-headerBytes)
	}
	return false, fmt.Errorf("segment %s: %w", segmentName(base), headerErr)
}

// loadSegment notes the file's size. A damaged header is left to the readers, which report it and go on; a version that we do not
// know is refused.
func (l *Log) loadSegment(base int64) (*segment, error) {
	f, err := l.o.FS.OpenRead(filepath.Join(l.o.Dir, segmentName(base)))
	if err != nil {
		return nil, err
	}
	headerErr := checkHeader(f, base)
	size, err := f.Size()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	if headerErr != nil && !errors.Is(headerErr, errTorn) {
		return nil, fmt.Errorf("segment %s: %w", segmentName(base), headerErr)
	}
	return &segment{base: base, size: max(0, size-headerBytes)}, nil
}

func checkHeader(f File, base int64) error {
	var header [headerBytes]byte
	if n, err := f.ReadAt(header[:], 0); n < headerBytes {
		if err == io.EOF {
			return torn("header of %d bytes", n)
		}
		return err
	}
	if string(header[:7]) != segmentMagic {
		return torn("header %x", header)
	}
	if header[7] != segmentVersion {
		return fmt.Errorf("%w: it has format version %d, this vigil reads version %d", ErrFormat, header[7], segmentVersion)
	}
	if got := int64(binary.LittleEndian.Uint64(header[8:])); got != base {
		return torn("header names offset %d", got)
	}
	return nil
}

// createSegment makes a segment file whose header and name are durable. It takes the place of one that has the name already, at once: what a
// failed attempt left is not trusted.
func createSegment(o Options, base int64) (File, error) {
	name := filepath.Join(o.Dir, segmentName(base))
	if err := remove(o.FS, name+tempSuffix); err != nil {
		return nil, fmt.Errorf("create event log segment %s: %w", name, err)
	}
	f, err := o.FS.Create(name + tempSuffix)
	if err != nil {
		return nil, fmt.Errorf("create event log segment: %w", err)
	}
	header := append([]byte(segmentMagic), segmentVersion)
	header = binary.LittleEndian.AppendUint64(header, uint64(base))
	_, err = f.WriteAt(header, 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = o.FS.Rename(name+tempSuffix, name)
	}
	if err == nil {
		err = o.FS.SyncDir(o.Dir)
	}
	if err != nil {
		_ = f.Close() // the first error is the one to tell
		return nil, fmt.Errorf("create event log segment %s: %w", name, err)
	}
	return f, nil
}

// remove removes a file that need not be there.
func remove(disk FS, name string) error {
	if err := disk.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// loadSealed reads the sidecars, oldest first, so that the keys come in order; of those missing, the newest few are rebuilt.
func (l *Log) loadSealed() error {
	sealed := l.segments[:len(l.segments)-1]
	cars := make([]*sidecar, len(l.segments))
	missing := 0
	for i := len(l.segments) - 1; i >= 0; i-- {
		s := l.segments[i]
		car, err := l.readSidecar(s.base)
		if err != nil {
			return err
		}
		if car != nil && car.end != s.size {
			car.sealed = false // written before the last records were
		}
		if i < len(sealed) && (car == nil || !car.sealed) {
			if missing++; missing <= rebuildMax {
				if car, err = l.rebuild(s, car); err != nil {
					return err
				}
			}
		}
		cars[i] = car
	}
	for i, car := range cars {
		s := l.segments[i]
		if car != nil {
			s.times.load(car.times, s.end())
			s.checked.load(car.checked, s.end())
			s.lastArrival = car.lastArrival
		}
		if i == len(sealed) {
			break
		}
		if car == nil || !car.sealed {
			arrival, err := l.firstArrival(l.segments[i+1])
			if err != nil {
				return err
			}
			s.lastArrival = arrival
			continue
		}
		for _, k := range car.keys {
			l.keys.add(k.key, k.Span)
		}
	}
	durable := int64(0)
	if car := cars[len(sealed)]; car != nil {
		durable = car.end
	}
	return l.scanLast(durable)
}

// rebuild makes the sidecar of a sealed segment from its records, keeping the time ranges that an unsealed one has.
func (l *Log) rebuild(s *segment, old *sidecar) (*sidecar, error) {
	car := &sidecar{base: s.base, end: s.size, sealed: true}
	if old != nil {
		car.times, car.checked = old.times, old.checked
	}
	_, err := l.scanSegment(s, func(b *body, at Span) {
		car.lastArrival = max(car.lastArrival, b.arrival)
		if len(b.key) > 0 {
			car.keys = append(car.keys, keySpan{string(b.key), at})
		}
	})
	s.dirty = true
	return car, err
}

// firstArrival is the arrival of the first record, the bound of what came before it; 0 when there is none.
func (l *Log) firstArrival(s *segment) (int64, error) {
	f, err := l.o.FS.OpenRead(filepath.Join(l.o.Dir, segmentName(s.base)))
	if err != nil {
		return 0, err
	}
	w := window{f: f}
	var arrival int64
	rec, err := w.record(headerBytes, headerBytes+s.size, false)
	if err == nil {
		var b body
		if b, err = decodeRecord(rec); err == nil {
			arrival = b.arrival
		}
	}
	if errors.Is(err, errTorn) {
		err = nil
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return arrival, err
}

// scanned is what a scan found: good is the end of the last whole append, bad where reading stopped (equal to good when all
// of the file was whole).
type scanned struct {
	good, bad int64
	reason    error
	// follows: another whole record stands behind the bad one.
	follows bool
}

// scanSegment reads the records of s and calls fn for the first record of each whole append, with the span of the append.
func (l *Log) scanSegment(s *segment, fn func(b *body, at Span)) (scanned, error) {
	f, err := l.o.FS.OpenRead(filepath.Join(l.o.Dir, segmentName(s.base)))
	if err != nil {
		return scanned{}, err
	}
	found, err := scanRecords(&window{f: f}, s, fn)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return found, err
}

func scanRecords(w *window, s *segment, fn func(b *body, at Span)) (scanned, error) {
	limit := headerBytes + s.size
	found := scanned{good: s.base, bad: s.base}
	var first body // of the append being read
	var key []byte
	inside := false
	for pos := int64(headerBytes); pos < limit; {
		rec, err := w.record(pos, limit, false)
		var b body
		if err == nil {
			b, err = decodeRecord(rec)
		}
		if errors.Is(err, errTorn) {
			found.reason = err
			found.follows, err = followed(w, pos, limit)
			return found, err
		}
		if err != nil {
			return found, err
		}
		pos += int64(len(rec))
		if !inside {
			key = append(key[:0], b.key...)
			first = b
		}
		first.arrival = max(first.arrival, b.arrival)
		inside = b.kind == kindMore
		found.bad = s.base + pos - headerBytes
		if !inside {
			first.key, first.payload, first.codec, first.columns = key, nil, nil, nil
			fn(&first, Span{found.good, found.bad})
			found.good = found.bad
		}
	}
	if inside {
		found.reason = torn("append without its last record")
	}
	return found, nil
}

// followed reports whether a whole record stands where the damaged one at pos says that it ends.
func followed(w *window, pos, limit int64) (bool, error) {
	header, err := w.peek(pos, recordHeader, limit)
	if err != nil {
		return false, ignoreTorn(err)
	}
	n, err := bodyLength(header)
	if err != nil {
		return false, nil
	}
	rec, err := w.record(pos+recordHeader+int64(n), limit, false)
	if err != nil {
		return false, ignoreTorn(err)
	}
	_, err = decodeRecord(rec)
	return err == nil, nil
}

func ignoreTorn(err error) error {
	if errors.Is(err, errTorn) {
		return nil
	}
	return err
}

// scanLast reads the last segment; durable is how much of it is known to have been acknowledged.
func (l *Log) scanLast(durable int64) error {
	s := l.last()
	found, err := l.scanSegment(s, func(b *body, at Span) {
		s.lastArrival = max(s.lastArrival, b.arrival)
		if len(b.key) > 0 {
			l.keys.add(string(b.key), at)
		}
	})
	if err != nil {
		return err
	}
	if found.reason == nil && s.size < durable {
		found.reason = torn("the file has %d bytes of records, %d were acknowledged", s.size, durable)
	}
	l.tail = found
	l.tailDamaged = found.follows || found.bad < s.base+durable
	l.nextBase = s.base + max(s.size, durable)
	return nil
}

// recoverLast opens the last segment for writing and cuts its tail, or leaves a damaged file alone and begins another.
func (l *Log) recoverLast() error {
	s := l.last()
	f, err := l.o.FS.Open(filepath.Join(l.o.Dir, segmentName(s.base)))
	if err != nil {
		return err
	}
	l.active = f
	if l.tailDamaged {
		l.metrics.Corrupt++
		l.warn("event log is damaged; what follows in this segment is not read",
			"segment", segmentName(s.base), "offset", l.tail.bad, "reason", l.tail.reason)
		return l.roll(l.nextBase)
	}
	if whole := l.tail.good - s.base; whole < s.size {
		l.metrics.TornBytes += s.size - whole
		l.warn("event log: cut an incomplete write that was never acknowledged",
			"segment", segmentName(s.base), "offset", l.tail.good, "bytes", s.size-whole)
		if err := f.Truncate(headerBytes + whole); err != nil {
			return err
		}
		s.size = whole
		s.times.load(s.times.ranges, s.end())
		s.checked.load(s.checked, s.end())
	}
	// After the death of the process alone, the tail may be in the page cache only; it is served from now on.
	return f.Sync()
}
