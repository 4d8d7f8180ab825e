package codec

import (
	"net/netip"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Intake turns what arrives for a stream into rows before it is stored: for formats whose payloads need what came before them (the templates of
// NetFlow 9), or are many times larger than their rows (packets). What is stored then stands alone. One goroutine at a time.
type Intake interface {
	// Take reads data, which came from somebody, and adds its rows to out. It takes nothing over.
	Take(from netip.Addr, data []byte, out *Taken)
}

// Remembering is an Intake that depends on what it took before.
type Remembering interface {
	Intake
	// Changed reports that Remember would return something else than before.
	Changed() bool
	// Remember returns what Recall of a new instance needs to go on.
	Remember() []byte
	// Recall is called before the first Take. After an error nothing is known.
	Recall(b []byte) error
}

// Taken is what became of data.
type Taken struct {
	// Rows are in the form of the codec ROWS; Cuts are places between them, about a piece apart.
	Rows []byte
	Cuts []int
	// Rejected is in the form of the codec REJECTED.
	Rejected []byte
}

// takenPiece is about how many bytes of rows lie between two cuts.
const takenPiece = 1 << 20

// Reset forgets all, and keeps the memory.
func (t *Taken) Reset() { t.Rows, t.Cuts, t.Rejected = t.Rows[:0], t.Cuts[:0], t.Rejected[:0] }

// cut notes a place between two rows where that is due.
func (t *Taken) cut() {
	last := 0
	if n := len(t.Cuts); n > 0 {
		last = t.Cuts[n-1]
	}
	if len(t.Rows)-last >= takenPiece {
		t.Cuts = append(t.Cuts, len(t.Rows))
	}
}

// IntakeDef is a format that is turned into rows before it is stored.
type IntakeDef struct {
	Name string // upper case, as in FORMAT PCAP
	Doc  string
	// New makes an intake for a stream. Columns whose numbers are in computed are not the format's.
	New func(o Options, computed []int) (Intake, error)
}

// Intakes returns the formats that are turned into rows before they are stored.
func Intakes() []IntakeDef {
	return []IntakeDef{pcapDef("PCAP"), pcapDef("PCAPNG"), netflowDef("NETFLOW"), netflowDef("NETFLOW5", 5), netflowDef("NETFLOW9", 9), netflowDef("IPFIX", 10)}
}

// IntakeOf finds such a format.
func IntakeOf(name string) (IntakeDef, bool) {
	for _, d := range Intakes() {
		if d.Name == name {
			return d, true
		}
	}
	return IntakeDef{}, false
}

// Stored returns the codec of what a format's intake stores, or REJECTED.
func Stored(name string) (Def, bool) {
	if name == rejectedName {
		return rejectedDef, true
	}
	_, ok := IntakeOf(name)
	return Def{Name: name, Doc: rowsDef.Doc, New: func(o Options) (Decoder, error) {
		o.Params = nil // they are the intake's
		return newRows(o)
	}}, ok
}

// durationParam reads a format option such as '15 seconds' as microseconds.
func durationParam(params map[string]string, name, usual string) (int64, error) {
	text, ok := params[name]
	if !ok {
		text = usual
	}
	n := int64(0)
	if d, err := time.ParseDuration(strings.ReplaceAll(text, " ", "")); err == nil {
		n = d.Microseconds()
	} else if v, err := types.ParseText(types.T(types.Interval), text, nil); err == nil {
		iv, _ := types.DecodeInterval(v.S)
		n = iv.Span()
	}
	if n < 1000 || n > durationMax {
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "option %s = %q must be a duration from 1 millisecond to 366 days, such as '15 seconds'", name, text)
	}
	return n, nil
}

const durationMax = 366 * 24 * 3600 * 1e6
