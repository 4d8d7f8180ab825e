package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// SinkDef is the sink's registry entry.
func SinkDef() connector.SinkDef {
	d := connector.SinkDef{
		Name: "kafka",
		Doc: "A record per row, in transactions that carry the sink's position, so that who reads committed records finds each row once, whatever is " +
			"killed. The header vigil_id is the row's id. The transactional id, and the consumer group that keeps the position, is vigil-SERVER-sink-ID.",
		Params: loginParams([]connector.Param{
			{Name: "brokers", Doc: "host:port of one or more brokers, separated by commas"},
			{Name: "topic", Doc: "the topic's name; it must be there"},
			{Name: "key", Doc: "columns that make the record's key: the text of one, a JSON array of several; rows of a key keep their order"},
			{Name: "acks", Default: "all", Doc: "all: each row once is not to be had otherwise"},
			{Name: "compression", Default: "snappy", Doc: "none, gzip, snappy, lz4 or zstd"},
		}...),
		Secrets: secrets,
		Batch:   1000,
		Check:   func(o connector.SinkOptions) error { _, err := newTransactional(o); return err },
		Target:  func(o connector.SinkOptions) string { return o.Params["brokers"] + "/" + o.Params["topic"] },
	}
	d.New = func(o connector.SinkOptions) (connector.Sink, error) { return newTransactional(o) }
	return d
}

// Bounds of waits for the brokers.
const (
	openMax    = 30 * time.Second
	deliverMax = 60 * time.Second
	abortMax   = 5 * time.Second
	// transactionMax is how long readers of committed records wait for a transaction that nobody ends.
	transactionMax = 60 * time.Second
	recordMax      = 1_000_000 // bytes of a batch of records, as brokers accept without being told otherwise
)

// codecs are the compressions.
var codecs = map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}

// transactional is the Sink.
type transactional struct {
	login
	topic string
	// name is the transactional id and the group.
	name        string
	compression kgo.CompressionCodec
	client      *kgo.Client
	query       uint64
}

var _ connector.Sink = (*transactional)(nil)

func newTransactional(o connector.SinkOptions) (*transactional, error) {
	v := &connector.Values{Connector: "kafka", Params: o.Params}
	p := &transactional{topic: v.Needed("topic"), name: fmt.Sprintf("vigil-%s-sink-%d", o.Server, o.ID),
		compression: codecs[v.OneOf("compression", "snappy", "none", "gzip", "lz4", "zstd")]}
	var err error
	if p.login, err = newLogin(v); err != nil {
		return nil, err
	}
	if acks := v.Text("acks", "all"); acks != "all" && acks != "-1" {
		return nil, sqlerr.NotSupported("acks other than all for a sink with connector kafka", "Leave acks out: a row is there once because all replicas acknowledge it.")
	}
	return p, nil
}

// connect makes the client. Versions of the protocol are bounded so that a transaction is what this file makes of it: later ones bump the
// producer's epoch at each end.
func (p *transactional) connect() (*kgo.Client, error) {
	opts, err := p.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.MaxVersions(kversion.V3_5_0()),
		kgo.TransactionalID(p.name),
		kgo.TransactionTimeout(transactionMax),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(p.compression),
		kgo.ProducerBatchMaxBytes(recordMax),
		kgo.MaxBufferedRecords(1<<20), // a delivery is bounded by who makes it
		kgo.MetadataMinAge(100*time.Millisecond),
		kgo.RetryBackoffFn(func(n int) time.Duration { return min(100*time.Millisecond<<min(n, 6), 3*time.Second) }),
		kgo.DisableClientMetrics(),
	)
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka: %v", err)
	}
	return client, nil
}

// Open implements connector.Sink. It takes the transactional id over, which ends what an earlier producer had open, and then reads how
// far the committed transactions have come.
func (p *transactional) Open(ctx context.Context, at connector.SinkPosition) (connector.SinkPosition, error) {
	if err := p.Close(); err != nil {
		return at, err
	}
	client, err := p.connect()
	if err != nil {
		return at, err
	}
	p.client, p.query = client, at.Query
	ctx, cancel := context.WithTimeout(ctx, openMax)
	defer cancel()
	if err := client.Ping(ctx); err != nil { // it says what is wrong, where other requests only wait
		return at, p.failure("connect", err)
	}
	if _, _, err := client.ProducerID(ctx); err != nil {
		return at, p.failure("take over the transactional id", err)
	}
	next, query, ok, err := p.committed(ctx)
	if err != nil {
		return at, p.failure("read the position", err)
	}
	if ok && query == at.Query {
		at.Next = next
	}
	return at, nil
}

func (p *transactional) failure(doing string, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer from %s in time", strings.Join(p.brokers, ", "))
	}
	return failure(p.topic, fmt.Errorf("%s: %w", doing, err))
}

// committed reads the position that the group keeps: of which query, and its first row that is not there.
func (p *transactional) committed(ctx context.Context) (next int64, query uint64, ok bool, err error) {
	for attempt := 0; ; attempt++ {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.RequireStable = p.name, true
		group := kmsg.NewOffsetFetchRequestGroup()
		group.Group = p.name
		topic, groupTopic := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		topic.Topic, topic.Partitions = p.topic, []int32{0}
		groupTopic.Topic, groupTopic.Partitions = p.topic, []int32{0}
		req.Topics, group.Topics = append(req.Topics, topic), append(group.Topics, groupTopic)
		req.Groups = append(req.Groups, group) // the form of later versions
		resp, err := req.RequestWith(ctx, p.client)
		if err == nil {
			next, text, err := positionIn(resp)
			if err == nil {
				query, bad := strconv.ParseUint(strings.TrimPrefix(text, "query "), 10, 64)
				return next, query, next >= 0 && bad == nil, nil
			}
			if errors.Is(err, kerr.GroupIDNotFound) {
				return 0, 0, false, nil
			}
			if !kerr.IsRetriable(err) {
				return 0, 0, false, err
			}
		}
		if e := pause(ctx, attempt); e != nil {
			return 0, 0, false, errors.Join(err, e)
		}
	}
}

