package eventlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// FS is the little that a log needs of a file system. OS is the disk; MemFS is a disk in memory that can lose power.
type FS interface {
	MkdirAll(dir string) error
	// List returns the names in dir, in any order.
	List(dir string) ([]string, error)
	// Create makes an empty file for reading and writing, cutting one that exists.
	Create(name string) (File, error)
	// Open opens for reading and writing.
	Open(name string) (File, error)
	// OpenRead opens for reading only.
	OpenRead(name string) (File, error)
	Remove(name string) error
	Rename(from, to string) error
	// Link gives a file another name, which must not exist; ErrNoLink where files have one name each, or not across from and to.
	Link(from, to string) error
	// SyncDir makes the names in dir durable.
	SyncDir(dir string) error
}

// File is an open file. Reads and writes at different places may run at once.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Sync makes what was written durable.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
}

// OS is the disk.
func OS() FS { return osFS{} }

type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, 0o700) }

func (osFS) List(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return names, err
}

func (osFS) Create(name string) (File, error)   { return openOS(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC) }
func (osFS) Open(name string) (File, error)     { return openOS(name, os.O_RDWR) }
func (osFS) OpenRead(name string) (File, error) { return openOS(name, os.O_RDONLY) }
func (osFS) Remove(name string) error           { return os.Remove(name) }
func (osFS) Rename(from, to string) error       { return os.Rename(from, to) }

func (osFS) Link(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) || isFull(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNoLink, err) // another file system, or one without links
}

func (osFS) SyncDir(dir string) error {
	d, err := os.Open(filepath.Clean(dir))
	if err != nil {
		return err
	}
	err = d.Sync()
	if closeErr := d.Close(); err == nil {
		err = closeErr
	}
	return err
}
