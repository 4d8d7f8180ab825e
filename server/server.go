// Package server puts vigil together: stores, engine, Postgres and HTTP listeners, and the order in which they start and
// stop. It has no behaviour of its own.
package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/connector/kafka"
	"github.com/vigil-sql/vigil/executor/connector/postgres"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/seal"
	"github.com/vigil-sql/vigil/executor/sink"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/server/httpapi"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/server/session"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/storage/results"
	"github.com/vigil-sql/vigil/udf"
)

// Version is the version that vigil reports.
const Version = "0.1.0"

// Config is what a server is started with.
type Config struct {
	// Dir is the data directory; it is created, and locked while the server runs.
	Dir string
	// PG and HTTP are listen addresses; port 0 picks a free one.
	PG, HTTP string
	// Insecure allows addresses other than loopback, without users and TLS.
	Insecure bool
	// UnsandboxedJavaScript runs JavaScript where the system cannot keep it from files and network.
	UnsandboxedJavaScript bool
	// Auth is "trust" or "" where connections from this machine need no password, "scram" where all do.
	Auth string
	// TLSCert and TLSKey are the files of the certificate for Postgres clients, and of its key; empty: no TLS.
	TLSCert, TLSKey string
	// IngestMax bounds what the bodies of HTTP ingest requests hold in memory, bytes; 0: an eighth of Memory, 256 MiB at most.
	IngestMax int64
	// Journals bounds vigil.rejected, vigil.query_events and the late rows, each; zero fields: the defaults of storage/meta.
	Journals meta.Keep
	// ResultsMax is how many bytes of result rows are kept of all queries together; 0: half of the disk.
	ResultsMax int64
	// Memory is what the process may have in memory, bytes; 0: three quarters of what the machine or its control group has.
	Memory int64
	// Workers is the number of key partitions; 0: one per core.
	Workers int
	// SecretKey is the file of the key that seals the secrets of streams and sinks; "": secret.key in Dir. It is made when it is needed.
	SecretKey string
	// TestDir is the directory whose files TEST CONTINUOUS QUERY may read; "": none.
	TestDir string
	// UDFCommand starts a JavaScript worker; empty: this executable with the argument udf-worker.
	UDFCommand []string
	// FunctionMax bounds the limits that JavaScript functions may give themselves; zero fields: FunctionLimitsMax.
	FunctionMax spec.FunctionLimits
	Logger      *slog.Logger
	// Fatal is called when the stores cannot go on: nothing that was acknowledged is lost, but the process must end. It must not
	// return; nil panics.
	Fatal func(message string)
	// CheckpointEvery is the time between background checkpoints; 0: the engine's default. EpochMax overrides the engine's
	// default; for tests.
	CheckpointEvery, EpochMax time.Duration
}

// Server is a running vigil.
type Server struct {
	cfg   Config
	log   *slog.Logger
	store *pebblekv.Store
	pool  *udf.Pool
	// console is what functions gave to console.log.
	console udf.Log
	sess    *session.Server
	pg      *pgwire.Server
	http    *http.Server
	pgL     net.Listener
	httpL   net.Listener
	errs    chan error
	// stopped is closed when the server has stopped.
	stopped chan struct{}
	once    sync.Once
}

