package flow

const headerIPFIX = 16

// Set numbers of IPFIX.
const (
	setTemplates = 2
	setOptions   = 3
)

// ipfix decodes a message of IPFIX and returns its length.
func (e *Exports) ipfix(b []byte) int {
	n := int(u16(b, 2))
	if n < headerIPFIX || n > len(b) {
		e.fail(b, "an IPFIX message claims %d bytes and has %d", n, len(b))
		return len(b)
	}
	msg := b[:n:n]
	h := &e.h
	h.exported, h.id = int64(u32(msg, 4))*1e6, u32(msg, 12)
	for at := headerIPFIX; at < n; {
		set := msg[at:]
		if len(set) < 4 {
			e.fail(set, "%d bytes follow the last set", len(set))
			break
		}
		size := int(u16(set, 2))
		if size < 4 || size > len(set) {
			e.fail(set, "a set claims %d bytes, %d are left", size, len(set))
			break
		}
		e.set(set[:size:size], u16(set, 0), setTemplates, setOptions)
		at += size
	}
	return n
}

// withdraw forgets a template, or all of a kind.
func (e *Exports) withdraw(d *domain, id uint16, option bool) {
	if id == setTemplates || id == setOptions {
		for k, t := range d.templates {
			if t.option == option {
				e.changed = e.drop(d, k) || e.changed
			}
		}
		return
	}
	e.changed = e.drop(d, id) || e.changed
}
