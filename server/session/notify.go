package session

import (
	"sync"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/pgwire"
)

const (
	// notifyMax is Postgres' limit of a notification's payload, bytes.
	notifyMax = 7999
	// channelMax is Postgres' limit of a channel's name, bytes.
	channelMax = 63
)

// hub knows who listens to which channel. Safe for concurrent use.
type hub struct {
	mu       sync.Mutex
	channels map[string]map[*listener]struct{}
}

// join adds a listener to a channel.
func (h *hub) join(channel string, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.channels == nil {
		h.channels = map[string]map[*listener]struct{}{}
	}
	if h.channels[channel] == nil {
		h.channels[channel] = map[*listener]struct{}{}
	}
	h.channels[channel][l] = struct{}{}
}

// leave takes a listener off a channel.
func (h *hub) leave(channel string, l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.channels[channel], l); len(h.channels[channel]) == 0 {
		delete(h.channels, channel)
	}
}

// listening gives those who listen to a channel now.
func (h *hub) listening(channel string) []*listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*listener
	for l := range h.channels[channel] {
		list = append(list, l)
	}
	return list
}

// send delivers the notifications of one transaction, in order: to everybody, or to nobody when one who listens has not
// read so many that there is no room.
func (h *hub) send(list []pgwire.Notification) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts, bytes := map[*listener]int{}, map[*listener]int{}
	for _, n := range list {
		for l := range h.channels[n.Channel] {
			counts[l]++
			bytes[l] += len(n.Payload)
		}
	}
	for l, n := range counts {
		if !l.out.HasRoom(n, bytes[l]) {
			return sqlerr.New(sqlerr.ProgramLimitExceeded, "too many notifications in the NOTIFY queue").
				WithDetail("The connection with process id %d listens and does not read its notifications.", l.s.info.PID).
				WithHint("It gets them between its transactions; pg_terminate_backend ends it.")
		}
	}
	for _, n := range list {
		for l := range h.channels[n.Channel] {
			l.out.Push(n)
		}
	}
	return nil
}

// notes are what a transaction has to say when it commits: its notifications, and what it began and ceased to listen to.
// Functions add to it from the goroutines of running portals.
type notes struct {
	mu     sync.Mutex
	list   []pgwire.Notification
	said   map[pgwire.Notification]bool // list as a set
	bytes  int
	listen []listenChange
}

// listenChange is a LISTEN, or an UNLISTEN of one channel or all.
type listenChange struct {
	channel  string
	end, all bool
}

// notesMax bounds what one transaction may say, bytes of payload and channel names.
const notesMax = 16 << 20

// notify is NOTIFY and pg_notify. What was said before in the same transaction is not repeated, as in Postgres.
func (s *Session) notify(channel, payload string) error {
	switch {
	case channel == "":
		return sqlerr.New(sqlerr.InvalidParameterValue, "channel name cannot be empty")
	case len(channel) > channelMax:
		return sqlerr.New(sqlerr.InvalidParameterValue, "channel name too long")
	case len(payload) > notifyMax:
		return sqlerr.New(sqlerr.InvalidParameterValue, "payload string too long")
	}
	note := pgwire.Notification{Channel: channel, Payload: payload, PID: s.info.PID}
	n := &s.notes
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[note] {
		return nil
	}
	if n.bytes += len(channel) + len(payload); n.bytes > notesMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a transaction cannot send more than %d bytes of notifications", notesMax).
			WithHint("COMMIT in between.")
	}
	if n.said == nil {
		n.said = map[pgwire.Notification]bool{}
	}
	n.list, n.said[note] = append(n.list, note), true
	return nil
}

// listenTo is LISTEN and UNLISTEN: they count from the transaction's commit.
func (s *Session) listenTo(c listenChange) error {
	n := &s.notes
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.listen) >= listenMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a transaction cannot LISTEN and UNLISTEN more than %d times", listenMax)
	}
	n.listen = append(n.listen, c)
	return nil
}

// notesMark is how much there was to say at a savepoint.
type notesMark struct{ list, listen int }

func (n *notes) mark() notesMark {
	n.mu.Lock()
	defer n.mu.Unlock()
	return notesMark{len(n.list), len(n.listen)}
}

// rewind forgets what came after a mark.
func (n *notes) rewind(m notesMark) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, note := range n.list[m.list:] {
		delete(n.said, note)
		n.bytes -= len(note.Channel) + len(note.Payload)
	}
	n.list, n.listen = n.list[:m.list], n.listen[:m.listen]
}

// take empties the notes.
func (n *notes) take() ([]listenChange, []pgwire.Notification) {
	n.mu.Lock()
	defer n.mu.Unlock()
	listen, list := n.listen, n.list
	n.list, n.said, n.bytes, n.listen = nil, nil, 0, nil
	return listen, list
}

// commitNotes carries out what the transaction had to say. Whoever begins to listen in it hears its own notifications.
func (s *Session) commitNotes() error {
	listen, list := s.notes.take()
	for _, c := range listen {
		if c.end {
			s.listen.remove(c.channel, c.all)
		} else if err := s.listen.add(c.channel); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return nil
	}
	return s.srv.hub.send(list)
}

// dropNotes forgets what a failed transaction had to say.
func (s *Session) dropNotes() { s.notes.take() }
