package connector

import (
	"context"
	"net"
	"net/netip"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// netflowDef receives datagrams of flow exporters.
func netflowDef() Def {
	return Def{
		Name: "netflow",
		Doc: "Receives NetFlow 5, NetFlow 9 and IPFIX by UDP. Templates are kept over restarts. Datagrams that come while the server is down, or faster than it stores " +
			"them, are lost, as UDP is.",
		Params: []Param{{"address", "127.0.0.1:2055", "host:port to listen on; 0.0.0.0:2055 for all addresses"}},
		Check: func(o Options) error {
			_, err := listenAddress(o)
			return err
		},
		Listen: listenUDP,
	}
}

func listenAddress(o Options) (netip.AddrPort, error) {
	text := o.Params["address"]
	if text == "" {
		text = "127.0.0.1:2055"
	}
	a, err := netip.ParseAddrPort(text)
	if err != nil {
		return a, sqlerr.New(sqlerr.InvalidParameterValue, "option address = %q of connector netflow is no address to listen on", text).
			WithHint("For example '0.0.0.0:2055', or '[::1]:4739'.")
	}
	return a, nil
}

// receiveBuffer is what the kernel is asked to hold, bytes; it may give less.
const receiveBuffer = 8 << 20

// listenUDP implements Listen.
func listenUDP(ctx context.Context, o Options, in *Inbox) error {
	at, err := listenAddress(o)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetReadBuffer(receiveBuffer) // what it gives is what there is
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, 1<<16)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		in.Put(from.Addr().Unmap(), buf[:n])
	}
}
