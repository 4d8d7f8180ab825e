package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
)

const (
	sidecarMagic   = "vigilix"
	sidecarVersion = 2
	// sidecarMax bounds what is read into memory; 100,000 keys of the longest kind fit.
	sidecarMax = 128 << 20
)

// sidecar is the content of a sidecar file.
type sidecar struct {
	base, end   int64 // end: durable bytes of records, counted from base
	sealed      bool
	lastArrival int64
	times       []timeRange
	checked     []Span
	keys        []keySpan
}

func (c *sidecar) encode() []byte {
	dst := append([]byte(sidecarMagic), sidecarVersion)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.base))
	dst = binary.AppendUvarint(dst, uint64(c.end))
	sealed := byte(0)
	if c.sealed {
		sealed = 1
	}
	dst = append(dst, sealed)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.lastArrival))
	dst = binary.AppendUvarint(dst, uint64(len(c.times)))
	for _, r := range c.times {
		dst = binary.AppendUvarint(dst, uint64(r.from-c.base))
		dst = binary.AppendUvarint(dst, uint64(r.to-c.base))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.min))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(r.max))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.checked)))
	for _, s := range c.checked {
		dst = binary.AppendUvarint(dst, uint64(s.From-c.base))
		dst = binary.AppendUvarint(dst, uint64(s.To-c.base))
	}
	dst = binary.AppendUvarint(dst, uint64(len(c.keys)))
	for _, k := range c.keys {
		dst = binary.AppendUvarint(dst, uint64(len(k.key)))
		dst = append(dst, k.key...)
		dst = binary.AppendUvarint(dst, uint64(k.From-c.base))
		dst = binary.AppendUvarint(dst, uint64(k.To-c.base))
	}
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst, castagnoli))
}

// fields reads numbers off a slice; after the first that does not fit, err is set and all are 0.
type fields struct {
	b   []byte
	err error
}

func (f *fields) uvarint(limit uint64) uint64 {
	if f.err != nil {
		return 0
	}
	v, rest, err := takeUvarint(f.b, limit)
	f.b, f.err = rest, err
	return v
}

func (f *fields) bytes(n int) []byte {
	if f.err == nil && n > len(f.b) {
		f.err = torn("%d bytes where %d are left", n, len(f.b))
	}
	if f.err != nil {
		return make([]byte, min(n, 8))
	}
	taken := f.b[:n]
	f.b = f.b[n:]
	return taken
}

func (f *fields) int64() int64 { return int64(binary.LittleEndian.Uint64(f.bytes(8))) }

// spans reads spans in order that do not touch.
func (f *fields) spans(base int64, offsetMax uint64) (out []Span) {
	at := base - 1
	for n := f.uvarint(uint64(len(f.b) / 2)); n > 0 && f.err == nil; n-- {
		s := Span{base + int64(f.uvarint(offsetMax)), base + int64(f.uvarint(offsetMax))}
		if s.From <= at || s.To <= s.From {
			f.err = torn("spans out of order")
			return nil
		}
		at = s.To
		out = append(out, s)
	}
	return out
}

func decodeSidecar(b []byte, base int64) (*sidecar, error) {
	const least = 8 + 8 + 1 + 1 + 8 + 1 + 1 + 4
	if len(b) < least || string(b[:7]) != sidecarMagic {
		return nil, torn("not a sidecar")
	}
	body := b[:len(b)-4]
	if binary.LittleEndian.Uint32(b[len(body):]) != crc32.Checksum(body, castagnoli) {
		return nil, torn("checksum does not match")
	}
	if b[7] < 1 || b[7] > sidecarVersion {
		return nil, fmt.Errorf("%w: a sidecar of the event log has format version %d, this vigil reads version 1 and %d", ErrFormat, b[7], sidecarVersion)
	}
	f := &fields{b: body[8:]}
	c := &sidecar{base: f.int64()}
	if c.base != base {
		return nil, torn("sidecar of offset %d", c.base)
	}
	const offsetMax = 1 << 62
	c.end = int64(f.uvarint(offsetMax))
	c.sealed = f.bytes(1)[0] == 1
	c.lastArrival = f.int64()
	at := base
	for n := f.uvarint(uint64(len(f.b) / 18)); n > 0 && f.err == nil; n-- {
		r := timeRange{from: base + int64(f.uvarint(offsetMax)), to: base + int64(f.uvarint(offsetMax)), min: f.int64(), max: f.int64()}
		if r.from < at || r.to <= r.from {
			return nil, torn("time ranges out of order")
		}
		at = r.to
		c.times = append(c.times, r)
	}
	if b[7] >= 2 {
		c.checked = f.spans(base, offsetMax)
	}
	for n := f.uvarint(uint64(len(f.b) / 3)); n > 0 && f.err == nil; n-- {
		key := string(f.bytes(int(f.uvarint(keyMax))))
		c.keys = append(c.keys, keySpan{key, Span{base + int64(f.uvarint(offsetMax)), base + int64(f.uvarint(offsetMax))}})
	}
	if f.err == nil && len(f.b) > 0 {
		f.err = torn("%d bytes too many", len(f.b))
	}
	return c, f.err
}

// readSidecar returns nil when there is none that can be used.
func (l *Log) readSidecar(base int64) (*sidecar, error) {
	f, err := l.o.FS.OpenRead(filepath.Join(l.o.Dir, sidecarName(base)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	size, err := f.Size()
	var b []byte
	if err == nil && size <= sidecarMax {
		b = make([]byte, size)
		var n int
		if n, err = f.ReadAt(b, 0); err == io.EOF {
			err = nil
		}
		b = b[:n]
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, err
	}
	car, err := decodeSidecar(b, base)
	if errors.Is(err, ErrFormat) {
		return nil, fmt.Errorf("%s: %w", sidecarName(base), err) // without its keys, what was acknowledged could count twice
	}
	if err != nil {
		l.warn("event log: a sidecar file cannot be used", "file", sidecarName(base), "reason", err)
		return nil, nil
	}
	return car, nil
}

// writeSidecars writes those that are behind. It is called with side held, and takes mu.
func (l *Log) writeSidecars() error {
	l.mu.Lock()
	var cars []*sidecar
	for i, s := range l.segments {
		if !s.dirty {
			continue
		}
		car := &sidecar{
			base: s.base, end: s.size, sealed: i+1 < len(l.segments), lastArrival: s.lastArrival,
			times: append([]timeRange(nil), s.times.ranges...), checked: append([]Span(nil), s.checked...),
		}
		if car.sealed {
			car.keys = l.keys.within(s.base, s.end())
		}
		cars = append(cars, car)
		s.dirty = false
	}
	l.mu.Unlock()
	var errs []error
	for _, car := range cars {
		if err := l.writeSidecar(car); err != nil {
			errs = append(errs, err)
			l.retrySidecar(car.base)
		}
	}
	return errors.Join(errs...)
}

func (l *Log) retrySidecar(base int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metrics.SidecarErrors++
	for _, s := range l.segments {
		if s.base == base {
			s.dirty = true
		}
	}
}

func (l *Log) writeSidecar(car *sidecar) error {
	name := filepath.Join(l.o.Dir, sidecarName(car.base))
	f, err := l.o.FS.Create(name + tempSuffix)
	if err != nil {
		return fmt.Errorf("write event log index: %w", err)
	}
	if _, err = f.WriteAt(car.encode(), 0); err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = l.o.FS.Rename(name+tempSuffix, name)
	}
	if err == nil {
		err = l.o.FS.SyncDir(l.o.Dir)
	}
	if err != nil {
		return fmt.Errorf("write event log index %s: %w", name, err)
	}
	return nil
}
