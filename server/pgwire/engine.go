// Package pgwire speaks the Postgres frontend/backend protocol, version 3.0, and nothing else: what a statement means is
// behind the Engine interface. https://www.postgresql.org/docs/15/protocol.html
package pgwire

import (
	"context"
	"io"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Engine makes sessions. It is used by many connections at once.
type Engine interface {
	// Connect starts a session after the start-up message; ctx ends with the connection.
	Connect(ctx context.Context, c ConnInfo) (Session, error)
}

// Authenticator is implemented by engines that ask for passwords.
type Authenticator interface {
	// Authenticate begins the proof that a client is who it says; nil: it is believed. Its error ends the connection.
	Authenticate(c ConnInfo) (SASL, error)
}

// SASL is one exchange of SCRAM-SHA-256, from the server's side: the client's two messages and the answers to them. Errors end the
// connection.
type SASL interface {
	First(message []byte) (answer []byte, err error)
	Final(message []byte) (answer []byte, err error)
}

// ConnInfo is what a client said of itself.
type ConnInfo struct {
	User, Database string
	// Params are the other start-up parameters (client_encoding, application_name, options, ...).
	Params map[string]string
	Remote string
	// TLS: the connection is encrypted.
	TLS bool
	PID int32 // the process id that BackendKeyData announced
	// Replication: the client asked for replication=database.
	Replication bool
	// Control acts on the connection from any goroutine.
	Control Control
}

// Control is what an engine may do to a connection.
type Control interface {
	// Cancel ends the running statement, as a CancelRequest does.
	Cancel()
	// Terminate ends the connection; the client is told SQLSTATE 57P01.
	Terminate()
}

// Notice is a NoticeResponse: severity NOTICE, WARNING or INFO.
type Notice struct {
	Severity string
	Err      *sqlerr.Error
}

// Notification is what LISTEN delivers. PID is the process id of the connection that sent it; 0: the one that is told. With Notice
// it is a notice instead.
type Notification struct {
	Channel, Payload string
	PID              int32
	Notice           *Notice
}

// Session is one connection's state. The connection calls it from one goroutine; only Notifications is read elsewhere.
type Session interface {
	// Split parses a query string into its statements; a syntax error anywhere concerns the whole string, as in Postgres. An
	// empty string gives none.
	Split(sql string) ([]Parsed, error)
	// Prepare plans one statement. paramOIDs are the types the client declared (0: to be inferred).
	Prepare(ctx context.Context, p Parsed, paramOIDs []uint32) (Statement, error)
	// Parameters are the values of ParameterStatus messages to send at start (server_version, TimeZone, ...).
	Parameters() map[string]string
	// TxStatus is 'I', 'T' or 'E'. Fail tells that a statement failed (an open transaction becomes 'E'); Sync ends the
	// implicit transaction of an extended-protocol sequence.
	TxStatus() byte
	Fail()
	// Notifications is where LISTEN messages wait; the connection sends them when it is idle and flushes at once. It is the
	// same queue for the session's life.
	Notifications() *Queue
	Close()
}

// Parsed is one statement of a query string, as Session.Split made it.
type Parsed interface {
	// Tag is the first words in upper case ("SELECT", "CREATE STREAM") for logging.
	Tag() string
}

// Statement is a planned statement.
type Statement interface {
	Params() []types.Type
	// Columns is nil when the statement returns no rows.
	Columns() *types.Schema
	// Bind makes a portal. params are typed as Params says.
	Bind(params []types.Value) (Portal, error)
	Close()
}

// Origin is the column of a relation that a result's column is: pg_class.oid and pg_attribute.attnum. It is zero for what
// is computed.
type Origin struct {
	Table  uint32
	Column uint16
}

// Originer is implemented by statements that know where their columns come from, one Origin each; nil: from nowhere.
type Originer interface{ Origins() []Origin }

// CursorDescriber is implemented by sessions whose cursors are opened by statements: clients describe a cursor as the portal
// of its name. It returns nil when there is no such cursor.
type CursorDescriber interface {
	CursorColumns(name string) *types.Schema
}

// Portal is a statement ready to run, or suspended in the middle of its rows.
type Portal interface {
	// Execute sends rows to out, at most max (0: all). suspended: max was reached and rows may remain; otherwise tag is the
	// command tag ("SELECT 3"). ctx is cancelled by a CancelRequest and when the client goes away.
	Execute(ctx context.Context, max int, out Output) (suspended bool, tag string, err error)
	Close()
}

// Output is what a running portal may send. Values are printed in the session's text format or in binary, as the client
// asked for. Calls come from the goroutine that called Execute.
type Output interface {
	// Row sends a DataRow; len(row) is the number of columns. The values are encoded before Row returns.
	Row(row []types.Value) error
	Notice(n Notice)
	// ParameterStatus reports a changed setting.
	ParameterStatus(name, value string)
	// CopyOut starts COPY TO STDOUT with n columns, all of one format code (0 text, 1 binary), and returns where complete lines go; Close of it ends the copy.
	CopyOut(n int, code int16) (CopyWriter, error)
	// CopyIn starts COPY FROM STDIN and returns the client's bytes; io.EOF after CopyDone, an error with SQLSTATE 57014
	// after CopyFail.
	CopyIn(n int, code int16) (io.Reader, error)
	// Flush sends what is buffered; a live subscription calls it whenever it has nothing more to send for now.
	Flush() error
}

// Deallocator is implemented by the Output of a connection: statements that clients prepared by message have names, too, and
// DEALLOCATE and DISCARD forget them.
type Deallocator interface {
	// Deallocate forgets a statement; false: there is none of that name.
	Deallocate(name string) bool
	DeallocateAll()
}

// PortalFinder is implemented by the Output of a connection: in Postgres a portal that was bound by message is a cursor of its
// name.
type PortalFinder interface {
	// Portal finds a portal; nil when there is none of that name.
	Portal(name string) Portal
}

// CopyWriter takes COPY data: each Write is one CopyData message and must be one whole line, newline included.
type CopyWriter interface {
	io.Writer
	Close() error
}

// TextFormatter is implemented by sessions whose settings change how values print.
type TextFormatter interface{ TextFormat() *types.TextFormat }

// Grouper is implemented by sessions with implicit transactions: Group tells that the statements up to the next Sync take
// effect together, or not at all: those of one query string, and those of the extended protocol.
type Grouper interface{ Group() }

// Named is implemented by statements that want to know the name under which the client prepared them.
type Named interface{ SetName(name string) }

// Reporter is implemented by sessions that keep track of their reported settings: before each ReadyForQuery they are asked
// for all of them, and answer nil when none has changed. The client is told of those that differ from what it knows.
type Reporter interface{ ReportParameters() map[string]string }

// IdleLimiter is implemented by sessions that end when their client is silent for too long: asked when the connection
// becomes idle. Zero is for ever; the error is what the client is told.
type IdleLimiter interface {
	IdleLimit() (time.Duration, *sqlerr.Error)
}

// Syncer is implemented by sessions with implicit transactions: Sync is called before each ReadyForQuery, after a simple
// query string and at a Sync message. Its error is reported to the client as that of the last statement.
type Syncer interface{ Sync() error }
