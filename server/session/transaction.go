package session

import (
	"context"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// savepointsMax is how many savepoints may lie in each other.
const savepointsMax = 150

// transaction runs BEGIN, COMMIT, ROLLBACK and savepoints.
func (s *Session) transaction(ctx context.Context, st *parse.Transaction, out pgwire.Output) (string, error) {
	warn := func(code sqlerr.Code, text string) {
		out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(code, "%s", text)})
	}
	switch st.Op {
	case "BEGIN", "START TRANSACTION":
		if s.tx == 'T' {
			warn(sqlerr.InvalidTransactionState, "there is already a transaction in progress")
		}
		s.tx = 'T'
		s.settings.begin()
		return st.Op, s.setModes(st.Modes, "", true)
	case "COMMIT", "ROLLBACK":
		return s.endBlock(ctx, st.Op, warn)
	}
	if s.tx == 'I' {
		return "", sqlerr.New(sqlerr.NoActiveTransaction, "%s can only be used in transaction blocks", st.Op)
	}
	return s.savepoint(st)
}

// endBlock runs COMMIT and ROLLBACK: a failed block can only be rolled back.
func (s *Session) endBlock(ctx context.Context, op string, warn func(sqlerr.Code, string)) (string, error) {
	switch s.tx {
	case 'I':
		warn(sqlerr.NoActiveTransaction, "there is no transaction in progress")
	case 'E':
		op = "ROLLBACK"
	}
	s.tx = 'I'
	if op == "ROLLBACK" {
		s.rollback()
		s.endState(false)
		return op, nil
	}
	return op, s.commitAll(ctx)
}

// commitAll makes what the transaction changed take effect, and then what it has to say.
func (s *Session) commitAll(ctx context.Context) error {
	err := s.keepHeld(ctx)
	if err == nil {
		err = s.end(ctx)
	} else {
		s.rollback()
	}
	s.endState(err == nil)
	if err != nil {
		return err
	}
	return s.commitNotes()
}

// keepHeld reads the cursors WITH HOLD of the transaction to their ends: what they read may change after it.
func (s *Session) keepHeld(ctx context.Context) error {
	for _, c := range s.cursors {
		if c.hold && c.fresh {
			if err := c.keepRest(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// endState ends what the connection itself keeps of a transaction: settings, cursors, savepoints, and after a rollback what it
// had to say.
func (s *Session) endState(commit bool) {
	s.marks = nil
	s.closeCursors(commit)
	s.settings.end(commit)
	if !commit {
		s.dropNotes()
	}
}

// mark is the connection's own state at a savepoint.
type mark struct {
	settings settingsMark
	notes    notesMark
}

// end makes the block's changes take effect; if they cannot, none of them does.
func (s *Session) end(ctx context.Context) error {
	b := s.block
	if b == nil {
		return s.temp.committed()
	}
	err := s.commit(ctx, b)
	if err != nil {
		b.rewind(0)
	}
	s.block = nil
	return err
}

// rollback undoes the block's changes.
func (s *Session) rollback() {
	if s.block != nil {
		s.block.rewind(0)
		s.block = nil
	}
}

// savepoint runs SAVEPOINT, RELEASE and ROLLBACK TO.
func (s *Session) savepoint(st *parse.Transaction) (string, error) {
	if s.block == nil {
		s.block = newBlock()
	}
	b := s.block
	if st.Op == "SAVEPOINT" {
		if len(b.levels) > savepointsMax {
			return "", sqlerr.New("54001", "a transaction can have at most %d savepoints in each other", savepointsMax).
				WithHint("RELEASE those that are done with.")
		}
		b.push(st.Name)
		s.marks = append(s.marks, mark{s.settings.mark(), s.notes.mark()})
		return st.Op, nil
	}
	i := b.find(st.Name)
	if i < 0 {
		return "", sqlerr.New(sqlerr.InvalidSavepoint, "savepoint %q does not exist", st.Name)
	}
	if st.Op == "RELEASE" {
		s.marks = s.marks[:i-1]
		return st.Op, b.release(i, s)
	}
	b.rewind(i)
	s.marks = s.marks[:i]
	s.settings.rewind(s.marks[i-1].settings)
	s.notes.rewind(s.marks[i-1].notes)
	s.tx = 'T'
	return "ROLLBACK", nil
}

// changes is the block that a statement's changes belong to; nil: they take effect at once.
func (s *Session) changes() *block {
	if s.tx == 'I' && !s.grouped {
		return nil
	}
	if s.block == nil {
		s.block = newBlock()
	}
	return s.block
}

// writable refuses changes in a transaction that only reads.
func (s *Session) writable(what string) error {
	if on, _ := s.settings.get("transaction_read_only"); on == "on" {
		return sqlerr.New(sqlerr.ReadOnlyTransaction, "cannot %s in a read-only transaction", what)
	}
	return nil
}
