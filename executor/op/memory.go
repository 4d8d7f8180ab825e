package op

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// MemoryMaxDefault is the memory that the operators of one bounded query may hold together, in bytes.
const MemoryMaxDefault = 256 << 20

// Memory is the byte budget of one bounded query, shared by its operators. It is used by one goroutine.
type Memory struct {
	max, used int64
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

// Used returns the bytes held at the moment.
func (m *Memory) Used() int64 { return m.used }

// Grow takes n bytes from the budget; past its end the query fails with 53200. Whoever got an error holds nothing more
// than before.
func (m *Memory) Grow(n int64) error {
	if m.used+n > m.max {
		return sqlerr.New(sqlerr.OutOfMemory, "query needs more than %d MB of memory", m.max>>20).
			WithHint("Select fewer rows or columns, or group and filter earlier; a LIMIT above a sort does not help.")
	}
	m.used += n
	return nil
}

// Release gives n bytes back.
func (m *Memory) Release(n int64) { m.used -= n }

// poll asks whether the query shall go on.
func (m *Memory) poll() error {
	if m.Stop == nil {
		return nil
	}
	return m.Stop()
}
