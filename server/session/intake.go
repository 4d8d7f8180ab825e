package session

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/meta"
)

// rememberEvery is how often, at most, what an intake remembers is stored.
const rememberEvery = types.EventTime(1e6)

// intakes are those of the streams whose formats are turned into rows before they are stored.
type intakes struct {
	mu sync.Mutex
	of map[uint64]*intake
}

// intake is a stream's. Formats that remember have one instance, others as many as work at a time.
type intake struct {
	stream   *spec.Stream
	def      codec.IntakeDef
	meta     *meta.Store
	computed []int

	mu    sync.Mutex
	free  []codec.Intake
	one   codec.Remembering
	saved types.EventTime
}

// intake returns that of a stream, nil where its format has none.
func (srv *Server) intake(id uint64) (*intake, error) {
	srv.intakes.mu.Lock()
	defer srv.intakes.mu.Unlock()
	if k := srv.intakes.of[id]; k != nil {
		return k, nil
	}
	st, ok := srv.cat.Snapshot().ByID(id).(*catalog.Stream)
	if !ok {
		return nil, nil
	}
	def, ok := codec.IntakeOf(st.Format)
	if !ok {
		return nil, nil
	}
	k, err := newIntake(&st.Stream, def, srv.meta)
	if err != nil {
		return nil, err
	}
	if srv.intakes.of == nil {
		srv.intakes.of = map[uint64]*intake{}
	}
	srv.intakes.of[id] = k
	return k, nil
}

func newIntake(st *spec.Stream, def codec.IntakeDef, m *meta.Store) (*intake, error) {
	k := &intake{stream: st, def: def, meta: m}
	for _, g := range st.Generated {
		k.computed = append(k.computed, g.Col)
	}
	in, err := k.make()
	if err != nil {
		return nil, err
	}
	one, remembers := in.(codec.Remembering)
	if !remembers {
		k.free = []codec.Intake{in}
		return k, nil
	}
	k.one = one
	kept, err := m.Intake(st.ID)
	if err != nil || kept == nil {
		return k, err
	}
	return k, one.Recall(kept)
}

func (k *intake) make() (codec.Intake, error) {
	return k.def.New(codec.Options{Schema: &k.stream.Schema, TimeCol: k.stream.TimeCol, Params: k.stream.FormatOptions}, k.computed)
}

// take turns data into rows; now paces what is remembered.
func (k *intake) take(from netip.Addr, data []byte, out *codec.Taken, now types.EventTime) error {
	if k.one != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.one.Take(from, data, out)
		return k.remember(now)
	}
	in, err := k.get()
	if err != nil {
		return err
	}
	in.Take(from, data, out)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.free = append(k.free, in)
	return nil
}

func (k *intake) get() (codec.Intake, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.free); n > 0 {
		in := k.free[n-1]
		k.free = k.free[:n-1]
		return in, nil
	}
	return k.make()
}

// remember stores what has changed, unless that was done just now.
func (k *intake) remember(now types.EventTime) error {
	if !k.one.Changed() || k.saved != 0 && now-k.saved < rememberEvery && now >= k.saved {
		return nil
	}
	k.saved = now
	return k.meta.PutIntake(k.stream.ID, k.one.Remember())
}

// flush stores what remember put off.
func (k *intake) flush() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.one == nil || !k.one.Changed() {
		return nil
	}
	return k.meta.PutIntake(k.stream.ID, k.one.Remember())
}

// syncIntakes forgets the intakes of streams that are gone or were made anew.
func (srv *Server) syncIntakes() {
	srv.intakes.mu.Lock()
	defer srv.intakes.mu.Unlock()
	cat := srv.cat.Snapshot()
	for id, k := range srv.intakes.of {
		st, ok := cat.ByID(id).(*catalog.Stream)
		if ok && &st.Stream == k.stream {
			continue
		}
		if ok { // renamed
			srv.flushIntake(k)
		}
		delete(srv.intakes.of, id)
	}
}

// flushIntakes stores what all remember.
func (srv *Server) flushIntakes() {
	srv.intakes.mu.Lock()
	defer srv.intakes.mu.Unlock()
	for _, k := range srv.intakes.of {
		srv.flushIntake(k)
	}
}

func (srv *Server) flushIntake(k *intake) {
	if err := k.flush(); err != nil {
		srv.log.Error("what a stream's exporters sent before could not be stored", "stream", k.stream.Name, "error", err)
	}
}

// takeIn makes log entries of a payload in the format of a stream's intake; nil where the stream's format has none.
func (srv *Server) takeIn(in *Ingest) ([]eventlog.Entry, error) {
	if in.Codec != "" {
		return nil, nil
	}
	k, err := srv.intake(in.Stream)
	if k == nil || err != nil {
		return nil, err
	}
	var out codec.Taken
	if err := k.take(in.From, in.Data, &out, srv.clock()); err != nil {
		return nil, err
	}
	in.Codec = intakeCodec // for who asks later whether there is an intake
	return takenEntries(&out, in.Key), nil
}

// intakeCodec is the codec of what intakes store.
const intakeCodec = "ROWS"

// takenEntries makes log entries of what an intake took.
func takenEntries(out *codec.Taken, key string) []eventlog.Entry {
	entries := make([]eventlog.Entry, 0, len(out.Cuts)+2)
	at := 0
	for _, end := range append(slices.Clip(out.Cuts), len(out.Rows)) {
		if end > at {
			entries = append(entries, eventlog.Entry{Codec: intakeCodec, Key: key, Payload: out.Rows[at:end:end]})
			at = end
		}
	}
	if len(out.Rejected) > 0 {
		entries = append(entries, eventlog.Entry{Codec: codec.RejectedCodec, Key: key, Payload: out.Rejected})
	}
	return entries
}
