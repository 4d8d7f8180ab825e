package sink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/kv"
)

// Builtins returns the sinks of this package. Those that need a client library are SinkDefs of their own packages.
func Builtins() []connector.SinkDef { return []connector.SinkDef{fileDef(), httpDef(), syslogDef()} }

func fileDef() connector.SinkDef {
	d := connector.SinkDef{
		Name: "file",
		Doc: "Appends a line per row to a file, which is begun anew when it is large or old. Each row is there once, also after a crash: what a " +
			"crash left half-written is cut off. The file belongs to the sink: what others append to it may be lost.",
		Params: []connector.Param{
			{Name: "path", Doc: "absolute path of the file; its directory must be there"},
			{Name: "rotate_size", Default: "100MB", Doc: "a file of this size is given a number (name-000001.json), and a new one begun; none: never"},
			{Name: "rotate_age", Default: "none", Doc: "the same for one that was begun so long ago, when the next row comes"},
			{Name: "keep", Default: "0", Doc: "how many files with numbers are kept, the newest; 0: all"},
		},
		Exclusive: true,
		Batch:     1000,
		Target:    func(o connector.SinkOptions) string { return filepath.Clean(o.Params["path"]) },
		Check:     func(o connector.SinkOptions) error { _, err := newFile(o); return err },
		Probe:     probeFile,
	}
	d.New = func(o connector.SinkOptions) (connector.Sink, error) { return newFile(o) }
	return d
}

// fileVersion is the version of the state of a file sink: docs/formats/kv.md.
const fileVersion = 1

// fileState is how much of which file counts.
type fileState struct {
	// number is the one that the file will have when it is full; size are the bytes of it that count.
	number, size uint64
	begun        uint64 // seconds
	// path is the file that this is about: ALTER SINK may name another.
	path string
}

func (st fileState) encode() []byte {
	dst := []byte{fileVersion}
	for _, n := range []uint64{st.number, st.size, st.begun} {
		dst = binary.AppendUvarint(dst, n)
	}
	return append(dst, st.path...)
}

func decodeFileState(b []byte) (st fileState, err error) {
	if err := kv.CheckVersion("the state of a file sink", b, fileVersion); err != nil {
		return st, err
	}
	rest := b[1:]
	for _, p := range []*uint64{&st.number, &st.size, &st.begun} {
		v, n := binary.Uvarint(rest)
		if n <= 0 || v >= 1<<62 {
			return st, fmt.Errorf("the state of a file sink cannot be read: %x", b)
		}
		*p, rest = v, rest[n:]
	}
	st.path = string(rest)
	return st, nil
}

// file is the Sink.
type file struct {
	path       string
	rotateSize uint64 // 0: never
	rotateAge  time.Duration
	keep       uint64
	f          *os.File
	state      fileState
	buf        []byte
}

var _ connector.Sink = (*file)(nil)

func newFile(o connector.SinkOptions) (*file, error) {
	v := &connector.Values{Connector: "file", Params: o.Params}
	f := &file{path: v.Needed("path"), rotateSize: uint64(v.Size("rotate_size", 100<<20, 1<<10)),
		rotateAge: v.Duration("rotate_age", 0, 0, 10*365*24*time.Hour), keep: uint64(v.Int("keep", 0, 0, 1_000_000))}
	if v.Err != nil {
		return nil, v.Err
	}
	if !filepath.IsAbs(f.path) || strings.HasSuffix(f.path, string(filepath.Separator)) || strings.ContainsRune(f.path, 0) {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "the path of a sink must be the absolute path of a file, not %q", f.path).
			WithHint("It is a file of the machine that the server runs on.")
	}
	f.path = filepath.Clean(f.path)
	return f, nil
}

// probeFile looks at the place of a new sink's file: another's is not overwritten.
func probeFile(o connector.SinkOptions) error {
	f, err := newFile(o)
	if err != nil {
		return err
	}
	if dir, err := os.Stat(filepath.Dir(f.path)); err != nil || !dir.IsDir() {
		return sqlerr.New(sqlerr.InvalidParameterValue, "%q is not a directory that the server can see", filepath.Dir(f.path)).
			WithHint("Make it; the user that the server runs as must be allowed to write there.")
	}
	for _, p := range []string{f.path, f.numbered(1)} {
		info, err := os.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return sqlerr.New(sqlerr.IOError, "could not look at %q: %v", p, err)
		case !info.Mode().IsRegular():
			return sqlerr.New(sqlerr.WrongObjectType, "%q is not a regular file", p)
		case info.Size() > 0 || p != f.path:
			return sqlerr.New(sqlerr.DuplicateFile, "file %q exists", p).WithHint("Choose another path, or move the file away: a sink begins a file of its own.")
		}
	}
	return nil
}

// numbered is the name of a full file.
func (f *file) numbered(n uint64) string {
	ext := filepath.Ext(f.path)
	return fmt.Sprintf("%s-%06d%s", strings.TrimSuffix(f.path, ext), n, ext)
}

// Open implements connector.Sink: it cuts off what was written and not acknowledged.
func (f *file) Open(_ context.Context, at connector.SinkPosition) (connector.SinkPosition, error) {
	if err := f.Close(); err != nil {
		return at, err
	}
	var err error
	if at.State != nil {
		if f.state, err = decodeFileState(at.State); err != nil {
			return at, err
		}
	}
	if f.state.path != f.path {
		f.state = fileState{}
		err := f.begin(1)
		at.State = f.state.encode()
		return at, err
	}
	moved, err := f.reopen()
	if err == nil && moved != "" {
		err = &connector.Moved{What: moved}
	}
	at.State = f.state.encode()
	return at, err
}

