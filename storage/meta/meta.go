// Package meta keeps what the server must know of itself between two starts: catalogue objects, epoch records, rejected rows,
// query events and IOC entries, as rows in a kv.Store. It gives them no meaning. Most changes are added to a batch of the
// caller, who commits it with all else that an epoch changes. Format: docs/formats/kv.md.
package meta

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/vigil-sql/vigil/storage/kv"
)

// ErrCorrupt is wrapped by the errors about stored bytes that cannot be read.
var ErrCorrupt = errors.New("stored metadata cannot be read")

// The second byte of a key.
const (
	kindNextID   = 0x00
	kindObject   = 0x01
	kindEpoch    = 0x02
	kindRejected = 0x03
	kindEvent    = 0x04
	kindIOC      = 0x05
	kindIOCGone  = 0x06
	kindLate     = 0x07
	kindTableRow = 0x08
	kindTableEnd = 0x09
	kindSequence = 0x0a
	kindDead     = 0x0b
	kindIntake   = 0x10
)

const objectVersion = 1

// Object is a catalogue object: a stream, a query, a function, a list, a sink, a role.
type Object struct {
	Kind string `json:"kind"`
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	SQL  string `json:"sql,omitempty"`
	// Created and Dropped are epochs; Dropped 0 is alive.
	Created uint64            `json:"created"`
	Dropped uint64            `json:"dropped,omitempty"`
	Props   map[string]string `json:"props,omitempty"`
}

// Store gives access to the rows. It is safe for concurrent use.
type Store struct {
	kv kv.Store
	// Rejected holds the rows that streams did not take, Events what happened to queries, Late the rows that came too late for
	// a query, Dead the rows that targets of sinks refused.
	Rejected, Events, Late, Dead *Journal

	// ended: a row version has ended since PurgeTables was called.
	ended atomic.Bool

	mu     sync.Mutex
	nextID uint64
	// trimmed is the first epoch that TrimEpochs has not forgotten since the server started.
	trimmed uint64
}

// Open prepares s for use; three small reads.
func Open(s kv.Store) (*Store, error) {
	st := &Store{kv: s, nextID: 1}
	value, ok, err := s.Get([]byte{kv.PrefixMeta, kindNextID})
	if err != nil {
		return nil, fmt.Errorf("open metadata: %w", err)
	}
	if ok {
		if len(value) != 8 {
			return nil, fmt.Errorf("open metadata: %w: next id %x", ErrCorrupt, value)
		}
		st.nextID = binary.BigEndian.Uint64(value)
	}
	st.Rejected = &Journal{kv: s, kind: kindRejected}
	st.Events = &Journal{kv: s, kind: kindEvent}
	st.Late = &Journal{kv: s, kind: kindLate}
	st.Dead = &Journal{kv: s, kind: kindDead}
	return st, nil
}

// NextID returns an id never given before and adds to b that it was given. If b is not committed the id may be lost, not given twice
// while the server runs.
func (s *Store) NextID(b kv.Batch) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.nextID
	s.nextID++
	b.Set([]byte{kv.PrefixMeta, kindNextID}, binary.BigEndian.AppendUint64(nil, s.nextID))
	return id
}

// Put adds an object to b, in place of the one with its ID.
func (s *Store) Put(b kv.Batch, o Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode %s %s: %w", o.Kind, o.Name, err)
	}
	b.Set(numberKey(kindObject, o.ID), append([]byte{objectVersion}, body...))
	return nil
}

// Add stores a new object by itself, durably, for what no epoch depends on.
func (s *Store) Add(o Object) error {
	b := s.kv.NewBatch()
	o.ID = s.NextID(b)
	if err := s.Put(b, o); err != nil {
		b.Discard()
		return err
	}
	return b.Commit(true)
}

