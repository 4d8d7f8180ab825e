// Package sqlerr holds the errors that reach a person: each carries an SQLSTATE, the message in Postgres' words
// where Postgres has one, and, if known, a hint and the place in the statement. It depends on nothing of vigil.
package sqlerr

import (
	"errors"
	"fmt"
)

// Error is an error a user caused or must know about. It is immutable once returned; the With methods return copies.
type Error struct {
	Code    Code   // five characters, see codes.go
	Message string // primary message, no trailing full stop, lower case as in Postgres
	Detail  string
	Hint    string
	// Position is the 1-based character (not byte) offset in the statement text; 0 means unknown.
	Position int
	// Where is the context line ("COPY auth, line 3, column ts"); empty if none.
	Where string
	// Routine is where Postgres would have found the mistake; drivers know a few by it. Empty for most.
	Routine string
}

// New makes an error with a formatted message.
func New(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error implements error: the message, and the hint in parentheses where there is one.
func (e *Error) Error() string {
	if e.Hint != "" {
		return e.Message + " (" + e.Hint + ")"
	}
	return e.Message
}

// At returns a copy placed at a 1-based character position; a position already set stays.
func (e *Error) At(pos int) *Error {
	if e.Position != 0 || pos <= 0 {
		return e
	}
	c := *e
	c.Position = pos
	return &c
}

// WithHint returns a copy that tells the user what to do.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// WithDetail returns a copy with a DETAIL line.
func (e *Error) WithDetail(format string, args ...any) *Error {
	c := *e
	c.Detail = fmt.Sprintf(format, args...)
	return &c
}

// WithWhere returns a copy with a CONTEXT line.
func (e *Error) WithWhere(format string, args ...any) *Error {
	c := *e
	c.Where = fmt.Sprintf(format, args...)
	return &c
}

// NotSupported is the one way to say that vigil knows a construct and does not have it.
func NotSupported(what, hint string) *Error {
	return &Error{Code: FeatureNotSupported, Message: what + " is not supported", Hint: hint}
}

// As finds the Error in err's chain; any other error becomes an internal error with its text.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Code: InternalError, Message: err.Error()}
}

// CodeOf returns the SQLSTATE of err, InternalError for foreign errors and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return As(err).Code
}
