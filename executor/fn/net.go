package fn

import (
	"math/big"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// masked returns a stored address with the bits after the prefix cleared, or set.
func masked(s string, bits int, set bool) []byte {
	b := []byte(s)
	for i := 1; i < len(b); i++ {
		m := byte(0xff) >> min(max(bits-8*(i-1), 0), 8)
		if set {
			b[i] |= m
		} else {
			b[i] &^= m
		}
	}
	return b
}

func addrBits(s string) int { return 8 * (len(s) - 1) }

func netDefs() []Def {
	one := args{tInet}
	mask := func(host bool) eval {
		return func(_ *Ctx, a values) (value, error) {
			b := make([]byte, len(a[0].S))
			b[0] = byte(addrBits(a[0].S))
			if !host {
				for i := range b[1:] {
					b[1+i] = 0xff
				}
				out := masked(string(b), int(a[0].S[0]), false)
				return stored(types.Inet, string(out)), nil
			}
			return stored(types.Inet, string(masked(string(b), int(a[0].S[0]), true))), nil
		}
	}
	return []Def{
		def("host", one, tText, func(_ *Ctx, a values) (value, error) {
			b := []byte(a[0].S)
			b[0] = byte(addrBits(a[0].S))
			return text(string(types.AppendInetText(nil, b)))
		}).about("The address without prefix length.", "host(inet '192.168.1.0/24')", "192.168.1.0"),
		def("masklen", one, tInt4, func(_ *Ctx, a values) (value, error) { return int4(int64(a[0].S[0])) }).about("The prefix length.", "masklen(inet '192.168.1.5/24')", "24"),
		def("network", one, tCIDR, func(_ *Ctx, a values) (value, error) {
			return stored(types.CIDR, string(masked(a[0].S, int(a[0].S[0]), false))), nil
		}).about("The network of an address.", "network(inet '192.168.1.5/24')", "192.168.1.0/24"),
		def("broadcast", one, tInet, func(_ *Ctx, a values) (value, error) {
			return stored(types.Inet, string(masked(a[0].S, int(a[0].S[0]), true))), nil
		}).about("The broadcast address of the network.", "broadcast(inet '192.168.1.5/24')", "192.168.1.255/24"),
		def("netmask", one, tInet, mask(false)).about("The network mask.", "netmask(inet '192.168.1.5/24')", "255.255.255.0"),
		def("hostmask", one, tInet, mask(true)).about("The host mask.", "hostmask(inet '192.168.23.20/30')", "0.0.0.3"),
		def("family", one, tInt4, func(_ *Ctx, a values) (value, error) {
			if len(a[0].S) == 5 {
				return int4(4)
			}
			return int4(6)
		}).about("4 or 6.", "family(inet '::1')", "6"),
		def("text", one, tText, func(_ *Ctx, a values) (value, error) { return text(stored(types.CIDR, a[0].S).Text()) }).
			about("Address and prefix length.", "text(inet '192.168.1.5')", "192.168.1.5/32"),
		def("abbrev", one, tText, func(ctx *Ctx, a values) (value, error) { return text(textOf(ctx, a[0])) }).about("As it prints.", "abbrev(inet '10.1.0.0/32')", "10.1.0.0"),
		def("set_masklen", args{tInet, tInt4}, tInet, setMasklen(types.Inet)).about("Changes the prefix length.", "set_masklen(inet '192.168.1.5/24', 16)", "192.168.1.5/16"),
		def("set_masklen", args{tCIDR, tInt4}, tCIDR, setMasklen(types.CIDR)).about("Changes the prefix length, clearing the bits after it.", "set_masklen(cidr '192.168.1.0/24', 16)", "192.168.0.0/16"),
		def("inet_same_family", args{tInet, tInet}, tBool, func(_ *Ctx, a values) (value, error) { return boolean(len(a[0].S) == len(a[1].S)) }).
			about("Whether both are IPv4 or both IPv6.", "inet_same_family(inet '10.0.0.1', inet '::1')", "f"),
	}
}

func setMasklen(k types.Kind) eval {
	return func(_ *Ctx, a values) (value, error) {
		bits := a[1].I
		if bits == -1 {
			bits = int64(addrBits(a[0].S))
		}
		if bits < 0 || bits > int64(addrBits(a[0].S)) {
			return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "invalid mask length: %d", a[1].I)
		}
		b := []byte(a[0].S)
		if k == types.CIDR {
			b = masked(a[0].S, int(bits), false)
		}
		b[0] = byte(bits)
		return stored(k, string(b)), nil
	}
}

