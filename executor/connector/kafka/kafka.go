// Package kafka reads a topic of Apache Kafka or of anything that speaks its protocol. It consumes all partitions directly,
// without a consumer group: the offsets are vigil's and live in its epochs. Split n is partition n, offsets are Kafka's.
package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Def is the connector's registry entry.
func Def() connector.Def {
	return connector.Def{
		Name: "kafka",
		Doc: "All partitions of one topic, each record's value being one or more records of the stream's format. Committed " +
			"transactions only. Keys, headers and record timestamps are not read; null values are skipped.",
		Params: loginParams([]connector.Param{
			{Name: "brokers", Doc: "host:port of one or more brokers, separated by commas"},
			{Name: "topic", Doc: "the topic's name"},
			{Name: "start", Default: "earliest", Doc: "where a partition is first read: earliest, latest, or a timestamp of its records"},
		}...),
		Secrets: secrets,
		Check:   func(o connector.Options) error { _, err := parse(o); return err },
		New: func(o connector.Options) (connector.Source, error) {
			c, err := parse(o)
			if err != nil {
				return nil, err
			}
			return &source{config: c, refresh: refreshInterval}, nil
		},
	}
}

const (
	refreshInterval = 10 * time.Second // between looks for new partitions
	payloadMax      = 256 << 10        // bytes of a payload, roughly
	fetchMax        = 16 << 20         // bytes of one fetch from a broker
	fetchPartMax    = 2 << 20          // of it, from one partition
	pollRecordsMax  = 16 << 10         // records taken at once
	recordBytes     = 300              // guess of a record's size before there are any
	dialTimeout     = 5 * time.Second
	// rangeWait is how long ReadRange waits for the next record of a range that has been read before.
	rangeWait = 60 * time.Second
)

type config struct {
	login
	stream, topic string
	start         start
	lines         bool // records are lines: the values are joined with newlines
	json          bool
}

// start says where a partition without an offset begins: the value of a ListOffsets request.
type start int64

const (
	latest   start = -1
	earliest start = -2
)

// notYet lists what people will try next, so that it is not just an unknown option.
var notYet = map[string]string{"ssl": "Write tls = 'on', tls_ca, tls_cert, tls_key.", "security_protocol": "Write tls = 'on', sasl_mechanism.",
	"username": "Write sasl_username.", "password": "Write sasl_password.", "group": "vigil keeps the offsets itself.", "group_id": "vigil keeps the offsets itself."}

func parse(o connector.Options) (config, error) {
	c := config{stream: o.Stream, topic: o.Params["topic"], start: earliest}
	for k := range o.Params {
		for n, instead := range notYet {
			if k == n || strings.HasPrefix(k, n+"_") || strings.HasPrefix(k, n+".") {
				return c, sqlerr.NotSupported(`option "`+k+`" of connector kafka`, instead)
			}
		}
	}
	if err := connector.CheckParams(Def(), o); err != nil {
		return c, err
	}
	if c.topic == "" || o.Params["brokers"] == "" {
		return c, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka needs the options brokers and topic")
	}
	var err error
	if c.login, err = newLogin(&connector.Values{Connector: "kafka", Params: o.Params}); err != nil {
		return c, err
	}
	switch s := o.Params["start"]; s {
	case "", "earliest":
	case "latest":
		c.start = latest
	default:
		t, err := types.ParseText(types.T(types.TimestampTZ), s, nil)
		if err != nil || t.I < 0 || t.I > 1<<60 {
			return c, sqlerr.New(sqlerr.InvalidParameterValue, `option "start" of connector kafka must be earliest, latest or a timestamp, not "%s"`, s)
		}
		c.start = start(t.I / 1000)
	}
	c.json = o.Format == "" || o.Format == "JSON"
	c.lines = o.Format != "ROWS"
	return c, nil
}

// source is the Source. franz-go fetches in the background; Poll only copies what has arrived.
type source struct {
	config
	refresh time.Duration
	client  *kgo.Client
	from    connector.Offsets
	// next is the position in each partition that is being read.
	next      map[int32]int64
	looked    time.Time // when partitions were last looked for
	averaging int64     // bytes of a record, moving average

	mu    sync.Mutex // guards state, which franz-go's goroutines and Status use too
	state state
	// endWatch ends the goroutine that asks for the partitions' ends, watching waits for it.
	endWatch context.CancelFunc
	watching sync.WaitGroup
}

