// Package checkpoint keeps the keyed state of operators between two starts: packed blocks of dirty entries, written in the
// background while workers go on, and made valid all at once by a manifest. A block is opaque bytes; which of two blocks wins for a
// key is decided by the reader, who gets them in the order in which they were written. Format: docs/formats/kv.md.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/vigil-sql/vigil/storage/kv"
)

// ErrCorrupt is wrapped by the errors about stored bytes that cannot be read.
var ErrCorrupt = errors.New("stored checkpoint cannot be read")

// The second byte of a key.
const (
	kindBlock    = 0x01
	kindManifest = 0x02
)

const manifestVersion = 1

// Store is the checkpoint of a server: the last complete one, and perhaps one being written. It is safe for concurrent use.
type Store struct {
	kv kv.Store
	// queueMax bounds what a Writer has not written yet, bytes.
	queueMax int

	mu     sync.Mutex
	writer *Writer // the one that is open
	// unclean: there may be blocks of a checkpoint that was never completed. They must go before a later one completes.
	unclean bool
}

// New returns the checkpoints in s.
func New(s kv.Store) *Store { return &Store{kv: s, unclean: true, queueMax: queueMax} }

// LimitQueue bounds what a Writer holds that is not written yet, bytes, where that is less than the default; 0: no less. It is called before
// the first NewWriter.
func (s *Store) LimitQueue(n int) {
	if n > 0 {
		s.queueMax = min(n, queueMax)
	}
}

// Latest returns the number (an epoch) and the manifest of the last complete checkpoint; ok is false when there is none.
func (s *Store) Latest() (epoch uint64, manifest []byte, ok bool, err error) {
	value, ok, err := s.kv.Get(manifestKey())
	if err != nil {
		return 0, nil, false, fmt.Errorf("read checkpoint manifest: %w", err)
	}
	if !ok {
		return 0, nil, false, nil
	}
	if err := kv.CheckVersion("the checkpoint", value, manifestVersion); err != nil {
		return 0, nil, false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if len(value) < 9 {
		return 0, nil, false, fmt.Errorf("%w: manifest of %d bytes", ErrCorrupt, len(value))
	}
	return binary.BigEndian.Uint64(value[1:]), value[9:], true, nil
}

// Read calls fn for the blocks of an operator that belong to the last complete checkpoint: by slice, then worker, then in the order in
// which they were written. data is valid during the call.
func (s *Store) Read(op uint64, fn func(slice int64, worker uint16, data []byte) error) error {
	latest, _, ok, err := s.Latest()
	if err != nil || !ok {
		return err
	}
	lo := opPrefix(op)
	return s.kv.Scan(lo, kv.PrefixEnd(lo), func(key, value []byte) (bool, error) {
		b, err := parseKey(key)
		if err != nil {
			return false, err
		}
		if b.checkpoint > latest {
			return true, nil
		}
		return true, fn(b.slice, b.worker, value)
	})
}

// Ops returns the operators that have blocks in the last complete checkpoint, so that what dropped queries left can be found.
func (s *Store) Ops() ([]uint64, error) {
	latest, _, ok, err := s.Latest()
	if err != nil || !ok {
		return nil, err
	}
	var ops []uint64
	lo, hi := []byte{kv.PrefixCheckpoint, kindBlock}, []byte{kv.PrefixCheckpoint, kindBlock + 1}
	for {
		found := false
		err := s.kv.Scan(lo, hi, func(key, _ []byte) (bool, error) {
			b, err := parseKey(key)
			if err != nil || b.checkpoint > latest {
				return true, err
			}
			ops, found = append(ops, b.op), true
			return false, nil
		})
		if err != nil || !found {
			return ops, err
		}
		if lo = kv.PrefixEnd(opPrefix(ops[len(ops)-1])); lo == nil {
			return ops, nil
		}
	}
}

// Cleanup removes the blocks of a checkpoint that was never completed, unless one is being written. The first NewWriter does so too; it
// reads all blocks, so that the start of a server is the time for it.
func (s *Store) Cleanup() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writer != nil || !s.unclean {
		return nil
	}
	return s.cleanup()
}

// cleanup is called with mu held.
func (s *Store) cleanup() error {
	latest, _, ok, err := s.Latest()
	if err != nil {
		return err
	}
	lo, hi := []byte{kv.PrefixCheckpoint, kindBlock}, []byte{kv.PrefixCheckpoint, kindBlock + 1}
	b := s.kv.NewBatch()
	if !ok {
		b.DeleteRange(lo, hi)
		return s.cleaned(b)
	}
	err = s.kv.Scan(lo, hi, func(key, _ []byte) (bool, error) {
		k, err := parseKey(key)
		if err == nil && k.checkpoint > latest {
			b.Delete(key)
		}
		return err == nil, err
	})
	if err != nil {
		b.Discard()
		return fmt.Errorf("clean up checkpoint: %w", err)
	}
	return s.cleaned(b)
}

func (s *Store) cleaned(b kv.Batch) error {
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("clean up checkpoint: %w", err)
	}
	s.unclean = false
	return nil
}

// DropOp removes all blocks of an operator at once. Recovery then finds it empty: for a running server use Writer.DropOp, which takes effect
// with the checkpoint.
func (s *Store) DropOp(op uint64) error {
	b := s.kv.NewBatch()
	lo := opPrefix(op)
	b.DeleteRange(lo, kv.PrefixEnd(lo))
	if err := b.Commit(false); err != nil {
		return fmt.Errorf("drop operator %d from the checkpoint: %w", op, err)
	}
	return nil
}

// block is what a block's key says.
type block struct {
	op         uint64
	slice      int64
	worker     uint16
	checkpoint uint64
	index      uint32
}

const keyBytes = 2 + 8 + 8 + 2 + 8 + 4

func opPrefix(op uint64) []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, keyBytes), kv.PrefixCheckpoint, kindBlock), op)
}

func slicePrefix(op uint64, slice int64) []byte {
	// The sign is flipped so that keys sort as slices do.
	return binary.BigEndian.AppendUint64(opPrefix(op), uint64(slice)^(1<<63))
}

func workerPrefix(op uint64, slice int64, worker uint16) []byte {
	return binary.BigEndian.AppendUint16(slicePrefix(op, slice), worker)
}

func (b block) key() []byte {
	key := binary.BigEndian.AppendUint64(workerPrefix(b.op, b.slice, b.worker), b.checkpoint)
	return binary.BigEndian.AppendUint32(key, b.index)
}

func parseKey(key []byte) (block, error) {
	if len(key) != keyBytes {
		return block{}, fmt.Errorf("%w: key %x", ErrCorrupt, key)
	}
	return block{
		op:         binary.BigEndian.Uint64(key[2:]),
		slice:      int64(binary.BigEndian.Uint64(key[10:]) ^ (1 << 63)),
		worker:     binary.BigEndian.Uint16(key[18:]),
		checkpoint: binary.BigEndian.Uint64(key[20:]),
		index:      binary.BigEndian.Uint32(key[28:]),
	}, nil
}

func manifestKey() []byte { return []byte{kv.PrefixCheckpoint, kindManifest} }

func encodeManifest(n uint64, manifest []byte) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{manifestVersion}, n), manifest...)
}

// indexMax bounds the blocks of one checkpoint for one worker and slice.
const indexMax = math.MaxUint32
