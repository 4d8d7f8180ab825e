package kv

import "bytes"

// node is an immutable treap: ordered by key, heap-ordered by priority (a hash of the key, so that the expected depth is
// logarithmic whatever the order of insertion). Each change copies the path to it; nil is the empty tree.
type node struct {
	key, value  []byte
	priority    uint64
	left, right *node
}

func (n *node) get(key []byte) ([]byte, bool, error) {
	for n != nil {
		switch c := bytes.Compare(key, n.key); {
		case c == 0:
			return append([]byte{}, n.value...), true, nil
		case c < 0:
			n = n.left
		default:
			n = n.right
		}
	}
	return nil, false, nil
}

// split returns the keys below key and those from key on.
func (n *node) split(key []byte) (below, from *node) {
	if n == nil {
		return nil, nil
	}
	c := *n
	if bytes.Compare(n.key, key) < 0 {
		c.right, from = n.right.split(key)
		return &c, from
	}
	below, c.left = n.left.split(key)
	return below, &c
}

// merge joins two trees; every key of a is below every key of b.
func merge(a, b *node) *node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.priority > b.priority:
		c := *a
		c.right = merge(a.right, b)
		return &c
	default:
		c := *b
		c.left = merge(a, b.left)
		return &c
	}
}

func (n *node) set(key, value []byte, priority uint64) *node {
	below, from := n.split(key)
	_, above := from.split(append(bytes.Clone(key), 0))
	return merge(merge(below, &node{key: key, value: value, priority: priority}), above)
}

func (n *node) deleteRange(lo, hi []byte) *node {
	if hi != nil && bytes.Compare(lo, hi) >= 0 {
		return n
	}
	below, from := n.split(lo)
	if hi == nil {
		return below
	}
	_, above := from.split(hi)
	return merge(below, above)
}

// scan returns false when fn ended it.
func (n *node) scan(lo, hi []byte, fn func(key, value []byte) (bool, error)) (bool, error) {
	if n == nil {
		return true, nil
	}
	fromLo, belowHi := bytes.Compare(n.key, lo) >= 0, hi == nil || bytes.Compare(n.key, hi) < 0
	if fromLo {
		if more, err := n.left.scan(lo, hi, fn); !more || err != nil {
			return false, err
		}
		if belowHi {
			if more, err := fn(n.key, n.value); !more || err != nil {
				return false, err
			}
		}
	}
	if !belowHi {
		return true, nil
	}
	return n.right.scan(lo, hi, fn)
}

func (n *node) scanBack(lo, hi []byte, fn func(key, value []byte) (bool, error)) (bool, error) {
	if n == nil {
		return true, nil
	}
	fromLo, belowHi := bytes.Compare(n.key, lo) >= 0, hi == nil || bytes.Compare(n.key, hi) < 0
	if belowHi {
		if more, err := n.right.scanBack(lo, hi, fn); !more || err != nil {
			return false, err
		}
		if fromLo {
			if more, err := fn(n.key, n.value); !more || err != nil {
				return false, err
			}
		}
	}
	if !fromLo {
		return true, nil
	}
	return n.left.scanBack(lo, hi, fn)
}
