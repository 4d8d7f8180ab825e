package session

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// keySetting holds the idempotency key of the next INSERT or COPY: if a statement with that key was taken before, by the same stream,
// it counts once. It is used up by one statement that is taken, so that it does not make the one after it a repetition.
const keySetting = "vigil.idempotency_key"

// KeyMax bounds an idempotency key, bytes.
const KeyMax = 255

// takeKey gives the key of a statement that adds rows: the one that it has itself, or else the setting's. When the statement fails
// the setting is what it was.
func (s *Session) takeKey(t *target, own string) (string, error) {
	key := own
	if key == "" {
		if key, _ = s.settings.get(keySetting); key == "" {
			return "", nil
		}
		s.settings.force(keySetting, "", false)
	}
	if len(key) > KeyMax {
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "the idempotency key is longer than %d bytes", KeyMax)
	}
	if t.stream == nil {
		return "", sqlerr.NotSupported("an idempotency key for rows of "+t.name()+", which is not a stream",
			"RESET "+keySetting+"; a table has INSERT .. ON CONFLICT DO NOTHING, a list takes the same entry twice.")
	}
	return key, nil
}

// pieceKey is the key of the n-th piece of a COPY, which is taken piece by piece.
func pieceKey(key string, n int) string {
	if key == "" || n == 0 {
		return key
	}
	return fmt.Sprintf("%s\x00%d", key, n)
}

func duplicateNotice(key string) pgwire.Notice {
	return pgwire.Notice{Severity: "NOTICE", Err: sqlerr.New(sqlerr.SuccessfulCompletion, "the rows with the idempotency key %q were taken before: they count once", key)}
}
