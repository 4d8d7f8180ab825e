package connector

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// captureListen implements Listen.
func captureListen(ctx context.Context, o Options, in *Inbox) error {
	name := o.Params["interface"]
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("interface %s: %w", name, err)
	}
	const all = syscall.ETH_P_ALL>>8 | syscall.ETH_P_ALL&0xff<<8 // in the network's order
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, all)
	if err != nil {
		return fmt.Errorf("capture from %s (it needs CAP_NET_RAW): %w", name, err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrLinklayer{Protocol: all, Ifindex: nic.Index}); err != nil {
		return fmt.Errorf("capture from %s: %w", name, err)
	}
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer) // what it gives is what there is
	wake := syscall.NsecToTimeval(captureEvery.Nanoseconds())
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &wake); err != nil {
		return fmt.Errorf("capture from %s: %w", name, err)
	}
	return captureFrom(ctx, fd, nic.Flags&net.FlagLoopback != 0, in)
}

// captureFrom receives packets until ctx ends. A loopback interface shows each packet as it leaves and as it comes: it counts once.
func captureFrom(ctx context.Context, fd int, loopback bool, in *Inbox) error {
	var c captureBuffer
	flush := func() {
		in.Put(netip.Addr{}, c.block)
		c.block = c.block[:0]
	}
	buf := make([]byte, captureBytes)
	for ctx.Err() == nil {
		n, from, err := syscall.Recvfrom(fd, buf, syscall.MSG_TRUNC)
		now := time.Now()
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			if len(c.block) > 0 {
				flush()
			}
			continue
		case err != nil:
			return err
		}
		at, ok := from.(*syscall.SockaddrLinklayer)
		if !ok || loopback && at.Pkttype == syscall.PACKET_OUTGOING {
			continue
		}
		link := captureLink(at.Hatype)
		if c.due(now, link) {
			flush()
		}
		c.add(now, link, buf[:min(n, len(buf))], n)
	}
	if len(c.block) > 0 {
		flush()
	}
	return nil
}

// captureLink is the link type of pcap files for a type of interface: what has no header of its own shows IP.
func captureLink(kind uint16) uint32 {
	const ethernet, raw = 1, 101
	switch kind {
	case syscall.ARPHRD_ETHER, syscall.ARPHRD_LOOPBACK:
		return ethernet
	}
	return raw
}
