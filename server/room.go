package server

import (
	"syscall"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/storage/pebblekv"
)

// disk is what the data directory is on.
type disk struct {
	dir   string
	store *pebblekv.Store
}

var _ job.Room = disk{}

// Free implements job.Room.
func (d disk) Free() (free, total int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &st); err != nil {
		return 0, 0, err
	}
	size := int64(st.Bsize)
	return int64(st.Bavail) * size, int64(st.Blocks) * size, nil
}

// Waiting implements job.Room.
func (d disk) Waiting() bool { return d.store.Waiting() }

// Syncing implements job.Room.
func (d disk) Syncing() time.Duration { return d.store.Health().Syncing }

// giveUpWaiting sees to it that the server stops although its disk is full: connections wait for commits, and those for room. What
// it gives ends that.
func (s *Server) giveUpWaiting() (end func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(100 * time.Millisecond)
		defer look.Stop()
		for !s.store.Waiting() {
			select {
			case <-look.C:
			case <-done:
				return
			}
		}
		s.log.Error("the disk is full: the server ends without a last checkpoint; nothing that was acknowledged is lost")
		s.store.GiveUp()
	}()
	return func() { close(done); <-ended }
}