// List returns all objects, the dropped ones too, by ID.
func (s *Store) List() ([]Object, error) {
	var list []Object
	lo, hi := kindRange(kindObject)
	err := s.kv.Scan(lo, hi, func(key, value []byte) (bool, error) {
		o, err := decodeObject(value)
		if err == nil && len(key) == 10 && o.ID != binary.BigEndian.Uint64(key[2:]) {
			err = fmt.Errorf("%w: object %d under key %x", ErrCorrupt, o.ID, key)
		}
		list = append(list, o)
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("list objects: %w", err)
	}
	return list, nil
}

// Keep stores an object under the ID that it has, durably: one that no NextID gives.
func (s *Store) Keep(o Object) error {
	b := s.kv.NewBatch()
	if err := s.Put(b, o); err != nil {
		b.Discard()
		return err
	}
	return b.Commit(true)
}

func decodeObject(value []byte) (Object, error) {
	if err := kv.CheckVersion("a catalogue object", value, objectVersion); err != nil {
		return Object{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var o Object
	if err := json.Unmarshal(value[1:], &o); err != nil {
		return Object{}, fmt.Errorf("%w: object: %w", ErrCorrupt, err)
	}
	return o, nil
}

// PurgeDropped adds to b that the objects dropped at or before the given epoch are forgotten, and returns them. No epoch before the
// given one may have to run again after that.
func (s *Store) PurgeDropped(b kv.Batch, epoch uint64) ([]Object, error) {
	all, err := s.List()
	if err != nil {
		return nil, err
	}
	var gone []Object
	for _, o := range all {
		if o.Dropped != 0 && o.Dropped <= epoch {
			b.Delete(numberKey(kindObject, o.ID))
			gone = append(gone, o)
		}
	}
	return gone, nil
}

// PutEpoch adds the record of epoch n to b.
func (s *Store) PutEpoch(b kv.Batch, n uint64, data []byte) { b.Set(numberKey(kindEpoch, n), data) }

// Epochs calls fn for the epoch records from number from on, until it returns false or an error. data is valid during the call.
func (s *Store) Epochs(from uint64, fn func(n uint64, data []byte) (bool, error)) error {
	_, hi := kindRange(kindEpoch)
	return s.kv.Scan(numberKey(kindEpoch, from), hi, numbered(fn))
}

// LastEpoch returns the newest epoch record; false when there is none.
func (s *Store) LastEpoch() (n uint64, data []byte, ok bool, err error) {
	lo, hi := kindRange(kindEpoch)
	err = s.kv.ScanBack(lo, hi, numbered(func(number uint64, value []byte) (bool, error) {
		n, data, ok = number, append([]byte(nil), value...), true
		return false, nil
	}))
	return n, data, ok, err
}

// trimOneByOne is up to how many epochs TrimEpochs forgets one by one.
const trimOneByOne = 64

// TrimEpochs adds to b that the records before epoch before are forgotten. It begins where the last call ended: ranges that overlap would
// multiply in the store, and those of a server that has little to do would gather there for days, so few records go one by one. Should b fail, what it
// was to remove goes with the first call after a restart.
func (s *Store) TrimEpochs(b kv.Batch, before uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.trimmed
	if from >= before {
		return
	}
	if s.trimmed = before; from == 0 || before-from > trimOneByOne {
		b.DeleteRange(numberKey(kindEpoch, from), numberKey(kindEpoch, before))
		return
	}
	for n := from; n < before; n++ {
		b.Delete(numberKey(kindEpoch, n))
	}
}

func numberKey(kind byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{kv.PrefixMeta, kind}, n)
}

func kindRange(kind byte) (lo, hi []byte) {
	return []byte{kv.PrefixMeta, kind}, []byte{kv.PrefixMeta, kind + 1}
}

// numbered adapts fn to keys made by numberKey.
func numbered(fn func(n uint64, data []byte) (bool, error)) func(key, value []byte) (bool, error) {
	return func(key, value []byte) (bool, error) {
		if len(key) != 10 {
			return false, fmt.Errorf("%w: key %x", ErrCorrupt, key)
		}
		return fn(binary.BigEndian.Uint64(key[2:]), value)
	}
}