// state is what Status reports.
type state struct {
	partitions int
	connected  int    // open connections
	lastErr    string // of the last attempt to connect, empty after a success
	unanswered string // why no broker has told the partitions yet
	lost       string // the last gap that retention left
	positions  map[int32]connector.Position
}

var (
	_ connector.Source     = (*source)(nil)
	_ connector.Positioner = (*source)(nil)
	_ connector.Historian  = (*source)(nil)
)

// Open implements connector.Source. It does not wait for a broker: Poll does.
func (s *source) Open(_ context.Context, from connector.Offsets) error {
	if err := s.Close(); err != nil {
		return err
	}
	s.from, s.next, s.averaging, s.looked = from, map[int32]int64{}, recordBytes, time.Time{}
	s.state = state{positions: map[int32]connector.Position{}}
	client, err := s.connect(kgo.WithHooks(hooks{s}), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	s.client = client
	ctx, cancel := context.WithCancel(context.Background())
	s.endWatch = cancel
	s.watching.Go(func() { s.watchEnds(ctx) })
	return nil
}

// connect makes a client that consumes nothing yet and never resets an offset by itself.
func (s *source) connect(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := s.options()
	if err != nil {
		return nil, err
	}
	opts = append(append(opts,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequestRetries(3), // who asks repeats it, and says what is wrong meanwhile
		kgo.FetchMaxBytes(fetchMax),
		kgo.FetchMaxPartitionBytes(fetchPartMax),
		kgo.FetchMaxWait(time.Second),
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(100*time.Millisecond<<min(n, 6), 3*time.Second) }),
		kgo.DisableClientMetrics(),
	), more...)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka: %v", err)
	}
	return client, nil
}

// Close implements connector.Source.
func (s *source) Close() error {
	if s.client != nil {
		s.endWatch()
		s.watching.Wait()
		s.client.Close()
		s.client = nil
	}
	return nil
}

// Poll implements connector.Source. When the brokers are away it waits for them.
func (s *source) Poll(ctx context.Context, dst []connector.Payload, maxBytes int) ([]connector.Payload, error) {
	if s.client == nil {
		return dst, sqlerr.New(sqlerr.InternalError, "kafka source of stream %s is not open", s.stream)
	}
	had := len(dst)
	for len(dst) == had {
		var err error
		if time.Since(s.looked) >= s.refresh {
			if dst, err = s.discover(ctx, dst); err != nil {
				return dst, err
			}
			if len(dst) > had {
				break
			}
		}
		wait, cancel := context.WithTimeout(ctx, s.refresh)
		fetches := s.client.PollRecords(wait, s.records(maxBytes))
		cancel()
		if err = ctx.Err(); err == nil {
			err = s.check(ctx, fetches)
		}
		dst = s.collect(fetches, dst)
		if err != nil && len(dst) == had {
			return dst, err
		}
	}
	return dst, nil
}

// records is how many records make maxBytes.
func (s *source) records(maxBytes int) int {
	return max(1, min(pollRecordsMax, maxBytes/int(max(1, s.averaging))))
}

// check handles a fetch's errors. Those that franz-go retries do not get here.
func (s *source) check(ctx context.Context, fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		switch {
		case errors.Is(e.Err, context.DeadlineExceeded), errors.Is(e.Err, context.Canceled):
		case errors.Is(e.Err, kerr.OffsetOutOfRange):
			return s.skipLost(ctx, e.Partition)
		default:
			return failure(s.topic, fmt.Errorf("partition %d: %w", e.Partition, e.Err))
		}
	}
	return nil
}

func failure(topic string, err error) error {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return sqlerr.New(sqlerr.UndefinedObject, `kafka topic "%s" does not exist`, topic)
	}
	return sqlerr.New(sqlerr.ConnectionFailure, `kafka topic "%s": %v`, topic, err)
}

// collect copies the records' values into payloads, per partition in order. The copy frees the fetch's memory, which holds a
// header per record, and makes what the decoder walks contiguous; it costs a few per cent of the fetch.
func (s *source) collect(fetches kgo.Fetches, dst []connector.Payload) []connector.Payload {
	arrival := types.EventTime(time.Now().UnixMicro())
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		next, ok := s.next[p.Partition]
		if !ok || len(p.Records) == 0 {
			return
		}
		j := joiner{config: &s.config, split: p.Partition, next: next, arrival: arrival, dst: dst}
		total := int64(0)
		for _, r := range p.Records {
			switch {
			case r.Offset < j.next:
			case r.Attrs.IsControl(): // the end of a transaction
				j.skip(r.Offset)
			default:
				j.add(r.Value, r.Offset)
				total += int64(len(r.Value)) + 1
			}
		}
		dst = j.finish()
		s.averaging += (total/int64(len(p.Records)) + 1 - s.averaging) / 8
		s.next[p.Partition] = j.next
		s.moved(p.Partition, j.next, p.LastStableOffset)
	})
	return dst
}