// Start opens the data directory, and accepts connections when it returns. Results, history and catalogue can be read then; what needs
// more waits for Loaded.
func Start(cfg Config) (*Server, error) {
	s := &Server{cfg: cfg, log: cfg.Logger, errs: make(chan error, 3), stopped: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.cfg.shareMemory()
	if err := s.start(); err != nil {
		s.release(context.Background())
		return nil, err
	}
	return s, nil
}

func (s *Server) start() error {
	encryption, err := s.cfg.tls()
	if err != nil {
		return err
	}
	// The HTTP interface has neither users nor TLS.
	if err := checkAddress("--http", s.cfg.HTTP, s.cfg.Insecure, false); err != nil {
		return err
	}
	if err := checkAddress("--pg", s.cfg.PG, s.cfg.Insecure, encryption != nil); err != nil {
		return err
	}
	if err := os.MkdirAll(s.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("create data directory: %w", err)
	}
	if err := s.openSession(); err != nil {
		return err
	}
	if !s.cfg.Insecure && !isLoopback(s.cfg.PG) && !s.sess.HasPasswords() {
		return fmt.Errorf("--pg %s is not a loopback address, and no role has a password: nobody could log in; start on 127.0.0.1 and "+
			"CREATE ROLE name LOGIN PASSWORD '...', or ALTER ROLE vigil PASSWORD '...'", s.cfg.PG)
	}
	if s.pgL, err = net.Listen("tcp", s.cfg.PG); err != nil {
		return fmt.Errorf("listen for Postgres connections: %w", err)
	}
	if s.httpL, err = net.Listen("tcp", s.cfg.HTTP); err != nil {
		return fmt.Errorf("listen for HTTP: %w", err)
	}
	s.pg = pgwire.NewServer(s.sess, pgwire.Options{Logger: s.log, TLS: encryption})
	s.http = httpapi.New(s.sess, httpapi.Options{Logger: s.log, IngestMax: s.cfg.IngestMax, Connections: s.connections}).Server()
	go func() { s.errs <- s.pg.Serve(context.Background(), s.pgL) }()
	go func() { s.errs <- s.http.Serve(s.httpL) }()
	go s.watchEngine()
	return nil
}

// watchEngine ends the server when its engine has stopped: whoever starts it again finds what was committed.
func (s *Server) watchEngine() {
	e := s.sess.Engine()
	select {
	case <-e.Failed():
		s.errs <- e.Err()
	case <-s.stopped:
	}
}

// connections are figures for metrics.
func (s *Server) connections() httpapi.Connections {
	st := s.pg.Stats()
	return httpapi.Connections{Open: int64(s.pg.Connections()), Refused: st.Refused, Slow: st.Slow}
}

func (s *Server) openSession() error {
	if _, err := os.Stat(filepath.Join(s.cfg.Dir, job.BackupUnfinished)); err == nil {
		return fmt.Errorf("data directory %s is a backup that was not finished (it has %s); use another one", s.cfg.Dir, job.BackupUnfinished)
	}
	store, err := pebblekv.Open(filepath.Join(s.cfg.Dir, "kv"), s.cfg.storeOptions(s.log))
	if err != nil {
		return err
	}
	s.store = store
	m, err := meta.Open(store)
	if err != nil {
		return err
	}
	res, err := results.Open(store)
	if err != nil {
		return err
	}
	if s.cfg.Memory > 0 {
		res.BoundTails(s.cfg.Memory / 32)
	}
	s.pool = udf.NewPool(udf.Options{Command: s.cfg.UDFCommand, Unsandboxed: s.cfg.UnsandboxedJavaScript, Logger: s.log, Log: func(function string, lines []string) { s.console.Add(time.Now(), function, lines) }})
	s.sess, err = session.New(session.Options{
		Logger: s.log, Version: Version, Secrets: seal.New(cmp.Or(s.cfg.SecretKey, filepath.Join(s.cfg.Dir, seal.File))), TestDir: s.cfg.TestDir,
		FunctionMax: s.cfg.FunctionMax, FunctionLog: s.functionLog, Sinks: append(sink.Builtins(), kafka.SinkDef(), postgres.SinkDef()),
		Auth: session.AuthPolicy{Always: s.cfg.Auth == "scram", Insecure: s.cfg.Insecure}, Job: job.Config{
			Dir: s.cfg.Dir, KV: store, Meta: m, Results: res, Workers: s.cfg.Workers, Memory: s.cfg.Memory, ResultsMax: s.cfg.resultsMax(), UDF: s.pool, Codecs: codec.Builtins(), Room: disk{s.cfg.Dir, store},
			Connectors: append(connector.Builtins(), kafka.Def()), Logger: s.log,
			CheckpointEvery: s.cfg.CheckpointEvery, EpochMax: s.cfg.EpochMax, Journals: s.cfg.Journals}})
	return err
}

// functionLog gives the newest lines of console.log.
func (s *Server) functionLog(add func(at time.Time, function, line string) error) error {
	for _, l := range s.console.Lines() {
		if err := add(l.At, l.Function, l.Line); err != nil {
			return err
		}
	}
	return nil
}

// tls reads the certificate.
func (c *Config) tls() (*tls.Config, error) {
	switch {
	case c.Auth != "" && c.Auth != "trust" && c.Auth != "scram":
		return nil, fmt.Errorf("--auth %s: it is trust or scram", c.Auth)
	case c.TLSCert == "" && c.TLSKey == "":
		return nil, nil
	case c.TLSCert == "" || c.TLSKey == "":
		return nil, errors.New("TLS needs both --tls-cert and --tls-key")
	}
	pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, fmt.Errorf("read the TLS certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip, bad := netip.ParseAddr(host)
	return err == nil && (host == "localhost" || bad == nil && ip.IsLoopback())
}

// checkAddress refuses to offer an unprotected server to a network.
func checkAddress(flag, addr string, insecure, protected bool) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return fmt.Errorf("%s %q: %w (write it as 127.0.0.1:5433)", flag, addr, err)
	}
	if insecure || protected || isLoopback(addr) {
		return nil
	}
	return fmt.Errorf("%s %s is not a loopback address, and it would have neither users nor TLS: anybody who reaches it could read "+
		"and change everything; listen on 127.0.0.1, give --pg a certificate with --tls-cert and --tls-key, or pass --insecure if the network is trusted", flag, addr)
}

