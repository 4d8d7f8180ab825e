package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// discover looks for partitions that are not being read and starts to read them: at the given offset, else, when the
// source has just been opened, where the options say, else (a partition was added) at its beginning. For each
// partition that is new it appends an empty payload, which fixes where it began and tells that it is there: a partition
// without rows holds the stream's time back until it is idle.
func (s *source) discover(ctx context.Context, dst []connector.Payload) ([]connector.Payload, error) {
	partitions, err := s.partitions(ctx)
	if err != nil {
		return dst, err
	}
	opened := s.looked.IsZero()
	add := map[int32]kgo.Offset{}
	ask := map[int32]start{}
	for _, p := range partitions {
		if _, reading := s.next[p]; reading {
			continue
		}
		if at, ok := s.from[p]; ok {
			s.next[p], add[p] = at, kgo.NewOffset().At(at)
			continue
		}
		ask[p] = earliest
		if opened {
			ask[p] = s.start
		}
	}
	found, err := s.offsets(ctx, ask)
	if err != nil {
		return dst, err
	}
	now := types.EventTime(time.Now().UnixMicro())
	for _, p := range sorted(found) {
		at := found[p]
		s.next[p], add[p] = at, kgo.NewOffset().At(at)
		dst = append(dst, connector.Payload{Split: p, From: at, To: at, Arrival: now})
	}
	if len(add) > 0 {
		s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: add})
	}
	s.looked = time.Now()
	for p, at := range s.next {
		s.moved(p, at, -1)
	}
	s.mu.Lock()
	s.state.partitions = len(s.next)
	s.mu.Unlock()
	return dst, nil
}

// Beginnings implements connector.Historian, by a client of its own.
func (s *source) Beginnings(ctx context.Context, arrival types.EventTime) (connector.Offsets, error) {
	client, err := s.connect()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	asker := &source{config: s.config, client: client}
	from := earliest
	if arrival != types.MinTime {
		from = start(max(0, int64(arrival)/1000))
	}
	ask := map[int32]start{}
	partitions, err := asker.partitions(ctx)
	if err == nil {
		for _, p := range partitions {
			ask[p] = from
		}
		var found map[int32]int64
		if found, err = asker.offsets(ctx, ask); err == nil {
			return found, nil
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = failure(s.topic, fmt.Errorf("no answer from %s in time", strings.Join(s.brokers, ", ")))
	}
	return nil, err
}

// partitions asks a broker for the topic's partitions; it waits as long as no broker answers.
func (s *source) partitions(ctx context.Context) ([]int32, error) {
	for attempt := 0; ; attempt++ {
		req := kmsg.NewPtrMetadataRequest()
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &s.topic
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, s.client)
		if err == nil && len(resp.Topics) == 1 {
			t := resp.Topics[0]
			if err = kerr.ErrorForCode(t.ErrorCode); err == nil {
				var ps []int32
				for _, p := range t.Partitions {
					ps = append(ps, p.Partition)
				}
				return ps, nil
			}
			if !kerr.IsRetriable(err) || errors.Is(err, kerr.UnknownTopicOrPartition) {
				return nil, failure(s.topic, err)
			}
		}
		if refused(err) {
			return nil, failure(s.topic, err)
		}
		if err != nil && ctx.Err() == nil {
			s.mu.Lock()
			s.state.unanswered = err.Error()
			s.mu.Unlock()
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, err
		}
	}
}

// refused reports that a broker was reached and does not let us in: somebody has to know.
func refused(err error) bool {
	for _, e := range []error{kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.TopicAuthorizationFailed} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// pause backs off between attempts.
func pause(ctx context.Context, attempt int) error {
	t := time.NewTimer(min(100*time.Millisecond<<min(attempt, 6), 3*time.Second))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// offsets resolves starting points to offsets. A timestamp after the last record means the end.
func (s *source) offsets(ctx context.Context, ask map[int32]start) (map[int32]int64, error) {
	found := map[int32]int64{}
	for attempt := 0; len(found) < len(ask); attempt++ {
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		req.IsolationLevel = 1 // committed
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic = s.topic
		for _, p := range sorted(ask) {
			if _, ok := found[p]; ok {
				continue
			}
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p, int64(ask[p])
			topic.Partitions = append(topic.Partitions, rp)
		}
		req.Topics = append(req.Topics, topic)
		if resp, err := req.RequestWith(ctx, s.client); err == nil {
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					err := kerr.ErrorForCode(p.ErrorCode)
					switch {
					case err == nil && p.Offset >= 0:
						found[p.Partition] = p.Offset
					case err == nil:
						ask[p.Partition] = latest
					case !kerr.IsRetriable(err):
						return nil, failure(s.topic, fmt.Errorf("partition %d: %w", p.Partition, err))
					}
				}
			}
		}
		if len(found) < len(ask) {
			if err := pause(ctx, attempt); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// skipLost goes on behind records that retention removed before they were read, and tells so in the status. A position
// behind the end means that the topic is another one than before: that is an error.
func (s *source) skipLost(ctx context.Context, p int32) error {
	found, err := s.offsets(ctx, map[int32]start{p: earliest})
	if err != nil {
		return err
	}
	first, at := found[p], s.next[p]
	if first <= at {
		s.looked = time.Time{} // the partition is no longer being fetched: begin again when the caller comes back
		s.from = connector.Offsets{}
		for q, n := range s.next {
			s.from[q] = n
		}
		delete(s.next, p)
		return sqlerr.New(sqlerr.DataCorrupted, `kafka topic "%s": offset %d of partition %d is behind the partition's end`, s.topic, at, p).
			WithHint("the topic was deleted and created again, or truncated; create the stream anew")
	}
	partition := map[string][]int32{s.topic: {p}}
	s.client.RemoveConsumePartitions(partition)
	s.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: {p: kgo.NewOffset().At(first)}})
	s.next[p] = first
	s.moved(p, first, -1)
	s.mu.Lock()
	s.state.lost = fmt.Sprintf("offsets %d to %d of partition %d were removed by the topic's retention before they were read", at, first-1, p)
	s.mu.Unlock()
	return nil
}

// hooks keep the status up to date; franz-go calls them from its goroutines.
type hooks struct{ s *source }

var (
	_ kgo.HookBrokerConnect    = hooks{}
	_ kgo.HookBrokerDisconnect = hooks{}
)

// OnBrokerConnect implements kgo.HookBrokerConnect.
func (h hooks) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	if err != nil {
		h.s.state.lastErr = err.Error()
		return
	}
	h.s.state.connected++
	h.s.state.lastErr = ""
}

// OnBrokerDisconnect implements kgo.HookBrokerDisconnect.
func (h hooks) OnBrokerDisconnect(_ kgo.BrokerMetadata, _ net.Conn) {
	h.s.mu.Lock()
	defer h.s.mu.Unlock()
	h.s.state.connected--
}
