package session

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	store "github.com/vigil-sql/vigil/storage/ioc"
)

// iocLoader gathers the rows of a COPY into an IOC list.
type iocLoader struct {
	s     *Session
	t     *target
	dec   codec.Decoder
	b     *batch.Batch
	row   []types.Value
	rej   []codec.Reject
	load  store.Load
	held  holding
	lines int64
	// infos makes what is known of the rows; now is the clock at the first one.
	infos iocInfos
	now   types.EventTime
	// refused counts the rows that were refused; bad holds the first batch.RowsMax of them.
	refused int64
	bad     []job.Rejected
}

// add decodes a piece; rows that are not indicators of the list's type are put aside with their reason.
func (l *iocLoader) add(data []byte) error {
	if l.b == nil {
		l.b, l.now = batch.New(l.t.schema, nil), l.s.srv.clock()
	}
	for len(data) > 0 {
		l.b.Reset(nil)
		l.rej = l.rej[:0]
		n := l.dec.Decode(data, l.b, 1, &l.rej)
		if n <= 0 {
			return nil
		}
		for _, r := range l.rej { // those before the row, if there is one
			l.lines++
			l.refuse(r.Raw, r.Err)
		}
		for i := range l.b.N {
			l.lines++
			if err := l.put(i); err != nil {
				raw := bytes.TrimRight(data[:n], "\r\n")
				if len(l.rej) > 0 {
					raw = raw[bytes.LastIndexByte(raw, '\n')+1:]
				}
				l.refuse(raw, err)
			}
		}
		if err := l.held.take(l.load.Bytes()); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// put takes a row, unless it is no indicator of the list's type.
func (l *iocLoader) put(i int) error {
	l.row = l.b.Row(l.row[:0], i)
	if l.row[0].Null {
		return sqlerr.New(sqlerr.NotNullViolation, "null value in column \"value\"")
	}
	text, err := ioc.Normalize(l.t.list.Type, l.row[0].S)
	if err != nil {
		return err
	}
	info, expires, err := l.infos.of(l.row, l.now)
	if err != nil {
		return err
	}
	l.load.Add([]byte(text), info, expires)
	return nil
}

// iocInfos makes the stored forms of what rows (catalog.IOCSchema) say of entries; that of the row before serves rows that say the same.
type iocInfos struct {
	list    *catalog.IOCList
	row     []types.Value
	now     types.EventTime
	info    []byte
	expires int64
}

func (x *iocInfos) of(row []types.Value, now types.EventTime) ([]byte, int64, error) {
	same := func(a, b types.Value) bool { return a.Null == b.Null && a.I == b.I && a.S == b.S }
	if x.info != nil && x.now == now && slices.EqualFunc(x.row[1:], row[1:], same) {
		return x.info, x.expires, nil
	}
	info, err := iocInfo(row, now)
	if err != nil {
		return nil, 0, err
	}
	expireAfter(&info, x.list, now)
	if x.info, err = info.Append(); err != nil {
		return nil, 0, err
	}
	x.row, x.now, x.expires = append(x.row[:0], row...), now, ioc.ExpiresOf(x.info)
	for i := range x.row {
		x.row[i].S = strings.Clone(x.row[i].S)
	}
	return x.info, x.expires, nil
}

func (l *iocLoader) refuse(raw []byte, err error) {
	l.refused++
	if len(l.bad) >= batch.RowsMax {
		return
	}
	se := sqlerr.As(err)
	raw = bytes.TrimRight(raw[:min(len(raw), codec.RawMax)], "\r\n")
	l.bad = append(l.bad, job.Rejected{Stream: l.t.list.ID, Code: string(se.Code), Raw: bytes.Clone(raw),
		Reason: sqlerr.New(se.Code, "line %d: %s", l.lines, se.Message).WithHint("%s", se.Hint).Error()})
}

// finish makes the loaded rows one version of the list.
func (l *iocLoader) finish(ctx context.Context) (int, error) {
	if l.load.Len() == 0 && len(l.bad) == 0 {
		return 0, nil
	}
	change := job.IOCChange{ListID: l.t.list.ID, List: l.t.list.Name, Load: &l.load}
	if l.s.changes() != nil { // a transaction looks at single entries
		change.Load = nil
		l.load.Each(func(value, info []byte, _ int64) {
			change.Add = append(change.Add, job.IOCEntry{Value: string(value), Meta: info})
		})
	}
	return l.load.Len(), l.s.applyIOC(ctx, job.Change{IOC: []job.IOCChange{change}, Rejected: l.bad})
}

// iocRows gives the entries of a list, with what the open transaction changes in it.
func (s *Session) iocRows(l *catalog.IOCList, add func([]types.Value) error) error {
	changed := map[string]*job.IOCEntry{} // nil: dropped
	if s.block != nil {
		for _, x := range s.block.foldIOC(nil) {
			if x.ListID != l.ID {
				continue
			}
			for _, v := range x.Drop {
				changed[v] = nil
			}
			for i := range x.Add {
				changed[x.Add[i].Value] = &x.Add[i]
			}
		}
	}
	list := sortedEntries{add: add}
	err := s.srv.eng.IOCEntries(l.ID, func(value string, meta []byte) error {
		if _, ok := changed[value]; ok {
			return nil
		}
		return list.put(value, meta)
	})
	for v, e := range changed {
		if err == nil && e != nil {
			err = list.put(v, e.Meta)
		}
	}
	return cmp.Or(err, list.flush())
}

// sortedEntries gives entries on by value, where there are few; many come as they come.
type sortedEntries struct {
	add  func([]types.Value) error
	held []job.IOCEntry
	many bool
}

// sortedMax is how many entries are few.
const sortedMax = 10_000

func (l *sortedEntries) put(value string, meta []byte) error {
	if l.many {
		return addIOCRow(value, meta, l.add)
	}
	if l.held = append(l.held, job.IOCEntry{Value: value, Meta: slices.Clone(meta)}); len(l.held) <= sortedMax {
		return nil
	}
	l.many = true
	return l.flush()
}

func (l *sortedEntries) flush() error {
	slices.SortFunc(l.held, func(a, b job.IOCEntry) int { return cmp.Compare(a.Value, b.Value) })
	for _, e := range l.held {
		if err := addIOCRow(e.Value, e.Meta, l.add); err != nil {
			return err
		}
	}
	l.held = nil
	return nil
}

func addIOCRow(value string, meta []byte, add func([]types.Value) error) error {
	m, err := ioc.DecodeInfo(meta)
	if err != nil {
		return err
	}
	row := make([]types.Value, len(catalog.IOCSchema.Cols))
	for i, c := range catalog.IOCSchema.Cols {
		row[i] = types.Null(c.Type)
	}
	row[0], row[4] = types.NewText(value), types.NewTime(types.EventTime(m.AddedAt))
	if m.Source != nil {
		row[1] = types.NewText(*m.Source)
	}
	if m.Confidence != nil {
		row[2] = types.NewInt(types.Int4, *m.Confidence)
	}
	if m.ExpiresAt != nil {
		row[3] = types.NewTime(types.EventTime(*m.ExpiresAt))
	}
	if m.FirstSeen != nil {
		row[5] = types.NewTime(types.EventTime(*m.FirstSeen))
	}
	if m.Tags != nil {
		tags := make([]types.Value, len(m.Tags))
		for i, t := range m.Tags {
			tags[i] = types.NewText(t)
		}
		row[6] = types.NewArray(types.Text, tags)
	}
	return add(row)
}
