package expr

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// iocEntryNode is ioc_match or ioc_info of a list and X.
type iocEntryNode struct {
	x   node
	e   *IOCEntry
	out batch.Vec
}

func (n *iocEntryNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	v, err := n.x.eval(ev, sel)
	if err != nil {
		return nil, err
	}
	n.out.Reset(n.e.Type())
	if len(sel) == 0 {
		return &n.out, nil
	}
	finder, ok := ev.ctx.IOC.(EntryFinder)
	if !ok {
		return nil, errNoIOC
	}
	if n.e.Version {
		version := int64(finder.Version(n.e.List))
		for range sel {
			n.out.AppendInt(version)
		}
		return &n.out, nil
	}
	err = finder.FindEntries(n.e.List, v, func(row int, entry string, info func() string) {
		for n.out.N < row {
			n.out.AppendNull()
		}
		if n.e.Info {
			entry = info()
		}
		n.out.AppendString(entry)
	})
	for n.out.N < len(sel) {
		n.out.AppendNull()
	}
	return &n.out, err
}

// Type implements Expr.
func (e *IOCEntry) Type() types.Type {
	switch {
	case e.Version:
		return types.T(types.Int8)
	case e.Info:
		return types.T(types.JSONB)
	}
	return types.T(types.Text)
}

// String implements Expr.
func (e *IOCEntry) String() string {
	name := "ioc_match"
	if e.Version {
		return fmt.Sprintf("ioc_version(%s)", e.List)
	}
	if e.Info {
		name = "ioc_info"
	}
	return fmt.Sprintf("%s(%s, %s)", name, e.List, e.X)
}