func netOpDefs() []Def {
	two := args{tInet, tInet}
	rel := func(f func(a, b string) bool) eval {
		return func(_ *Ctx, a values) (value, error) { return boolean(f(a[0].S, a[1].S)) }
	}
	in := func(strict bool) func(a, b string) bool {
		return func(a, b string) bool { return types.InetContains(b, a, strict) }
	}
	over := func(strict bool) func(a, b string) bool {
		return func(a, b string) bool { return types.InetContains(a, b, strict) }
	}
	bitwise := func(name string, f func(x, y byte) byte) eval {
		return func(_ *Ctx, a values) (value, error) {
			x, y := []byte(a[0].S), a[1].S
			if len(x) != len(y) {
				return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot %s inet values of different sizes", name)
			}
			for i := 1; i < len(x); i++ {
				x[i] = f(x[i], y[i])
			}
			x[0] = max(x[0], y[0])
			return stored(types.Inet, string(x)), nil
		}
	}
	return []Def{
		def("<<", two, tBool, rel(in(true))).about("Strictly contained in the network.", "inet '192.168.1.5' << inet '192.168.1/24'::cidr", "t"),
		def("<<=", two, tBool, rel(in(false))).about("Contained in the network or equal to it.", "inet '192.168.1.0/24' <<= inet '192.168.1.0/24'", "t"),
		def(">>", two, tBool, rel(over(true))).about("Strictly contains.", "inet '192.168.1.0/24' >> inet '192.168.1.5'", "t"),
		def(">>=", two, tBool, rel(over(false))).about("Contains or is equal to.", "inet '192.168.1.0/24' >>= inet '192.168.1.0/24'", "t"),
		def("&&", two, tBool, rel(func(a, b string) bool { return types.InetContains(a, b, false) || types.InetContains(b, a, false) })).
			about("One contains the other.", "inet '192.168.1.0/24' && inet '192.168.2.0/28'", "f"),
		def("&", two, tInet, bitwise("AND", func(x, y byte) byte { return x & y })).about("Bitwise AND.", "inet '192.168.1.6' & inet '0.0.0.255'", "0.0.0.6"),
		def("|", two, tInet, bitwise("OR", func(x, y byte) byte { return x | y })).about("Bitwise OR.", "inet '192.168.1.6' | inet '0.0.0.255'", "192.168.1.255"),
		def("~", args{tInet}, tInet, func(_ *Ctx, a values) (value, error) {
			b := []byte(a[0].S)
			for i := 1; i < len(b); i++ {
				b[i] = ^b[i]
			}
			return stored(types.Inet, string(b)), nil
		}).about("Bitwise NOT.", "~ inet '192.168.1.6'", "63.87.254.249"),
		def("+", args{tInet, tInt8}, tInet, func(_ *Ctx, a values) (value, error) { return addInet(a[0].S, a[1].I) }).about("The address so much further.", "inet '192.168.1.6' + 25", "192.168.1.31"),
		def("+", args{tInt8, tInet}, tInet, func(_ *Ctx, a values) (value, error) { return addInet(a[1].S, a[0].I) }).about("The address so much further."),
		def("-", args{tInet, tInt8}, tInet, func(_ *Ctx, a values) (value, error) { return addInet(a[0].S, -a[1].I) }).about("The address so much before.", "inet '192.168.1.43' - 36", "192.168.1.7"),
		def("-", two, tInt8, subInet).about("Distance of two addresses.", "inet '192.168.1.43' - inet '192.168.1.19'", "24"),
	}
}

func addInet(s string, n int64) (value, error) {
	x := new(big.Int).SetBytes([]byte(s[1:]))
	x.Add(x, big.NewInt(n))
	if x.Sign() < 0 || x.BitLen() > addrBits(s) {
		return value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "result is out of range")
	}
	b := make([]byte, len(s))
	b[0] = s[0]
	x.FillBytes(b[1:])
	return stored(types.Inet, string(b)), nil
}

func subInet(_ *Ctx, a values) (value, error) {
	if len(a[0].S) != len(a[1].S) {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "cannot subtract inet values of different sizes")
	}
	x, y := new(big.Int).SetBytes([]byte(a[0].S[1:])), new(big.Int).SetBytes([]byte(a[1].S[1:]))
	x.Sub(x, y)
	if !x.IsInt64() {
		return value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "result is out of range")
	}
	return int8(x.Int64())
}
