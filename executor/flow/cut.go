package flow

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Cut reads a capture and gives it in pieces of about size bytes that stand alone: each begins with the file's header. A piece is valid during
// the call. What is cut short or damaged at the end is given too, for who reads the pieces says what is wrong with it.
func Cut(r io.Reader, size int, give func(piece []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	head, err := in.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch KindOf(head) {
	case PCAP:
		return cutPCAP(in, size, give)
	case PCAPNG:
		return cutPCAPNG(in, size, give)
	}
	return errors.New("this is neither pcap nor pcapng")
}

func cutPCAP(in io.Reader, size int, give func(piece []byte) error) error {
	buf := make([]byte, max(size, pcapHeader+pcapRecord))
	end, err := io.ReadFull(in, buf[:pcapHeader])
	if err != nil {
		return give(buf[:end])
	}
	order, _ := pcapOrder(buf)
	for at := pcapHeader; ; {
		n, err := io.ReadFull(in, buf[end:])
		end += n
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		for end-at >= pcapRecord {
			n := order.Uint32(buf[at+8:])
			if n > capturedMax {
				return errors.Join(give(buf[:end]), fmt.Errorf("a packet claims %d captured bytes: the file is damaged, and what follows is lost", n))
			}
			if int(n) > end-at-pcapRecord {
				break
			}
			at += pcapRecord + int(n)
		}
		if last {
			if end == pcapHeader {
				return nil
			}
			return give(buf[:end])
		}
		if at == pcapHeader { // a packet that is larger than a piece
			buf = append(buf, make([]byte, len(buf))...)
			continue
		}
		if err := give(buf[:at]); err != nil {
			return err
		}
		end = pcapHeader + copy(buf[pcapHeader:], buf[at:end])
		at = pcapHeader
	}
}

func cutPCAPNG(in *bufio.Reader, size int, give func(piece []byte) error) error {
	var order binary.ByteOrder = binary.LittleEndian
	var piece, prefix []byte // prefix: the section's header and interfaces so far
	packets := false
	flush := func() error {
		if !packets {
			return nil
		}
		packets = false
		return give(piece)
	}
	for {
		head, err := in.Peek(12)
		if errors.Is(err, io.EOF) {
			if len(head) > 0 {
				piece, packets = append(piece, head...), true
			}
			return flush()
		}
		if err != nil {
			return err
		}
		kind, n, reason := blockHead(head, &order)
		if reason != "" {
			piece, packets = append(piece, head...), true
			return errors.Join(flush(), errors.New(reason))
		}
		if kind == blockSection || len(piece) >= size {
			if err := flush(); err != nil {
				return err
			}
			piece = append(piece[:0], prefix...)
		}
		if kind == blockSection {
			piece, prefix = piece[:0], prefix[:0]
		}
		at := len(piece)
		piece = append(piece, make([]byte, n)...)
		got, err := io.ReadFull(in, piece[at:])
		piece = piece[:at+got]
		if err != nil {
			packets = true
			return flush()
		}
		switch kind {
		case blockSection, blockInterface:
			if len(prefix)+int(n) > blockMax {
				return errors.New("a section describes too many interfaces")
			}
			prefix = append(prefix, piece[at:]...)
		default:
			packets = true
		}
	}
}

// blockHead reads a block's type and length from its first twelve bytes.
func blockHead(b []byte, order *binary.ByteOrder) (kind, n uint32, reason string) {
	if kind = binary.BigEndian.Uint32(b); kind == blockSection { // the same in both orders
		switch binary.BigEndian.Uint32(b[8:]) {
		case 0x1a2b3c4d:
			*order = binary.BigEndian
		case 0x4d3c2b1a:
			*order = binary.LittleEndian
		default:
			return 0, 0, "a section header has no byte-order magic"
		}
	} else {
		kind = (*order).Uint32(b)
	}
	if n = (*order).Uint32(b[4:]); n < 12 || n%4 != 0 || n > blockMax {
		return 0, 0, fmt.Sprintf("a block claims %d bytes, which cannot be; what follows it is lost", n)
	}
	return kind, n, ""
}

// IsExports reports that a file begins as one of datagrams of exporters does, as Exports.Read takes them.
func IsExports(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	first, second := binary.BigEndian.Uint16(head), binary.BigEndian.Uint16(head[2:])
	return isVersion(first) || first >= headerIPFIX && isVersion(second)
}

// exportsMax bounds a file of NetFlow 9 datagrams without lengths: there is no place where it can be cut.
const exportsMax = 32 << 20

// CutExports reads a file of datagrams and gives it in pieces of about size bytes, cut between datagrams.
func CutExports(r io.Reader, size int, give func(piece []byte) error) error {
	in := bufio.NewReaderSize(r, 1<<16)
	head, err := in.Peek(2)
	if err != nil {
		return err
	}
	version := binary.BigEndian.Uint16(head)
	if version == 9 {
		all, err := io.ReadAll(io.LimitReader(in, exportsMax+1))
		switch {
		case err != nil:
			return err
		case len(all) > exportsMax:
			return fmt.Errorf("a file of NetFlow 9 datagrams without lengths between them may have at most %d bytes", exportsMax)
		}
		return give(all)
	}
	var piece []byte
	for {
		head, err := in.Peek(4)
		if len(head) < 4 {
			piece = append(piece, head...)
			if len(piece) > 0 {
				return give(piece)
			}
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		n := 2 + int(binary.BigEndian.Uint16(head))
		switch version {
		case 5:
			n = header5 + record5*int(binary.BigEndian.Uint16(head[2:]))
		case 10:
			n = max(headerIPFIX, int(binary.BigEndian.Uint16(head[2:])))
		}
		at := len(piece)
		piece = append(piece, make([]byte, n)...)
		got, _ := io.ReadFull(in, piece[at:])
		if piece = piece[:at+got]; len(piece) >= size || got < n {
			if err := give(piece); err != nil || got < n {
				return err
			}
			piece = piece[:0]
		}
	}
}
