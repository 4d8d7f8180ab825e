package session

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// receivers run the connectors that listen: for each of their streams one goroutine receives, and one stores what came.
type receivers struct {
	defs    []connector.Def
	running map[uint64]*receiver
}

// receiver is that of a stream.
type receiver struct {
	st     *catalog.Stream
	cancel context.CancelFunc
	done   sync.WaitGroup
}

// receivePause is how long a receiver that failed waits before it begins again; messages wait storePause for others to be stored with them.
const (
	receivePause = 2 * time.Second
	storePause   = 20 * time.Millisecond
)

// syncReceivers starts and stops receivers as the catalogue says. The caller holds ddl.
func (srv *Server) syncReceivers() {
	snap := srv.cat.Snapshot()
	for id, r := range srv.receivers.running {
		if snap.ByID(id) != catalog.Relation(r.st) {
			r.stop()
			delete(srv.receivers.running, id)
		}
	}
	for _, st := range snap.Streams() {
		listen := srv.listens(st.Connector)
		if listen == nil || srv.receivers.running[st.ID] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		r := &receiver{st: st, cancel: cancel}
		if srv.receivers.running == nil {
			srv.receivers.running = map[uint64]*receiver{}
		}
		srv.receivers.running[st.ID] = r
		in := connector.NewInbox()
		r.done.Add(2)
		go func() { defer r.done.Done(); srv.receive(ctx, r, in, listen) }()
		go func() { defer r.done.Done(); srv.store(ctx, r, in) }()
	}
}

func (srv *Server) listens(name string) connector.Listen {
	if name == "" {
		return nil
	}
	for _, d := range srv.receivers.defs {
		if d.Name == name {
			return d.Listen
		}
	}
	return nil
}

func (r *receiver) stop() {
	r.cancel()
	r.done.Wait()
}

// stopReceivers ends all receivers; what came is stored.
func (srv *Server) stopReceivers() {
	srv.ddl.Lock()
	defer srv.ddl.Unlock()
	for id, r := range srv.receivers.running {
		r.stop()
		delete(srv.receivers.running, id)
	}
}

// receive listens again and again.
func (srv *Server) receive(ctx context.Context, r *receiver, in *connector.Inbox, listen connector.Listen) {
	o := connector.Options{Stream: r.st.Name, Params: r.st.Options, Schema: &r.st.Schema, Format: r.st.Format}
	for ctx.Err() == nil {
		err := listen(ctx, o, in)
		if err == nil || ctx.Err() != nil {
			return
		}
		srv.eng.NoteInput(r.st.ID, fmt.Errorf("connector %s: %w", r.st.Connector, err))
		srv.log.Warn("receive", "stream", r.st.Name, "error", err, "retry_in", receivePause)
		select {
		case <-ctx.Done():
		case <-time.After(receivePause):
			srv.eng.NoteInput(r.st.ID, nil)
		}
	}
}

// store appends what came to the stream's event log, in groups.
func (srv *Server) store(ctx context.Context, r *receiver, in *connector.Inbox) {
	s := storing{srv: srv, r: r, in: in}
	for {
		select {
		case <-ctx.Done():
			s.group(context.WithoutCancel(ctx))
			return
		case <-in.Ready():
		}
		s.group(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(storePause):
		}
	}
}

// storing is what store works with.
type storing struct {
	srv     *Server
	r       *receiver
	in      *connector.Inbox
	list    []connector.Message
	dropped int64
}

// group stores what has come so far. What cannot be stored is lost, as the sender does not send it again; that is told.
func (s *storing) group(ctx context.Context) {
	list, dropped := s.in.Take(s.list[:0])
	s.list = list
	if dropped > s.dropped {
		s.dropped = dropped
		s.srv.eng.NoteInput(s.r.st.ID, fmt.Errorf("connector %s: %d messages came faster than they could be stored and were dropped", s.r.st.Connector, dropped))
	}
	if len(list) == 0 {
		return
	}
	k, err := s.srv.intake(s.r.st.ID)
	if err == nil && k == nil {
		return // the stream is gone
	}
	var out codec.Taken
	for i := 0; err == nil && i < len(list); i++ {
		err = k.take(list[i].From, list[i].Data, &out, s.srv.clock())
	}
	clear(list)
	if entries := takenEntries(&out, ""); err == nil && len(entries) > 0 {
		_, err = s.srv.eng.Append(ctx, s.r.st.ID, entries)
	}
	if err != nil && ctx.Err() == nil {
		s.srv.eng.NoteInput(s.r.st.ID, fmt.Errorf("connector %s: what came could not be stored: %w", s.r.st.Connector, err))
		s.srv.log.Error("store what was received", "stream", s.r.st.Name, "error", err)
	}
}