// reopen finds the file that the state speaks of; moved tells if somebody took it away, or shortened it.
func (f *file) reopen() (moved string, err error) {
	full := f.numbered(f.state.number)
	if _, err := os.Lstat(full); err == nil {
		// It got its number, and a crash came before that was noted. What is more than one ahead no crash explains.
		last := f.state.number
		for ; err == nil && last < f.state.number+1_000_000; last++ {
			_, err = os.Lstat(f.numbered(last + 1))
		}
		if last > f.state.number+1 {
			return f.overtaken(last)
		}
		if err := cut(full, f.state.size); err != nil {
			return "", err
		}
		return "", f.begin(f.state.number + 1)
	}
	f.f, err = os.OpenFile(f.path, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist) && f.state.size == 0:
		return "", f.begin(f.state.number)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("file %q, to which %d bytes had been written, is not there any more; the sink began a new one", f.path, f.state.size), f.begin(f.state.number + 1)
	case err != nil:
		return "", fmt.Errorf("open the sink's file: %w", err)
	}
	info, err := f.f.Stat()
	if err != nil {
		return "", fmt.Errorf("open the sink's file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%q is not a regular file any more", f.path)
	}
	if uint64(info.Size()) < f.state.size {
		moved = fmt.Sprintf("file %q has %d bytes, %d had been written to it: somebody cut it; the sink goes on at its end", f.path, info.Size(), f.state.size)
		f.state.size = uint64(info.Size())
	}
	if err := f.f.Truncate(int64(f.state.size)); err != nil {
		return "", fmt.Errorf("cut off what was not acknowledged: %w", err)
	}
	return moved, f.f.Sync()
}

// overtaken goes on behind files that are newer than what the server knows: it was brought back to an older state. Nothing of them is
// touched; last is the first number that is free.
func (f *file) overtaken(last uint64) (moved string, err error) {
	moved = fmt.Sprintf("file %q is newer than what the server knows of it, which was brought back to an older state: rows from byte %d of %q on are delivered again",
		f.numbered(last-1), f.state.size, f.numbered(f.state.number))
	if info, err := os.Lstat(f.path); err == nil && info.Size() > 0 {
		if err := os.Rename(f.path, f.numbered(last)); err != nil {
			return "", fmt.Errorf("put the sink's file aside: %w", err)
		}
		last++
	}
	return moved, f.begin(last)
}

func cut(path string, size uint64) error {
	info, err := os.Stat(path)
	if err != nil || uint64(info.Size()) <= size {
		return err
	}
	return os.Truncate(path, int64(size))
}

// begin makes an empty file with a number to come. One that is there was begun and not noted.
func (f *file) begin(number uint64) error {
	next, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("begin a file: %w", err)
	}
	info, err := next.Stat()
	if err == nil && f.state.number == 0 && info.Size() > 0 { // nothing is known of it: it is not the sink's
		err = sqlerr.New(sqlerr.DuplicateFile, "file %q exists, and is not of this sink", f.path).WithHint("Move it away.")
	}
	if err == nil {
		err = next.Truncate(0)
	}
	if err == nil {
		err = syncDir(filepath.Dir(f.path))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin a file: %w", err), next.Close())
	}
	f.f, f.state = next, fileState{number: number, begun: uint64(time.Now().Unix()), path: f.path}
	return nil
}

// syncDir makes names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Deliver implements connector.Sink.
func (f *file) Deliver(_ context.Context, rows []connector.SinkRow) (connector.Delivery, error) {
	none := connector.Delivery{State: f.state.encode()}
	if f.full() {
		if err := f.rotate(); err != nil {
			return none, err
		}
	}
	if err := f.unmoved(); err != nil {
		return none, err
	}
	f.buf = f.buf[:0]
	for _, r := range rows {
		f.buf = append(append(f.buf, r.Body...), '\n')
	}
	if _, err := f.f.WriteAt(f.buf, int64(f.state.size)); err != nil {
		return none, fmt.Errorf("write to the sink's file: %w", err)
	}
	if err := f.f.Sync(); err != nil {
		return none, fmt.Errorf("write to the sink's file: %w", err)
	}
	f.state.size += uint64(len(f.buf))
	return connector.Delivery{Done: len(rows), State: f.state.encode()}, nil
}

// unmoved sees that the name still stands for the file: else the rows would go where nobody looks.
func (f *file) unmoved() error {
	named, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("look at the sink's file: %w", err)
	}
	open, err := f.f.Stat()
	if err != nil {
		return fmt.Errorf("look at the sink's file: %w", err)
	}
	if !os.SameFile(named, open) {
		return fmt.Errorf("file %q is another one than before", f.path)
	}
	return nil
}

func (f *file) full() bool {
	if f.state.size == 0 {
		return false
	}
	age := time.Now().Unix() - int64(f.state.begun)
	return f.rotateSize > 0 && f.state.size >= f.rotateSize || f.rotateAge > 0 && age >= int64(f.rotateAge/time.Second)
}

// rotate gives the file its number and begins another. All of it counts by now, so that a crash on the way loses nothing: see reopen.
func (f *file) rotate() error {
	number, full := f.state.number, f.numbered(f.state.number)
	if err := f.unmoved(); err != nil {
		return err
	}
	if _, err := os.Lstat(full); err == nil {
		return fmt.Errorf("file %q exists, and the sink would write over it; move it away", full)
	}
	if err := os.Rename(f.path, full); err != nil {
		return fmt.Errorf("rotate the sink's file: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := f.begin(number + 1); err != nil {
		return err
	}
	if f.keep > 0 && number > f.keep {
		if err := os.Remove(f.numbered(number - f.keep)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove an old file of the sink: %w", err)
		}
	}
	return nil
}

// Close implements connector.Sink.
func (f *file) Close() error {
	if f.f == nil {
		return nil
	}
	err := f.f.Close()
	f.f = nil
	return err
}
