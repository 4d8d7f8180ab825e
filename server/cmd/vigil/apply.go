package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// applyCmd is vigil apply.
type applyCmd struct {
	Dir string `arg:"" help:"Directory with *.sql files." type:"existingdir"`
	PG  string `name:"pg" help:"Address of the server." default:"127.0.0.1:5433"`
}

// Run sends the files in the order of their names and stops at the first error, naming its place.
func (c *applyCmd) Run() error {
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.sql"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("%s holds no *.sql files", c.Dir)
	}
	sort.Strings(files)
	client, err := pgwire.Dial(c.PG, "apply")
	if err != nil {
		return fmt.Errorf("connect to %s: %w (is vigil serve running?)", c.PG, err)
	}
	defer client.Close()
	client.OnNotice = func(severity, message string) { fmt.Printf("%s: %s\n", severity, message) }
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := client.Query(string(text), nil); err != nil {
			place := f
			if se, ok := errors.AsType[*sqlerr.Error](err); ok && se.Position > 0 {
				place += ":" + pgwire.Lines(string(text), se.Position)
			}
			return fmt.Errorf("%s: %w", place, err)
		}
		fmt.Println("applied", f)
	}
	return nil
}
