// Command vigil is the server and its tools: serve, load, apply, demo, version.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/vigil-sql/vigil/server"
	"github.com/vigil-sql/vigil/storage/meta"
	"github.com/vigil-sql/vigil/udf/worker"
)

// cli is the command line.
type cli struct {
	Serve   serveCmd   `cmd:"" help:"Run the server."`
	Load    loadCmd    `cmd:"" help:"Load files into a stream."`
	Apply   applyCmd   `cmd:"" help:"Run the *.sql files of a directory, in the order of their names."`
	Demo    demoCmd    `cmd:"" help:"Show alerts on a simulated network under attack, or on a log file."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// fatal ends the process when the stores cannot go on; the next start recovers.
func fatal(message string) {
	fmt.Fprintln(os.Stderr, "vigil:", message)
	os.Exit(1)
}

// serveCmd is vigil serve.
type serveCmd struct {
	Config     kong.ConfigFlag `help:"File with flag = value lines." placeholder:"FILE"`
	Data       string          `help:"Data directory." required:"" type:"path"`
	PG         string          `name:"pg" help:"Address for Postgres clients." default:"127.0.0.1:5433"`
	HTTP       string          `name:"http" help:"Address for HTTP." default:"127.0.0.1:8433"`
	Insecure   bool            `help:"Allow addresses other than loopback, without users and TLS."`
	Auth       string          `help:"Who needs a password: trust (connections from other machines) or scram (all)." enum:"trust,scram" default:"trust"`
	TLSCert    string          `name:"tls-cert" help:"Certificate for Postgres clients, PEM." placeholder:"FILE" type:"path"`
	TLSKey     string          `name:"tls-key" help:"Key of the certificate, PEM." placeholder:"FILE" type:"path"`
	SecretKey  string          `name:"secret-key" help:"File of the key that seals passwords of streams and sinks; it is made when it is needed. Default: secret.key in the data directory." placeholder:"FILE" type:"path"`
	Journals   journalFlags    `embed:"" prefix:"journal-"`
	IngestMB   int64           `name:"http-ingest-mb" help:"Memory for the bodies of HTTP ingest requests, MiB; beyond it they are answered 429. 0: an eighth of --memory, 256 at most." default:"0"`
	Memory     string          `help:"What the server may have in memory, such as 8GB; state beyond it goes to the data directory. Default: three quarters of the machine's." placeholder:"SIZE"`
	Results    string          `name:"results-retention-bytes" help:"What the results of all queries may take together, such as 100GB; the oldest rows go first. Default: half of the disk." placeholder:"SIZE"`
	JavaScript functionFlags   `embed:"" prefix:"javascript-"`
	Unconfined bool            `name:"allow-unsandboxed-javascript" help:"Run JavaScript functions where the system has no sandbox for them (seccomp)."`
	Workers    int             `help:"Key partitions; 0: one per core." default:"0"`
	Checkpoint time.Duration   `name:"checkpoint-every" help:"Time between checkpoints of keyed state." default:"10s"`
	TestDir    string          `name:"test-dir" help:"Directory whose files TEST CONTINUOUS QUERY may read; none: no files." type:"existingdir"`
	LogLevel   slog.Level      `help:"debug, info, warn or error." default:"info"`
}

// Run serves until SIGTERM or SIGINT.
func (c *serveCmd) Run(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.LogLevel}))
	if c.IngestMB < 0 || c.IngestMB > 1<<20 {
		return fmt.Errorf("--http-ingest-mb %d: it is from 0 to 1048576", c.IngestMB)
	}
	memory, err := server.ParseMemory(c.Memory)
	if err != nil {
		return err
	}
	results, err := server.ParseResults(c.Results)
	if err != nil {
		return err
	}
	if err := c.Journals.check(); err != nil {
		return err
	}
	functions, err := c.JavaScript.limits()
	if err != nil {
		return err
	}
	s, err := server.Start(server.Config{Dir: c.Data, PG: c.PG, HTTP: c.HTTP, Insecure: c.Insecure, Auth: c.Auth, TLSCert: c.TLSCert, TLSKey: c.TLSKey, SecretKey: c.SecretKey, Workers: c.Workers, Logger: log,
		CheckpointEvery: c.Checkpoint, TestDir: c.TestDir, Journals: c.Journals.keep(), Memory: memory, ResultsMax: results, IngestMax: c.IngestMB << 20, FunctionMax: functions, UnsandboxedJavaScript: c.Unconfined, Fatal: fatal})
	if err != nil {
		return err
	}
	if _, loading := s.Session().Engine().Loading(); loading {
		fmt.Printf("vigil loading pg=%s http=%s\n", s.PGAddr(), s.HTTPAddr())
	}
	if err = s.Loaded(ctx); err == nil {
		fmt.Printf("vigil ready pg=%s http=%s\n", s.PGAddr(), s.HTTPAddr())
		err = s.Wait(ctx)
	} else if ctx.Err() != nil { // it is told to stop before it is ready
		err = nil
	}
	if stop := s.Stop(); err == nil {
		err = stop
	}
	return err
}

// journalFlags bound vigil.rejected, vigil.query_events, vigil.sink_dead_letters and the late rows.
type journalFlags struct {
	Rows int64 `help:"Rows kept in each of vigil.rejected, vigil.query_events, vigil.sink_dead_letters and late rows." default:"100000"`
	MB   int64 `name:"mb" help:"And how much of each, MiB." default:"64"`
	Days int64 `help:"And for how many days." default:"30"`
}

func (f *journalFlags) check() error {
	for _, x := range []struct {
		name       string
		value, max int64
	}{{"rows", f.Rows, 1e9}, {"mb", f.MB, 1 << 20}, {"days", f.Days, 36500}} {
		if x.value < 1 || x.value > x.max {
			return fmt.Errorf("--journal-%s %d: it is from 1 to %d", x.name, x.value, x.max)
		}
	}
	return nil
}

func (f *journalFlags) keep() meta.Keep {
	return meta.Keep{Rows: f.Rows, Bytes: f.MB << 20, Age: f.Days * 24 * int64(time.Hour/time.Microsecond)}
}

// versionCmd is vigil version.
type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run() error {
	fmt.Println("vigil", server.Version)
	return nil
}

func main() {
	// The JavaScript worker is this program run again; it must not touch anything else.
	if len(os.Args) == 2 && os.Args[1] == "udf-worker" {
		os.Exit(worker.Main())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var c cli
	k := kong.Parse(&c, kong.Name("vigil"), kong.Description("Streaming SQL for cyber defence."), kong.UsageOnError(),
		kong.Configuration(configFile), kong.BindTo(ctx, (*context.Context)(nil)))
	if err := k.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "vigil:", err)
		os.Exit(1)
	}
}