// positionIn finds the one offset of an answer in the forms that it may have; -1: there is none.
func positionIn(resp *kmsg.OffsetFetchResponse) (next int64, metadata string, err error) {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return -1, "", err
	}
	for _, t := range resp.Topics {
		for _, q := range t.Partitions {
			return q.Offset, text(q.Metadata), kerr.ErrorForCode(q.ErrorCode)
		}
	}
	for _, g := range resp.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return -1, "", err
		}
		for _, t := range g.Topics {
			for _, q := range t.Partitions {
				return q.Offset, text(q.Metadata), kerr.ErrorForCode(q.ErrorCode)
			}
		}
	}
	return -1, "", nil
}

// Deliver implements connector.Sink.
func (p *transactional) Deliver(ctx context.Context, rows []connector.SinkRow) (connector.Delivery, error) {
	var d connector.Delivery
	err := p.some(ctx, rows, 0, len(rows), &d)
	return d, err
}

// some delivers rows[from:to] in one transaction. When the brokers find them too large, it delivers half of them, and so on, until it is
// known which of them are.
func (p *transactional) some(ctx context.Context, rows []connector.SinkRow, from, to int, d *connector.Delivery) error {
	err := p.transaction(ctx, rows[from:to])
	switch {
	case err == nil:
		d.Done = to
		return nil
	case !errors.Is(err, kerr.MessageTooLarge):
		return p.failure("deliver", err)
	case to-from == 1:
		d.Dead = append(d.Dead, connector.DeadLetter{Row: from, Code: "MESSAGE_TOO_LARGE", Reason: fmt.Sprintf("kafka topic %q: the row is larger than the brokers accept", p.topic)})
		d.Done = to
		return nil
	}
	middle := (from + to) / 2
	if err := p.some(ctx, rows, from, middle, d); err != nil {
		return err
	}
	return p.some(ctx, rows, middle, to, d)
}

// transaction puts rows and the position behind them there, both or neither. After an error it is not known which, unless that says so.
func (p *transactional) transaction(ctx context.Context, rows []connector.SinkRow) error {
	if err := p.client.BeginTransaction(); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, deliverMax)
	defer cancel()
	err := p.produce(bounded, rows)
	if err == nil {
		err = p.note(bounded, rows[len(rows)-1].Offset+1)
	}
	if err != nil {
		return errors.Join(err, p.abort(ctx))
	}
	// What has been begun is brought to an end even if the server stops, which then waits a moment for it.
	ending, cancelEnd := context.WithTimeout(context.WithoutCancel(ctx), deliverMax)
	defer cancelEnd()
	defer context.AfterFunc(ctx, func() {
		t := time.NewTimer(abortMax)
		defer t.Stop()
		select {
		case <-t.C:
			cancelEnd()
		case <-ending.Done():
		}
	})()
	return p.client.EndTransaction(ending, kgo.TryCommit)
}

func (p *transactional) abort(ctx context.Context) error {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortMax)
	defer cancel()
	if err := p.client.AbortBufferedRecords(ending); err != nil {
		return err
	}
	return p.client.EndTransaction(ending, kgo.TryAbort)
}

// produce sends the records and waits until all are acknowledged, or one has failed.
func (p *transactional) produce(ctx context.Context, rows []connector.SinkRow) error {
	records := make([]kgo.Record, len(rows))
	list := make([]*kgo.Record, len(rows))
	for i, r := range rows {
		records[i] = kgo.Record{Topic: p.topic, Key: r.Key, Value: r.Body, Headers: []kgo.RecordHeader{{Key: "vigil_id", Value: []byte(r.ID)}}}
		list[i] = &records[i]
	}
	return p.client.ProduceSync(ctx, list...).FirstErr()
}

// note makes the position part of the transaction.
func (p *transactional) note(ctx context.Context, next int64) error {
	id, epoch, err := p.client.ProducerID(ctx)
	if err != nil {
		return err
	}
	err = p.again(ctx, func() error {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, id, epoch, p.name
		resp, err := req.RequestWith(ctx, p.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		return err
	}
	metadata := "query " + strconv.FormatUint(p.query, 10)
	return p.again(ctx, func() error {
		req := kmsg.NewPtrTxnOffsetCommitRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.name, id, epoch, p.name
		topic := kmsg.NewTxnOffsetCommitRequestTopic()
		partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		partition.Offset, partition.Metadata = next, &metadata
		topic.Topic, topic.Partitions = p.topic, append(topic.Partitions, partition)
		req.Topics = append(req.Topics, topic)
		resp, err := req.RequestWith(ctx, p.client)
		if err != nil {
			return err
		}
		if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
			return fmt.Errorf("the answer names %d topics", len(resp.Topics))
		}
		return kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode)
	})
}

// again repeats what failed for a reason that passes.
func (p *transactional) again(ctx context.Context, do func() error) error {
	for attempt := 0; ; attempt++ {
		err := do()
		if err == nil || !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
		if e := pause(ctx, attempt); e != nil {
			return errors.Join(err, e)
		}
	}
}

// Close implements connector.Sink.
func (p *transactional) Close() error {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
	return nil
}
