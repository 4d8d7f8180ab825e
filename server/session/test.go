package session

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/results"
)

const (
	// testsMax is how many tests run at a time; further ones wait for their turn.
	testsMax = 2
	// testRowsMax bounds the result rows of a test, and testNotesMax the rejected lines that it tells of one by one.
	testRowsMax  = 200_000
	testNotesMax = 1000
)

// testColumns are what TEST CONTINUOUS QUERY .. EXPECT tells.
var testColumns = types.Schema{Cols: []types.Column{
	{Name: "status", Type: types.T(types.Text)}, {Name: "row", Type: types.T(types.JSON)},
}}

// queryTest is TEST CONTINUOUS QUERY: a query's plan, with those of the queries that it reads, in a small engine of its own.
// Nothing of the server changes.
type queryTest struct {
	s       *Session
	st      *parse.TestQuery
	q       *catalog.Query
	streams []*catalog.Stream
	tables  []*catalog.Table
	lists   []*catalog.IOCList
	queries []*catalog.Query // each after those that it reads; the last one is q
	using   map[uint64]*parse.Fixture
}

// planTest plans TEST CONTINUOUS QUERY.
func (s *Session) planTest(st *parse.TestQuery) (*statement, error) {
	q, ok := s.relation(st.Name).(*catalog.Query)
	if !ok {
		return nil, sqlerr.As(noQuery(display(st.Name))).At(st.Name.Pos)
	}
	t := &queryTest{s: s, st: st, q: q, using: map[uint64]*parse.Fixture{}}
	t.collect(s.snapshot(), q, map[uint64]bool{})
	if err := t.assign(); err != nil {
		return nil, err
	}
	out := &statement{s: s, cols: &q.Schema, changes: true, tag: func(int64) string { return "TEST" }, rows: t.run}
	if st.Expect != nil {
		out.cols = &testColumns
	}
	return out, nil
}

// collect finds all that a query reads.
func (t *queryTest) collect(snap *catalog.Snapshot, q *catalog.Query, seen map[uint64]bool) {
	first := func(id uint64) bool {
		was := seen[id]
		seen[id] = true
		return !was
	}
	if !first(q.ID) {
		return
	}
	for _, id := range q.Queries {
		if below, ok := snap.ByID(id).(*catalog.Query); ok {
			t.collect(snap, below, seen)
		}
	}
	for _, id := range q.Streams {
		if r, ok := snap.ByID(id).(*catalog.Stream); ok && first(id) {
			t.streams = append(t.streams, r)
		}
	}
	for _, id := range q.Tables {
		if r, ok := snap.ByID(id).(*catalog.Table); ok && first(id) {
			t.tables = append(t.tables, r)
		}
	}
	for _, name := range q.Lists {
		if r, ok := snap.Named(name).(*catalog.IOCList); ok && first(r.ID) {
			t.lists = append(t.lists, r)
		}
	}
	t.queries = append(t.queries, q)
}

// assign gives each stream its events.
func (t *queryTest) assign() error {
	names := make([]string, len(t.streams))
	for i, st := range t.streams {
		names[i] = st.Name
	}
	hint := "It reads " + strings.Join(names, ", ") + ": USING " + strings.Join(names, " = '..', ") + " = '..'."
	for i := range t.st.Using {
		f := &t.st.Using[i]
		id := uint64(0)
		if f.Stream.Name == "" {
			if len(t.streams) != 1 || len(t.st.Using) != 1 {
				return sqlerr.New(sqlerr.AmbiguousColumn, "it is not clear to which stream the events belong").At(f.Pos).WithHint("%s", hint)
			}
			id = t.streams[0].ID
		} else if r, ok := t.s.relation(f.Stream).(*catalog.Stream); ok {
			id = r.ID
		}
		if !t.reads(id) {
			return sqlerr.New(sqlerr.UndefinedTable, "continuous query %q reads no stream %q", t.q.Name, display(f.Stream)).At(f.Pos).WithHint("%s", hint)
		}
		if t.using[id] != nil {
			return sqlerr.New(sqlerr.DuplicateAlias, "stream %q has events twice", display(f.Stream)).At(f.Pos)
		}
		t.using[id] = f
	}
	for _, st := range t.streams {
		if t.using[st.ID] == nil {
			return sqlerr.New(sqlerr.UndefinedObject, "there are no events for stream %q", st.Name).At(t.st.Pos).
				WithHint("Where it has none, write %s = ''.", st.Name)
		}
	}
	return nil
}

func (t *queryTest) reads(stream uint64) bool {
	for _, st := range t.streams {
		if st.ID == stream {
			return true
		}
	}
	return false
}

