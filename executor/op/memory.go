package op

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// MemoryMaxDefault is the memory that the operators of one bounded query may hold together, in bytes.
const MemoryMaxDefault = 256 << 20

// Memory is the byte budget of one bounded query, shared by its operators. It is used by one goroutine.
type Memory struct {
	max, used int64
	// parent is the budget that this one is a part of; peak is the most that was held at once.
	parent *Memory
	peak   int64
	// Stop, when set, is asked now and then by operators that may work long without output; its error ends the query.
	Stop func() error
}

// NewMemory returns a budget of max bytes; max <= 0 means MemoryMaxDefault.
func NewMemory(max int64) *Memory {
	if max <= 0 {
		max = MemoryMaxDefault
	}
	return &Memory{max: max}
}

// Part is a budget within m that is counted by itself.
func (m *Memory) Part() *Memory { return &Memory{max: m.max, parent: m, Stop: m.Stop} }

// Peak returns the most bytes that were held at once.
func (m *Memory) Peak() int64 { return m.peak }

// Used returns the bytes held at the moment.
func (m *Memory) Used() int64 { return m.used }

// Grow takes n bytes from the budget; past its end the query fails with 53200. Whoever got an error holds nothing more
// than before.
func (m *Memory) Grow(n int64) error {
	if m.used+n > m.max {
		return sqlerr.New(sqlerr.OutOfMemory, "query needs more than %d MB of memory", m.max>>20).
			WithHint("Select fewer rows or columns, or group and filter earlier; a LIMIT above a sort does not help.")
	}
	if m.parent != nil {
		if err := m.parent.Grow(n); err != nil {
			return err
		}
	}
	m.used += n
	m.peak = max(m.peak, m.used)
	return nil
}

// Release gives n bytes back.
func (m *Memory) Release(n int64) {
	m.used -= n
	if m.parent != nil {
		m.parent.Release(n)
	}
}

// poll asks whether the query shall go on.
func (m *Memory) poll() error {
	if m.Stop == nil {
		return nil
	}
	return m.Stop()
}