// moved notes how far a partition was read, and where it ends as far as that is known.
func (s *source) moved(split int32, next, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.positions[split]
	if !ok {
		p.End = -1
	}
	s.state.positions[split] = connector.Position{Split: split, Next: next, End: max(p.End, end)}
}

// Positions implements connector.Positioner.
func (s *source) Positions() []connector.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]connector.Position, 0, len(s.state.positions))
	for _, split := range sorted(s.state.positions) {
		list = append(list, s.state.positions[split])
	}
	return list
}

// watchEnds asks for the ends of the partitions now and then. What is fetched tells them too, but nothing is while the engine takes
// nothing.
func (s *source) watchEnds(ctx context.Context) {
	tick := time.NewTicker(s.refresh)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		ask := map[int32]start{}
		for _, p := range s.Positions() {
			ask[p.Split] = latest
		}
		ends, err := s.offsets(ctx, ask)
		if err != nil {
			continue // Poll meets it too, and tells
		}
		s.mu.Lock()
		for split, end := range ends {
			if p, ok := s.state.positions[split]; ok {
				p.End = max(p.End, end)
				s.state.positions[split] = p
			}
		}
		s.mu.Unlock()
	}
}

// ReadRange implements connector.Source. It reads with a client of its own, so that the consuming one is not disturbed.
func (s *source) ReadRange(ctx context.Context, split int32, from, to int64, dst []connector.Payload) ([]connector.Payload, error) {
	if from >= to {
		return dst, nil
	}
	client, err := s.connect(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {split: kgo.NewOffset().At(from)}}),
		kgo.KeepControlRecords())
	if err != nil {
		return dst, err
	}
	defer client.Close()
	j := joiner{config: &s.config, split: split, next: from, arrival: types.EventTime(time.Now().UnixMicro()), dst: dst}
	for j.next < to {
		wait, cancel := context.WithTimeout(ctx, rangeWait)
		fetches := client.PollRecords(wait, pollRecordsMax)
		cancel()
		if err := ctx.Err(); err != nil {
			return dst, err
		}
		for _, e := range fetches.Errors() {
			return dst, rangeError(s.topic, split, j.next, to, e.Err)
		}
		for r := range fetches.RecordsAll() {
			switch {
			case r.Offset >= to:
				j.next = to
			case r.Attrs.IsControl():
				j.skip(r.Offset)
			default:
				j.add(r.Value, r.Offset)
			}
		}
	}
	out := j.finish()
	if len(out) > len(dst) {
		out[len(out)-1].To = to
	}
	return out, nil
}

func rangeError(topic string, split int32, from, to int64, err error) error {
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return sqlerr.New(sqlerr.DataCorrupted, `kafka topic "%s" no longer has the offsets from %d to %d of partition %d`, topic, from, to, split).
			WithHint("keep the topic's retention longer than the time between checkpoints")
	}
	return failure(topic, fmt.Errorf("reading offsets %d to %d of partition %d again: %w", from, to, split, err))
}

// Status says in a few words how the source is doing; any goroutine may ask.
func (s *source) Status() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := fmt.Sprintf("reading %d partitions", s.state.partitions)
	switch {
	case s.state.connected == 0 && s.state.lastErr != "":
		text = "no broker can be reached: " + s.state.lastErr
	case s.state.partitions == 0 && s.state.unanswered != "":
		text = "no broker answers: " + s.state.unanswered
	case s.state.connected == 0 || s.state.partitions == 0:
		text = "connecting to " + strings.Join(s.brokers, ", ")
	}
	if s.state.lost != "" {
		text += "; " + s.state.lost
	}
	return text
}

// sorted returns the partitions in order.
func sorted[V any](m map[int32]V) []int32 {
	keys := make([]int32, 0, len(m))
	for p := range m {
		keys = append(keys, p)
	}
	slices.Sort(keys)
	return keys
}
