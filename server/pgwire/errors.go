package pgwire

import (
	"strings"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// errorResponse puts an error into its message. Severity is ERROR, or FATAL when the connection ends with it.
func errorResponse(e *sqlerr.Error, severity string) *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{
		Severity:            severity,
		SeverityUnlocalized: severity,
		Code:                string(e.Code),
		Message:             withoutZero(e.Message),
		Detail:              withoutZero(e.Detail),
		Hint:                withoutZero(e.Hint),
		Position:            int32(e.Position),
		Where:               withoutZero(e.Where),
		Routine:             e.Routine,
	}
}

// noticeResponse puts a notice into its message.
func noticeResponse(n Notice) *pgproto3.NoticeResponse {
	m := pgproto3.NoticeResponse(*errorResponse(n.Err, n.Severity))
	return &m
}

// withoutZero drops zero bytes, which end a string in the protocol: one in a message would shift what follows.
func withoutZero(s string) string {
	if strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(s, "\x00", "")
}