// PGAddr and HTTPAddr are the addresses that the server listens on.
func (s *Server) PGAddr() string { return s.pgL.Addr().String() }

// HTTPAddr is the address of the HTTP interface.
func (s *Server) HTTPAddr() string { return s.httpL.Addr().String() }

// Session is the server's SQL side, for programs that run it in process.
func (s *Server) Session() *session.Server { return s.sess }

// Loaded waits until all that is stored is loaded.
func (s *Server) Loaded(ctx context.Context) error { return s.sess.Engine().Loaded(ctx) }

// Wait returns when ctx ends, a listener fails, or the engine has stopped.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.errs:
		return err
	}
}

// stopMax bounds each step of an orderly stop.
const stopMax = 20 * time.Second

// Stop ends connections, closes the open epoch with a last checkpoint, and frees the data directory.
func (s *Server) Stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopMax)
	defer cancel()
	defer s.once.Do(func() { close(s.stopped) })
	return s.release(ctx)
}

func (s *Server) release(ctx context.Context) error {
	var errs []error
	if s.store != nil {
		defer s.giveUpWaiting()()
	}
	if s.http != nil {
		// Long polls would hold an orderly shutdown for minutes; clients ask again with their cursor.
		short, cancel := context.WithTimeout(ctx, time.Second)
		if err := s.http.Shutdown(short); err != nil {
			errs = append(errs, ignore(s.http.Close(), http.ErrServerClosed))
		}
		cancel()
	} else if s.httpL != nil {
		errs = append(errs, s.httpL.Close())
	}
	if s.pg != nil {
		short, cancel := context.WithTimeout(ctx, 5*time.Second)
		errs = append(errs, ignore(s.pg.Shutdown(short), context.DeadlineExceeded))
		cancel()
	} else if s.pgL != nil {
		errs = append(errs, s.pgL.Close())
	}
	if s.sess != nil {
		errs = append(errs, s.sess.Close(ctx))
	}
	if s.pool != nil {
		s.pool.Close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
