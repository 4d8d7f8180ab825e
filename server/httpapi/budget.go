package httpapi

import (
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

const (
	// bodyCopies is how often the bytes of a body are in memory while its request runs: as received, and as the event log
	// writes them. All of a request is one unit in the log, so neither can be given up before the other is complete.
	bodyCopies = 2
	// bodyPiece is how much is claimed and read at once of a body whose length was not declared, bytes.
	bodyPiece = 1 << 20
	// rateSpan is how far back the estimate of the drain rate looks, about.
	rateSpan = 30 * time.Second
	// retryMax bounds Retry-After.
	retryMax = time.Minute
)

// budget bounds the memory that bodies of ingest requests hold, from before they are read until they are durable and
// decoded. As requests wait for that, a slow disk and slow processing show here, and become 429. Nothing waits for the
// budget, so it cannot deadlock.
type budget struct {
	max int64
	now func() time.Time

	mu      sync.Mutex
	held    int64
	streams map[uint64]int64 // held by stream, without zeros
	refused int64
	// since is when something was first held after nothing was, moved on so that it is not much older than rateSpan; drained
	// is what was released since.
	since   time.Time
	drained int64
}

func newBudget(max int64, now func() time.Time) *budget {
	return &budget{max: max, now: now, streams: map[uint64]int64{}}
}

// claim is the part of the budget that one request holds. One goroutine uses it.
type claim struct {
	b      *budget
	stream uint64
	held   int64
}

// take claims room for n more bytes of the body. Where a stream has several requests, they get half of the budget at most,
// so that the producers of one stream do not shut out those of the others.
func (c *claim) take(n int64) error {
	n *= bodyCopies
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	ofStream := b.streams[c.stream]
	if b.held+n > b.max || ofStream > c.held && ofStream+n > b.max/2 {
		b.refused++
		return b.overload()
	}
	if b.held == 0 {
		b.since, b.drained = b.now(), 0
	}
	b.held += n
	c.held += n
	if n > 0 {
		b.streams[c.stream] = ofStream + n
	}
	return nil
}

// release gives back what the request holds.
func (c *claim) release() {
	b := c.b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= c.held
	b.drained += c.held
	if b.streams[c.stream] -= c.held; b.streams[c.stream] == 0 {
		delete(b.streams, c.stream)
	}
	c.held = 0
}

// overload is the error of a refused request: it says when what is held now will be gone at the rate of late. It is called
// with mu held.
func (b *budget) overload() error {
	elapsed := b.now().Sub(b.since)
	if b.held == 0 {
		elapsed = 0
	}
	wait := elapsed // nothing is done yet: it takes at least as long again
	if b.drained > 0 {
		wait = time.Duration(float64(elapsed) * float64(b.held) / float64(b.drained))
	}
	if elapsed > rateSpan {
		b.since, b.drained = b.since.Add(elapsed/2), b.drained/2
	}
	seconds := int64(min(max(wait, time.Second), retryMax)+time.Second-1) / int64(time.Second)
	return &overloaded{seconds: seconds, err: sqlerr.New(sqlerr.InsufficientResources,
		"events come in faster than they are stored and processed: requests hold %d of %d bytes", b.held, b.max).
		WithHint("Nothing of this request was taken; send it again after %d s, or in smaller pieces.", seconds)}
}

// overloaded is answered with 429 and Retry-After.
type overloaded struct {
	seconds int64
	err     *sqlerr.Error
}

// Error implements error.
func (e *overloaded) Error() string { return e.err.Error() }

// Unwrap gives code and hint.
func (e *overloaded) Unwrap() error { return e.err }

// figures are what is held now and how many requests were refused.
func (b *budget) figures() (held, refused int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.held, b.refused
}
