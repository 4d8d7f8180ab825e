package eventlog

import (
	"sync/atomic"
	"syscall"
)

// slowSync lets a sync of a file happen only when something is sent to gate, while on.
type slowSync struct {
	FS
	on   atomic.Bool
	gate chan struct{}
}

type slowFile struct {
	File
	s *slowSync
}

func (s *slowSync) Create(name string) (File, error) { return s.wrap(s.FS.Create(name)) }
func (s *slowSync) Open(name string) (File, error)   { return s.wrap(s.FS.Open(name)) }

func (s *slowSync) wrap(f File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f, s}, nil
}

func (f slowFile) Sync() error {
	if f.s.on.Load() {
		<-f.s.gate
	}
	return f.File.Sync()
}

// fullDir fails SyncDir for want of space, while on.
type fullDir struct {
	FS
	on bool
}

func (f *fullDir) SyncDir(dir string) error {
	if f.on {
		return syscall.ENOSPC
	}
	return f.FS.SyncDir(dir)
}