// run runs the test and gives its rows.
func (t *queryTest) run(ctx context.Context, _ []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
	in, err := t.read()
	if err != nil {
		return err
	}
	select {
	case t.s.srv.tests <- struct{}{}:
		defer func() { <-t.s.srv.tests }()
	case <-ctx.Done():
		return ctx.Err()
	}
	r := &testRun{queryTest: t, input: in}
	if err := r.open(); err != nil {
		return err
	}
	defer r.close()
	if err := r.load(ctx); err != nil {
		return err
	}
	if err := r.play(ctx); err != nil {
		return err
	}
	got, err := r.result()
	if err != nil {
		return err
	}
	rejected, err := r.rejectedRows()
	if err != nil {
		return err
	}
	r.warnLate(out)
	if t.st.Expect == nil {
		return t.show(got, rejected, emit, out)
	}
	return t.compare(in.expect, got, rejected, emit)
}

// show gives the result's rows; rejected lines are warnings.
func (t *queryTest) show(got [][]types.Value, rejected [][]byte, emit func([]types.Value) error, out pgwire.Output) error {
	for _, line := range rejected {
		out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(sqlerr.InvalidTextRepresentation, "rejected: %s", line)})
	}
	for _, row := range got {
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}

// compare tells how the result differs from the rows that were expected.
func (t *queryTest) compare(expect []expectedRow, got [][]types.Value, rejected [][]byte, emit func([]types.Value) error) error {
	m := newRowMatch(expect, got)
	if err := m.match(); err != nil {
		return err
	}
	tell := func(status string, row []byte) error {
		return emit([]types.Value{types.NewText(status), {Type: types.T(types.JSON), S: string(row)}})
	}
	for i := range expect {
		if m.rowOf[i] < 0 {
			if err := tell("missing", expect[i].text); err != nil {
				return err
			}
		}
	}
	for i, row := range got {
		if m.expectOf[i] < 0 {
			if err := tell("unexpected", codec.AppendJSONRow(nil, t.q.Schema.Cols, row)); err != nil {
				return err
			}
		}
	}
	for _, line := range rejected {
		if err := tell("rejected", line); err != nil {
			return err
		}
	}
	return nil
}

// testRun is a test under way.
type testRun struct {
	*queryTest
	input *testInput
	eng   *job.Engine
	clock types.EventTime
	// refused counts the lines that were no events.
	refused int64
	mu      sync.Mutex
	broken  error // why the engine took a query out of service
}

