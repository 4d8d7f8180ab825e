package job

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// newDecoder makes a stream's decoder. A codec other than the stream's format may carry parameters of its own after a
// question mark ("CSV?delimiter=%3B"), as a URL does.
func (e *Engine) newDecoder(d *spec.Stream, name string, columns []int) (codec.Decoder, error) {
	o := codec.Options{Schema: &d.Schema, TimeCol: d.TimeCol, Params: d.FormatOptions, Columns: columns}
	if name == d.Format {
		o.From, o.Normalize = d.From, d.Normalize
	}
	inner, err := e.decoderFor(name, d.Format, innerOptions(d, name, o))
	if err != nil {
		return nil, err
	}
	return withGenerated(d, inner)
}

// Decoder makes a decoder for rows that are no stream's.
func (e *Engine) Decoder(schema *types.Schema, name string, columns []int) (codec.Decoder, error) {
	return e.decoderFor(name, "", codec.Options{Schema: schema, TimeCol: -1, Columns: columns})
}

func (e *Engine) decoderFor(name, own string, o codec.Options) (codec.Decoder, error) {
	name, query, found := strings.Cut(name, "?")
	if found || name != own {
		o.Params = map[string]string{}
		values, err := url.ParseQuery(query)
		if err != nil {
			return nil, fmt.Errorf("codec parameters %q: %w", query, err)
		}
		for k := range values {
			o.Params[k] = values.Get(k)
		}
	}
	for _, def := range e.cfg.Codecs {
		if def.Name == name {
			return def.New(o)
		}
	}
	if def, ok := codec.Stored(name); ok {
		return def.New(o)
	}
	return nil, sqlerr.NotSupported(fmt.Sprintf("format %s", name), "The reference lists the formats that vigil reads.")
}
