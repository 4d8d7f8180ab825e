// Package seal seals what must not lie in clear in the catalogue and in backups - passwords among the options of streams and
// sinks - with a key in a file of its own. It knows nothing of SQL or of connectors.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// File is the name of the key's file in a data directory.
const File = "secret.key"

// prefix begins a sealed value: prefix, the key's name, a colon, base64 of nonce and ciphertext. The number is that of the format.
const prefix = "vigil-sealed-1:"

// reserved begins the values that are, or will be, ours.
const reserved = "vigil-sealed-"

// header begins the key's file; the key follows in hexadecimal.
const header = "vigil secret key 1\n"

// Keys is the key of a server. It is read, or made, when it is first needed. Safe for concurrent use; a nil one seals nothing.
type Keys struct {
	path string
	mu   sync.Mutex
	aead cipher.AEAD
	// name tells the key from others, without telling anything of it.
	name string
}

// New returns the keys whose file is at a path.
func New(path string) *Keys { return &Keys{path: path} }

// Path is the key's file.
func (k *Keys) Path() string { return k.path }

// Exists reports that there is a key.
func (k *Keys) Exists() bool {
	if k == nil {
		return false
	}
	_, err := os.Stat(k.path)
	return err == nil
}

// Sealed reports a value that Seal made, or that looks so: users must not give such.
func Sealed(value string) bool { return strings.HasPrefix(value, reserved) }

// Seal makes a value unreadable. What the value is of, the option's name, must be the same when it is opened.
func (k *Keys) Seal(of, value string) (string, error) {
	if k == nil || Sealed(value) {
		return value, nil
	}
	if err := k.load(true); err != nil {
		return "", err
	}
	nonce := make([]byte, k.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(k.aead.Seal(nonce, nonce, []byte(value), []byte(of)))
	return prefix + k.name + ":" + text, nil
}

// Open is the value that Seal was given. Without the key that is an error, which says so.
func (k *Keys) Open(of, sealed string) (string, error) {
	if !Sealed(sealed) {
		return sealed, nil
	}
	rest, ours := strings.CutPrefix(sealed, prefix)
	name, text, ok := strings.Cut(rest, ":")
	if !ours || !ok {
		return "", fmt.Errorf("option %q was sealed by a later version of vigil", of)
	}
	if k == nil {
		return "", absent(of, name, "this server has no key")
	}
	if err := k.load(false); err != nil {
		return "", absent(of, name, err.Error())
	}
	if k.name != name {
		return "", absent(of, name, fmt.Sprintf("%s holds key %s", k.path, k.name))
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if n := k.aead.NonceSize(); err == nil && len(data) >= n {
		plain, err := k.aead.Open(nil, data[:n], data[n:], []byte(of))
		if err == nil {
			return string(plain), nil
		}
	}
	return "", fmt.Errorf("the sealed value of option %q is damaged", of)
}

func absent(of, name, why string) error {
	return fmt.Errorf("the value of option %q is sealed with key %s: %s", of, name, why)
}

// load reads the key; make: if there is none, it makes one, which is on disk before anything sealed with it is.
func (k *Keys) load(make bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.aead != nil {
		return nil
	}
	data, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) && make {
		if err := create(k.path); err != nil {
			return fmt.Errorf("make the secret key: %w", err)
		}
		data, err = os.ReadFile(k.path)
	}
	if err != nil {
		return fmt.Errorf("read the secret key: %w", err)
	}
	text, ok := strings.CutPrefix(string(data), header)
	key, err := hex.DecodeString(strings.TrimSpace(text))
	if !ok || err != nil || len(key) != 32 {
		return fmt.Errorf("%s is no secret key of vigil", k.path)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return fmt.Errorf("use the secret key: %w", err)
	}
	if k.aead, err = cipher.NewGCM(block); err != nil {
		return fmt.Errorf("use the secret key: %w", err)
	}
	sum := sha256.Sum256(append([]byte("name of a vigil secret key"), key...))
	k.name = hex.EncodeToString(sum[:4])
	return nil
}

// create writes a new key under a name of its own and gives it its name when it is on disk, unless there is one by then.
func create(path string) error {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), File+".*") // readable by the owner alone
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(header + hex.EncodeToString(key) + "\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Locked is the error of whoever would use options of which one could not be opened; nil when all are.
func Locked(options map[string]string) error {
	var names []string
	for name, value := range options {
		if Sealed(value) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	key, _, _ := strings.Cut(strings.TrimPrefix(options[names[0]], prefix), ":")
	return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "option %q is sealed with key %s, which this server does not have", names[0], key).
		WithHint("Stop the server, copy %s of the data directory that the catalogue comes from into this one, or name it with --secret-key, and start again; or give the option anew.", File)
}
