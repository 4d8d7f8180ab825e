package main

import (
	"context"
	"os"

	"github.com/vigil-sql/vigil/server/demo"
)

// demoCmd is vigil demo.
type demoCmd struct {
	Data   string `help:"Data directory; default: a temporary one." type:"path"`
	PG     string `name:"pg" help:"Address for Postgres clients." default:"127.0.0.1:5433"`
	HTTP   string `name:"http" help:"Address for HTTP." default:"127.0.0.1:8433"`
	Events int64  `help:"Events to simulate; 0: without end." default:"0"`
	Rate   int64  `help:"Events per second; 0: as fast as possible." default:"10000"`
	Log    string `help:"A file with one JSON object a line, instead of the simulation." type:"existingfile"`
	Format string `help:"What the file is: json, evtx or zeek." default:"json"`
	Once   bool   `help:"End when all events are processed."`
}

// Run shows the demonstration.
func (c *demoCmd) Run(ctx context.Context) error {
	return demo.Run(ctx, demo.Options{Dir: c.Data, PG: c.PG, HTTP: c.HTTP, Events: c.Events, Rate: c.Rate, Log: c.Log, Format: c.Format,
		Once: c.Once, Out: os.Stdout, Progress: os.Stderr, Terminal: isTerminal(os.Stderr)})
}
