package pgwire

import (
	"context"
	"sync"
)

const (
	// queueMax is how many notifications may wait for one client, and queueBytesMax how many bytes of payload.
	queueMax      = 65536
	queueBytesMax = 32 << 20
	// queuePaceMax is how many may wait before PushWait does: it is for producers that can.
	queuePaceMax = 64
)

// Queue holds the notifications that wait for one client: the session fills it from any goroutine, the connection empties
// it when the client may be told. Its bounds keep a client that never is from taking the server's memory.
type Queue struct {
	ready chan struct{} // has room for one: filled when there may be something to take

	mu    sync.Mutex
	list  []Notification
	bytes int
	taken chan struct{} // closed when the queue was emptied
}

// NewQueue returns an empty queue.
func NewQueue() *Queue {
	return &Queue{ready: make(chan struct{}, 1), taken: make(chan struct{})}
}

// HasRoom reports whether this many notifications with this many bytes of payload fit.
func (q *Queue) HasRoom(n, bytes int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list)+n <= queueMax && q.bytes+bytes <= queueBytesMax
}

// Size is how much waits: notifications, and bytes of payload.
func (q *Queue) Size() (n, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list), q.bytes
}

// Push adds notifications. The caller has asked HasRoom.
func (q *Queue) Push(list ...Notification) {
	size := 0
	for _, n := range list {
		size += len(n.Payload)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(size, list...)
}

func (q *Queue) add(size int, list ...Notification) {
	q.list, q.bytes = append(q.list, list...), q.bytes+size
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// PushWait adds one notification once the client has taken most of what was there before; the end of ctx ends the wait.
func (q *Queue) PushWait(ctx context.Context, n Notification) error {
	for {
		q.mu.Lock()
		if len(q.list) < queuePaceMax {
			q.add(len(n.Payload), n)
			q.mu.Unlock()
			return nil
		}
		taken := q.taken
		q.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Take empties the queue: the connection does when its client may be told.
func (q *Queue) Take() []Notification {
	q.mu.Lock()
	defer q.mu.Unlock()
	list := q.list
	q.list, q.bytes = nil, 0
	close(q.taken)
	q.taken = make(chan struct{})
	return list
}
