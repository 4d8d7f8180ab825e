package codec

import "github.com/vigil-sql/vigil/executor/batch"

// arrayRun is one call's share of an array payload.
type arrayRun struct {
	limit, rejects int
	cont           bool // the payload is the rest of an array that an earlier call began
}

// array decodes a payload that is one array of objects; newlines may stand anywhere between tokens. An element that is
// malformed but balanced loses only itself; one that never ends takes the rest of the payload with it.
func (d *jsonDecoder) array(data []byte, b *batch.Batch, run arrayRun, rej *[]Reject) int {
	i := skipSpace(data, 0, true)
	after := run.cont // an element came before
	if !run.cont {
		i++
	}
	for {
		i = skipSpace(data, i, true)
		if i == len(data) {
			*rej = append(*rej, d.arrayReject(data, i, i, "the array does not end"))
			return i
		}
		if data[i] == ']' {
			i = skipSpace(data, i+1, true)
			if i < len(data) {
				*rej = append(*rej, d.arrayReject(data, i, len(data), "there is text after the array"))
			}
			d.remember()
			return len(data)
		}
		if b.N >= run.limit || len(*rej) >= run.rejects {
			d.rest.set(data[i:])
			d.remember()
			return i
		}
		if after {
			if data[i] != ',' {
				*rej = append(*rej, d.arrayReject(data, i, len(data), "a comma is missing between the array's elements"))
				return len(data)
			}
			i = skipSpace(data, i+1, true)
		}
		after = true
		end := d.element(data, i, b)
		if end < 0 {
			b.Truncate(b.N)
			err := d.reject(data, i)
			end = balancedEnd(data, i)
			*rej = append(*rej, Reject{Raw: clip(data[i:end]), Err: err})
		}
		i = end
	}
}

func (d *jsonDecoder) arrayReject(data []byte, at, end int, what string) Reject {
	d.fail(at, what)
	return Reject{Raw: clip(data[at:end]), Err: d.reject(data, at)}
}

// element decodes one object and returns the place behind it, or -1.
func (d *jsonDecoder) element(data []byte, i int, b *batch.Batch) int {
	if i == len(data) || data[i] != '{' {
		return d.fail(i, "the record is not an object")
	}
	end := d.object(data, i, b.N)
	if end < 0 || !d.finish(b) {
		return -1
	}
	b.N++
	return end
}

// balancedEnd guesses where a malformed element ends: at the comma or bracket that follows it outside of strings and
// brackets of its own; it is the payload's end if nothing balances.
func balancedEnd(data []byte, i int) int {
	depth, quoted := 0, false
	for ; i < len(data); i++ {
		c := data[i]
		switch {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case (c == ',' || c == ']') && depth == 0:
			return i
		case c == '}' || c == ']':
			depth--
		}
	}
	return len(data)
}
