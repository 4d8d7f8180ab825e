package job

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	store "github.com/vigil-sql/vigil/storage/ioc"
	"github.com/vigil-sql/vigil/storage/meta"
)

// migrateLists moves the entries that earlier versions kept in storage/meta to storage/ioc, each with the epochs in which it was an
// entry, in the form that its value has now. It is done again from the beginning should it not get to its end.
func (r *recovery) migrateLists() error {
	e := r.e
	old, err := e.meta.HasIOC()
	if err != nil || !old {
		return err
	}
	if err := e.ioc.Clear(); err != nil {
		return err
	}
	b := e.kv.NewBatch()
	defer b.Discard()
	m := &migration{r: r, later: map[uint64][]store.Change{}, b: b}
	for i := range r.objects {
		if d, ok := r.objects[i].Def.(*spec.IOCList); ok {
			if err := m.read(d); err != nil {
				return err
			}
		}
	}
	if err := m.stage(r.cut.epoch, m.base); err != nil {
		return err
	}
	for _, n := range slices.Sorted(maps.Keys(m.later)) {
		if err := m.stage(n, m.later[n]); err != nil {
			return err
		}
	}
	e.meta.RemoveIOC(b)
	if err := b.Commit(true); err != nil {
		return err
	}
	e.log.Info("the entries of IOC lists were brought into the store of this version", "entries", m.entries, "refused", m.refused)
	return nil
}

// migration is what migrateLists has read.
type migration struct {
	r *recovery
	// base are the lists at the last checkpoint, later what changed after it, by epoch.
	base             []store.Change
	later            map[uint64][]store.Change
	b                batchKV
	entries, refused int
}

// read reads what is kept of a list.
func (m *migration) read(d *spec.IOCList) error {
	base := store.Change{List: d.ID, Create: true, Load: &store.Load{}}
	cut := m.r.cut.epoch
	err := m.r.e.meta.ScanIOCAll(d.ID, func(x meta.IOCEntry) (bool, error) {
		v, err := ioc.Normalize(d.Type, string(x.Value))
		if err != nil {
			return true, m.refuse(d, x, err)
		}
		m.entries++
		if x.Added > cut {
			c := m.change(x.Added, d.ID)
			c.Add = append(c.Add, store.Addition{Value: v, Info: slices.Clone(x.Meta), Expires: ioc.ExpiresOf(x.Meta)})
		} else if x.Deleted == 0 || x.Deleted > cut {
			base.Load.Add([]byte(v), x.Meta, ioc.ExpiresOf(x.Meta))
		}
		if x.Deleted > cut {
			c := m.change(x.Deleted, d.ID)
			c.Drop = append(c.Drop, v)
		}
		return true, nil
	})
	m.base = append(m.base, base)
	return err
}

// change is what changes in a list in an epoch.
func (m *migration) change(epoch, list uint64) *store.Change {
	for i := range m.later[epoch] {
		if c := &m.later[epoch][i]; c.List == list {
			return c
		}
	}
	m.later[epoch] = append(m.later[epoch], store.Change{List: list})
	return &m.later[epoch][len(m.later[epoch])-1]
}

// refuse keeps an entry that an earlier version took and this one does not, where refused rows are.
func (m *migration) refuse(d *spec.IOCList, x meta.IOCEntry, why error) error {
	m.refused++
	se := sqlerr.As(why)
	row := Rejected{Stream: d.ID, At: int64(m.r.e.cfg.Clock()), Epoch: m.r.last, Code: string(se.Code), Reason: se.Error(), Raw: slices.Clone(x.Value)}
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	m.r.e.meta.Rejected.Add(m.b, row.At, data)
	return nil
}

func (m *migration) stage(epoch uint64, changes []store.Change) error {
	if len(changes) == 0 {
		return nil
	}
	seq, err := m.r.e.ioc.Stage(changes)
	if err == nil {
		m.r.e.ioc.Publish(m.b, epoch, seq)
	}
	return err
}
