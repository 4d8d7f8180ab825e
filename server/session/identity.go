package session

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"

	"github.com/vigil-sql/vigil/storage/meta"
)

// kindSystem is the one object that says which server this is; its name is a number that was drawn at the first start.
const kindSystem = "system"

// identify reads the server's identity, or gives it one.
func (s *Server) identify() error {
	list, err := s.meta.List()
	if err != nil {
		return err
	}
	for _, m := range list {
		if m.Kind == kindSystem {
			s.identity = m.Name
			return nil
		}
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	s.identity = strconv.FormatUint(binary.BigEndian.Uint64(b[:])>>1, 10)
	return s.meta.Add(meta.Object{Kind: kindSystem, Name: s.identity})
}