// open starts the engine. Its clock stands at the newest event, so that the test has the same result on any day.
func (r *testRun) open() error {
	srv := r.s.srv
	r.clock = types.MinTime
	for _, st := range r.streams {
		for _, e := range r.input.entries[st.ID] {
			_, err := srv.eng.Decode(&st.Stream, e, func(b *batch.Batch) error {
				for row := range b.N {
					if st.TimeCol >= 0 && !b.Cols[st.TimeCol].IsNull(row) {
						r.clock = max(r.clock, types.EventTime(b.Cols[st.TimeCol].I64[row]))
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if r.clock == types.MinTime {
		r.clock = srv.clock()
	}
	cfg := job.Config{Workers: 1, Clock: func() types.EventTime { return r.clock }, Codecs: codec.Builtins(), OnState: r.deactivated}
	if f := srv.eng.Functions(); f != nil {
		cfg.UDF = serverFunctions{f} // they go on as they are, whatever the test does
	}
	var err error
	r.eng, err = job.OpenMemory(cfg)
	return err
}

// serverFunctions are the server's functions as the engine of a test calls them.
type serverFunctions struct{ *job.Functions }

func (r *testRun) deactivated(id uint64, _, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queries {
		if q.ID == id && r.broken == nil {
			r.broken = sqlerr.New(sqlerr.ObjectNotInPrerequisite, "continuous query %q was taken out of service in the test: %s", q.Name, reason)
		}
	}
}

// closeMax bounds how long a test's engine may take to come to rest; what it holds then is thrown away.
const closeMax = 5 * time.Second

func (r *testRun) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeMax)
	defer cancel()
	if err := r.eng.Close(ctx); err != nil {
		r.s.srv.log.Warn("close the engine of a test", "error", err)
	}
}

// load creates what the query reads, with the rows of tables and lists as the connection sees them.
func (r *testRun) load(ctx context.Context) error {
	var ch job.Change
	add := func(kind string, id uint64, name string, def any) {
		ch.Create = append(ch.Create, job.Object{Def: def, Meta: meta.Object{Kind: kind, ID: id, Name: name, Props: map[string]string{}}})
	}
	for _, l := range r.lists {
		add(kindIOC, l.ID, l.Name, &l.IOCList)
		x := job.IOCChange{ListID: l.ID, List: l.Name}
		err := r.s.iocRows(l, func(row []types.Value) error {
			x.Add = append(x.Add, job.IOCEntry{Value: row[0].S})
			return nil
		})
		if err != nil {
			return err
		}
		ch.IOC = append(ch.IOC, x)
	}
	tables := r.s.tables()
	for _, tb := range r.tables {
		add(kindTable, tb.ID, tb.Name, &tb.Table)
		x := job.TableChange{TableID: tb.ID}
		err := tables.Scan(tb.ID, func(b *batch.Batch, _ []uint64) error {
			for row := range b.N {
				x.Add = append(x.Add, table.Row{Values: b.Row(nil, row)})
			}
			return nil
		})
		if err != nil {
			return err
		}
		ch.Tables = append(ch.Tables, x)
	}
	for _, st := range r.streams {
		// The events come from the test, all of them at one time: neither a connector nor the time since creation plays a part.
		d := st.Stream
		d.Connector, d.Options, d.Created = "", nil, r.clock
		add(kindStream, d.ID, d.Name, &d)
	}
	for _, q := range r.queries {
		d := q.Query
		d.Created, d.Limits = r.clock, spec.Limits{} // a test is about what the query finds, not about the machine
		add(kindQuery, d.ID, d.Name, &d)
	}
	if err := r.eng.Apply(ctx, ch); err != nil {
		return err
	}
	for _, q := range r.queries {
		if _, ok := r.eng.Query(q.ID); !ok {
			return fmt.Errorf("the engine of the test did not take query %s", q.Name)
		}
	}
	return nil
}

// play runs all events, and then lets time end.
func (r *testRun) play(ctx context.Context) error {
	for _, st := range r.streams {
		if entries := r.input.entries[st.ID]; len(entries) > 0 {
			out, err := r.eng.Append(ctx, st.ID, entries)
			if err != nil {
				return err
			}
			r.refused += out.Rejected
		}
	}
	if err := r.eng.Settle(ctx); err != nil {
		return err
	}
	if err := r.eng.EndTime(ctx); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.broken
}

// result reads the rows that the query's changelog leaves.
func (r *testRun) result() ([][]types.Value, error) {
	ts := make([]types.Type, len(r.q.Schema.Cols))
	for i := range ts {
		ts[i] = r.q.Schema.Cols[i].Type
	}
	var content job.Content
	err := r.eng.Results().Scan(r.q.ID, 0, 0, func(row results.Row) (bool, error) {
		content.Change(row)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	list := content.Rows()
	if len(list) > testRowsMax {
		return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "the result has %d rows; a test compares %d at most", len(list), testRowsMax).
			WithHint("Give it fewer events.")
	}
	got := make([][]types.Value, len(list))
	for i := range list {
		if got[i], err = codec.DecodeRow(ts, list[i].Data); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// rejectedLine is how a line, or a row, that was left out is told.
type rejectedLine struct {
	Reason string `json:"reason"`
	Stream string `json:"stream,omitempty"`
	Query  string `json:"query,omitempty"`
	Line   string `json:"line,omitempty"`
	More   int64  `json:"more,omitempty"`
}

// rejectedRows tells which lines were no events, and for which rows a query failed.
func (r *testRun) rejectedRows() ([][]byte, error) {
	names := map[uint64]string{}
	for _, st := range r.streams {
		names[st.ID] = st.Name
	}
	for _, q := range r.queries {
		names[q.ID] = q.Name
	}
	var list [][]byte
	lines, rows := int64(0), int64(0)
	err := r.eng.Meta().Rejected.Scan(0, func(_ uint64, data []byte) (bool, error) {
		x, err := job.DecodeRejected(data)
		if err != nil {
			return false, err
		}
		if x.Query == 0 {
			lines++
		} else {
			rows++
		}
		if len(list) >= testNotesMax {
			return true, nil
		}
		text, err := json.Marshal(rejectedLine{Reason: x.Reason, Stream: names[x.Stream], Query: names[x.Query],
			Line: strings.ToValidUTF8(string(x.Raw), "\uFFFD")})
		list = append(list, text)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	if more := max(lines, r.refused) + rows - int64(len(list)); more > 0 {
		text, err := json.Marshal(rejectedLine{Reason: "too many lines to tell each", More: more})
		return append(list, text), err
	}
	return list, nil
}

// warnLate tells of events that came too late: their order in the file decides, as on the wire.
func (r *testRun) warnLate(out pgwire.Output) {
	for _, q := range r.queries {
		if st, ok := r.eng.Query(q.ID); ok && st.Late > 0 {
			out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(sqlerr.InvalidParameterValue, "%d rows came too late for continuous query %q", st.Late, q.Name).
				WithHint("The watermark had passed them: sort the events by time, or mean it.")})
		}
	}
}
