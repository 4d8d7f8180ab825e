package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// configFile reads "flag = value" lines; # begins a comment. Flags on the command line win.
func configFile(r io.Reader) (kong.Resolver, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: %q is not of the form flag = value", n, line)
		}
		values[strings.TrimSpace(key)] = strings.Trim(strings.TrimSpace(value), `"'`)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return &configResolver{values: values}, nil
}

// configResolver gives flags their values from a file.
type configResolver struct{ values map[string]string }

// Validate implements kong.Resolver: a key that is no flag is a mistake to be told.
func (c *configResolver) Validate(app *kong.Application) error {
	for key := range c.values {
		known := false
		for _, cmd := range app.Children {
			for _, f := range cmd.Flags {
				known = known || f.Name == key
			}
		}
		if !known {
			return fmt.Errorf("the configuration file sets %q, which is not a flag of vigil", key)
		}
	}
	return nil
}

// Resolve implements kong.Resolver.
func (c *configResolver) Resolve(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
	if v, ok := c.values[f.Name]; ok {
		return v, nil
	}
	return nil, nil
}
