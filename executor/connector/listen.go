package connector

import (
	"context"
	"net/netip"
	"sync"
)

// Listen receives what comes by itself and cannot be asked for again, puts it into the inbox, and returns why it cannot go on, or nil when ctx
// ends. The server appends it to the stream's event log.
type Listen func(ctx context.Context, o Options, in *Inbox) error

// Message is what came at once, from somebody: a datagram.
type Message struct {
	From netip.Addr
	Data []byte
}

// InboxMax bounds the messages that wait to be stored, bytes.
const InboxMax = 32 << 20

// Inbox holds messages between who receives them and who stores them. What comes while it is full is dropped and counted. Safe for
// concurrent use.
type Inbox struct {
	mu      sync.Mutex
	bytes   []byte
	ends    []int
	from    []netip.Addr
	dropped int64
	ready   chan struct{} // holds a token while there are messages
}

// NewInbox returns an empty inbox.
func NewInbox() *Inbox { return &Inbox{ready: make(chan struct{}, 1)} }

// Put copies a message into the inbox; false: there was no room.
func (b *Inbox) Put(from netip.Addr, data []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.bytes)+len(data) > InboxMax || len(b.ends) >= InboxMax/32 {
		b.dropped++
		return false
	}
	b.bytes = append(b.bytes, data...)
	b.ends, b.from = append(b.ends, len(b.bytes)), append(b.from, from)
	select {
	case b.ready <- struct{}{}:
	default:
	}
	return true
}

// Ready holds a token when there are messages.
func (b *Inbox) Ready() <-chan struct{} { return b.ready }

// Take appends the messages to dst. They are the caller's: Put begins with new memory.
func (b *Inbox) Take(dst []Message) (list []Message, dropped int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	start := 0
	for i, end := range b.ends {
		dst = append(dst, Message{From: b.from[i], Data: b.bytes[start:end:end]})
		start = end
	}
	b.bytes, b.ends, b.from = nil, b.ends[:0], b.from[:0]
	return dst, b.dropped
}
