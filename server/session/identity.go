package session

import (
	"crypto/rand"
	"encoding/binary"
	"strconv"

	"github.com/vigil-sql/vigil/planner/catalog"
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
	if err := s.keepAccessObjects(list); err != nil {
		return err
	}
	if err := s.keepSecret(list); err != nil {
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

// kindSecret is a key that was drawn at the first start, under a number that no object gets: from it come the salts that users without
// a password are shown. Whoever knew it could tell who exists.
const (
	kindSecret = "secret"
	secretID   = catalog.DatabaseAccess + 1
)

// keepSecret reads the server's secret, or gives it one.
func (s *Server) keepSecret(list []meta.Object) error {
	for _, m := range list {
		if m.Kind == kindSecret {
			s.secret = []byte(m.Name)
			return nil
		}
	}
	s.secret = []byte(rand.Text())
	return s.meta.Keep(meta.Object{Kind: kindSecret, ID: secretID, Name: string(s.secret)})
}
