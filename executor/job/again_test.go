package job

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// TestAgain: a call is made again until it succeeds, or time is over, or its error stays.
func TestAgain(t *testing.T) {
	broken, stays := errors.New("broken"), errors.New("stays")
	isStay := func(err error) bool { return errors.Is(err, stays) }
	for _, c := range []struct {
		name  string
		fails int
		err   error
		want  error
		most  time.Duration
	}{
		{"at once", 0, nil, nil, 0}, {"later", 3, broken, nil, 100 * time.Millisecond},
		{"never", 1 << 30, broken, broken, 2 * againFor}, {"it stays", 1 << 30, stays, stays, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			e, from, calls := &Engine{cfg: Config{AgainFor: againFor}}, time.Now(), 0
			err := e.again(t.Context(), isStay, func() error {
				if calls++; calls <= c.fails {
					return c.err
				}
				return nil
			})
			if took := time.Since(from); !errors.Is(err, c.want) || took > c.most || c.want == broken && took < againFor {
				t.Errorf("%s: %v after %s and %d calls", c.name, err, took, calls)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := e.again(ctx, isStay, func() error { return broken }); !errors.Is(err, broken) {
				t.Errorf("cancelled: %v", err)
			}
		})
	}
}

// failingFS is a disk whose files cannot be listed a few times.
type failingFS struct {
	eventlog.FS
	fails int
}

// MkdirAll implements eventlog.FS.
func (f *failingFS) MkdirAll(dir string) error {
	if f.fails--; f.fails >= 0 {
		return eventlog.ErrInjected
	}
	return f.FS.MkdirAll(dir)
}

// TestOpenLogAgain: an event log that cannot be opened for a moment is opened then; one that stays so is told of by name.
func TestOpenLogAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &spec.Stream{ID: 7, Name: "auth"}
		fs := &failingFS{eventlog.NewMemFS(), 3}
		e := &Engine{ctx: t.Context(), cfg: Config{AgainFor: againFor, LogFS: fs, Dir: "data"}}
		log, err := e.openLog(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		fs.fails = 1 << 30
		if _, err = e.openLog(d); sqlerr.CodeOf(err) != sqlerr.IOError || !strings.Contains(err.Error(), `"auth", directory data/log/7`) || sqlerr.As(err).Hint == "" {
			t.Errorf("a log that cannot be opened: %v, hint %q", err, sqlerr.As(err).Hint)
		}
	})
}
