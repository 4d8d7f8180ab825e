//go:build !linux

package connector

import (
	"context"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// captureListen implements Listen where packets cannot be captured.
func captureListen(context.Context, Options, *Inbox) error {
	return sqlerr.NotSupported("connector capture on this system", "Capture with another program, and send the files by HTTP.")
}
