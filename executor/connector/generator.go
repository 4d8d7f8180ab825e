package connector

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

func generatorDef() Def {
	return Def{
		Name: "generator",
		Doc: "A simulated network (scenario network) or the three wave forms of a correctness experiment (waves), as JSON. Event i " +
			"is a function of seed and i, so any stretch can be made again.",
		Params: []Param{
			{"scenario", "network", "network or waves"},
			{"rate", "1000", "events per second, of the clock and of event time; 0: as fast as possible, event time as for 1000 (waves: 30)"},
			{"events", "0", "number of events, 0: without end"},
			{"seed", "1", "another seed is another network"},
			{"hosts", "200", "number of hosts"},
			{"users", "500", "number of users"},
			{"delay", "0", "milliseconds to wait before the first event, so that several queries can be created first"},
			{"start", "", "event time of the first event; default: when the stream was created"},
		},
		Check: func(o Options) error { _, err := newGenerator(o); return err },
		New: func(o Options) (Source, error) {
			g, err := newGenerator(o)
			if err != nil {
				return nil, err
			}
			return g, nil
		},
	}
}

const (
	generatorRateMax    = 100_000_000
	generatorEventsMax  = 1 << 52
	generatorPayloadMax = 64 << 10 // bytes, roughly
	generatorTick       = 5 * time.Millisecond
	// generatorLagMax bounds the burst after the pipeline held the generator up.
	generatorLagMax = time.Second
)

// scenario makes events; event i is a function of i and of the scenario's constants alone.
type scenario interface {
	// appendEvent appends event i as a JSON object without newline.
	appendEvent(dst []byte, i int64) []byte
}

// generator is the Source. Offsets are event indices of its one split 0.
type generator struct {
	scenario scenario
	rate     int64 // events per second of the clock; 0: unpaced
	events   int64 // 0: endless
	next     int64
	// begun is the clock when event first was due; pacing counts from there.
	begun time.Time
	first int64
	delay time.Duration // before event 0
}

var _ Source = (*generator)(nil)

func newGenerator(o Options) (*generator, error) {
	if err := CheckParams(generatorDef(), o); err != nil {
		return nil, err
	}
	if o.Format != "" && o.Format != "JSON" {
		return nil, sqlerr.NotSupported("FORMAT "+o.Format+" for connector generator", "the generator writes JSON")
	}
	var err error
	number := func(name string, def, low, high int64) int64 {
		s, ok := o.Params[name]
		if !ok || err != nil {
			return def
		}
		v, e := strconv.ParseInt(s, 10, 64)
		if e != nil || v < low || v > high {
			err = sqlerr.New(sqlerr.InvalidParameterValue, `option "%s" of connector generator must be a number from %d to %d, not "%s"`,
				name, low, high, s)
		}
		return v
	}
	waves := o.Params["scenario"] == "waves"
	rate := int64(1000)
	if waves {
		rate = wavesPerSecond
	}
	g := &generator{rate: number("rate", rate, 0, generatorRateMax), events: number("events", 0, 0, generatorEventsMax)}
	n := network{
		seed: uint64(number("seed", 1, 0, 1<<62)), hosts: uint64(number("hosts", 200, 1, 1<<20)),
		users: uint64(number("users", 500, 1, 1<<20)), start: int64(o.Created), perSecond: g.rate,
	}
	g.delay = time.Duration(number("delay", 0, 0, 3_600_000)) * time.Millisecond
	if err != nil {
		return nil, err
	}
	if n.perSecond == 0 {
		n.perSecond = rate
	}
	if s, ok := o.Params["start"]; ok {
		v, err := types.ParseText(types.T(types.TimestampTZ), s, nil)
		if err != nil || v.I <= -1<<60 || v.I >= 1<<60 {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, `option "start" of connector generator is not a timestamp: "%s"`, s)
		}
		n.start = v.I
	}
	switch s := o.Params["scenario"]; s {
	case "", "network":
		g.scenario = n.prepared()
	case "waves":
		g.scenario = waveforms{start: n.start}
	default:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, `connector generator has no scenario "%s"`, s).
			WithHint("scenarios are: network, waves")
	}
	return g, nil
}

// Open implements Source.
func (g *generator) Open(_ context.Context, from Offsets) error {
	g.next, g.begun = from[0], time.Time{}
	if g.next < 0 {
		return sqlerr.New(sqlerr.InternalError, "generator offset %d is negative", g.next)
	}
	return nil
}

// Poll implements Source.
func (g *generator) Poll(ctx context.Context, dst []Payload, maxBytes int) ([]Payload, error) {
	if g.next == 0 && g.delay > 0 {
		wait := time.NewTimer(g.delay)
		defer wait.Stop()
		select {
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-wait.C:
			g.delay = 0
		}
	}
	for {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		due := g.due(time.Now())
		if g.events > 0 {
			if g.next >= g.events {
				return dst, io.EOF
			}
			due = min(due, g.events)
		}
		if due > g.next {
			p := g.payload(g.next, due, min(maxBytes, generatorPayloadMax))
			g.next = p.To
			return append(dst, p), nil
		}
		tick := time.NewTimer(generatorTick)
		select {
		case <-ctx.Done():
			tick.Stop()
		case <-tick.C:
		}
	}
}

// due returns the end of the events that may be out by now.
func (g *generator) due(now time.Time) int64 {
	if g.rate == 0 {
		return g.next + generatorPayloadMax
	}
	if g.begun.IsZero() {
		g.begun, g.first = now, g.next
	}
	due := g.first + 1 + perRate(now.Sub(g.begun), g.rate)
	if behind := perRate(generatorLagMax, g.rate) + 1; due-g.next > behind {
		due = g.next + behind
		g.begun, g.first = now, due-1
	}
	return due
}

// perRate is how many events at rate fit into d.
func perRate(d time.Duration, rate int64) int64 {
	return int64(d/time.Second)*rate + int64(d%time.Second)*rate/int64(time.Second)
}

// payload makes the events [from, to), or fewer when they exceed maxBytes; at least one.
func (g *generator) payload(from, to int64, maxBytes int) Payload {
	p := Payload{From: from, To: from, Codec: "JSON", Arrival: types.EventTime(time.Now().UnixMicro())}
	p.Bytes = make([]byte, 0, min(int64(max(maxBytes, 0)), (to-from)*256)+512)
	for p.To < to && (p.To == from || len(p.Bytes) < maxBytes) {
		p.Bytes = append(g.scenario.appendEvent(p.Bytes, p.To), '\n')
		p.To++
	}
	return p
}

// ReadRange implements Source.
func (g *generator) ReadRange(ctx context.Context, split int32, from, to int64, dst []Payload) ([]Payload, error) {
	if split != 0 || from < 0 || to < from || g.events > 0 && to > g.events {
		return dst, sqlerr.New(sqlerr.InternalError, "generator cannot read [%d, %d) of split %d", from, to, split)
	}
	for from < to {
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		p := g.payload(from, to, generatorPayloadMax)
		from = p.To
		dst = append(dst, p)
	}
	return dst, nil
}

// Beginnings implements Historian. Events are not kept but made again, all of them.
func (g *generator) Beginnings(_ context.Context, arrival types.EventTime) (Offsets, error) {
	if arrival != types.MinTime {
		return nil, sqlerr.NotSupported("a start at a time over connector generator", "start = 'earliest' reads all that it made.")
	}
	return Offsets{0: 0}, nil
}

// Close implements Source.
func (g *generator) Close() error { return nil }
