package table

import (
	"slices"
	"sort"
	"sync"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/state"
)

// version is one version of a row. It belongs to the epochs from added to before dropped (0: it still does), and to the times
// from from to before to.
type version struct {
	number         uint64
	added, dropped uint64
	from, to       int64
}

// chunkRows is the number of rows of one chunk.
const chunkRows = 4096

// core is the versions of a table by ascending number, their rows in columnar chunks, and the indexes over them. mu guards
// against the one who changes it, who alone may read without it.
type core struct {
	schema  *types.Schema
	mu      sync.RWMutex
	vers    []version
	chunks  []*batch.Batch
	indexes []*index
}

// row tells where the columns of version i are.
func (c *core) row(i int) (*batch.Batch, int) { return c.chunks[i/chunkRows], i % chunkRows }

// find returns the place of a version by its number, -1 when it is not there.
func (c *core) find(number uint64) int {
	i := sort.Search(len(c.vers), func(i int) bool { return c.vers[i].number >= number })
	if i == len(c.vers) || c.vers[i].number != number {
		return -1
	}
	return i
}

// add appends a version with its row.
func (c *core) add(v version, row []types.Value) error {
	i := len(c.vers)
	if i/chunkRows == len(c.chunks) {
		c.chunks = append(c.chunks, batch.New(c.schema, nil))
	}
	b := c.chunks[i/chunkRows]
	b.AppendRow(row)
	for _, x := range c.indexes {
		if err := x.add(b, i%chunkRows, i); err != nil {
			b.Truncate(i % chunkRows)
			return err
		}
	}
	c.vers = append(c.vers, v)
	return nil
}

// index returns the index over columns, nil when there is none. Concurrent readers must hold mu, or the lock of changes.
func (c *core) index(cols []int) *index {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.indexOf(cols)
}

func (c *core) indexOf(cols []int) *index {
	for _, x := range c.indexes {
		if slices.Equal(x.cols, cols) {
			return x
		}
	}
	return nil
}

// known tells whether the primary key of a row has had a version that can be asked for at a clock.
func (c *core) known(row []types.Value, clock int64) bool {
	x := c.indexes[0]
	x.key = x.key[:0]
	for _, k := range x.cols {
		x.key = batch.AppendKeyValue(x.key, row[k])
	}
	for at := x.head(x.key, batch.HashKey(x.key)); at != 0; at = x.next[at-1] {
		if v := &c.vers[at-1]; v.dropped == 0 || v.to > clock-Horizon {
			return true
		}
	}
	return false
}

// index finds versions by the values of columns. Places are counted from 1, so that 0 is none; a chain goes from newer to
// older versions.
type index struct {
	cols []int
	// unique: at most one living row has the values.
	unique bool
	keys   state.Table
	heads  []uint32 // by key number
	next   []uint32 // by version
	// nulls is the chain of the versions with a NULL among the columns: no equality finds them.
	nulls uint32
	// scratch, of who changes the table.
	key  []byte
	gids []uint32
	off  [2]uint32
	hash [1]uint64
}

func newIndex(cols []int, unique bool) *index { return &index{cols: cols, unique: unique} }

// fill adds all versions there are.
func (x *index) fill(c *core) error {
	for i := range c.vers {
		b, r := c.row(i)
		if err := x.add(b, r, i); err != nil {
			return err
		}
	}
	return nil
}

// add adds version i, which is the next one; its columns are row r of b.
func (x *index) add(b *batch.Batch, r, i int) error {
	x.key = x.key[:0]
	for _, k := range x.cols {
		if b.Cols[k].IsNull(r) {
			x.next = append(x.next[:i], x.nulls)
			x.nulls = uint32(i + 1)
			return nil
		}
		x.key = batch.AppendKey(x.key, &b.Cols[k], r)
	}
	x.off[1], x.hash[0] = uint32(len(x.key)), batch.HashKey(x.key)
	rows := state.Rows{Buf: x.key, Off: x.off[:], Hash: x.hash[:]}
	var err error
	if x.gids, err = x.keys.FindOrAdd(rows, batch.All(1), x.gids[:0]); err != nil {
		return err
	}
	gid := x.gids[0]
	if int(gid) == len(x.heads) {
		x.heads = append(x.heads, 0)
	}
	x.next = append(x.next[:i], x.heads[gid])
	x.heads[gid] = uint32(i + 1)
	return nil
}

// head is the newest version with a key, 0 when there is none.
func (x *index) head(key []byte, hash uint64) uint32 {
	gid, ok := x.keys.Find(key, hash)
	if !ok || int(gid) >= len(x.heads) {
		return 0
	}
	return x.heads[gid]
}
