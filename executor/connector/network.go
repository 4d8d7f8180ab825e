package connector

import (
	"math"
	"strconv"
	"time"
)

// What the network scenario hides among its benign events, again and again each period of event time.
const (
	periodSeconds     = 20
	bruteAt           = 5 // seconds into the period
	bruteSeconds      = 4
	bruteDenied       = 40 // failed logons of one user at one dst, then one that succeeds
	scanAt            = 10
	scanSeconds       = 5
	scanTargets       = 250 // addresses that one source contacts
	indicatorAt       = 15
	indicatorSeconds  = 4
	jitterMaxMicros   = 900_000 // benign events are at most this much older than their place says
	deniedPerSecond   = 10      // benign failed logons at most, however high the rate
	logonServers      = 40
	externalAddresses = 5000
)

// indicators are addresses of documentation networks (RFC 5737).
var indicators = [...]string{"203.0.113.66", "203.0.113.101", "198.51.100.23", "198.51.100.199", "192.0.2.44", "192.0.2.250"}

// GeneratorIndicators returns the addresses that the network scenario's hosts contact and should not; for IOC lists.
func GeneratorIndicators() []string { return append([]string(nil), indicators[:]...) }

// network is the scenario of hosts, users, logons and connections.
type network struct {
	seed         uint64
	hosts, users uint64
	start        int64 // microseconds
	perSecond    int64 // events per second of event time
	// In events: length of the period; start and distance of the hidden ones.
	period, brute, bruteStep, scan, scanStep, contact, contactStep int64
}

func (n network) prepared() network {
	r := n.perSecond
	n.period = periodSeconds * r
	n.brute, n.bruteStep = bruteAt*r, max(1, bruteSeconds*r/(bruteDenied+1))
	n.scan, n.scanStep = scanAt*r, max(1, scanSeconds*r/scanTargets)
	n.contact, n.contactStep = indicatorAt*r, max(1, indicatorSeconds*r/int64(len(indicators)))
	return n
}

// mix is splitmix64: the random word of event i of a seed.
func mix(seed, i uint64) uint64 {
	z := seed*0x9e3779b97f4a7c15 + i*0xbf58476d1ce4e5b9 + 0x94d049bb133111eb
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// event is what appendJSON writes.
type event struct {
	micros     int64
	host, user uint64
	action     string
	bytes      uint64
	port       uint64
}

// appendEvent implements scenario.
func (n network) appendEvent(dst []byte, i int64) []byte {
	var src, to [16]byte // address text on the stack
	cycle, pos := i/n.period, i%n.period
	c := mix(n.seed^0xa77ac4, uint64(cycle))
	at := n.start + i/n.perSecond*1e6 + i%n.perSecond*1e6/n.perSecond
	e := event{micros: at, bytes: 40 + c%100, port: 22}
	switch {
	case hidden(pos-n.brute, n.bruteStep, bruteDenied+1):
		e.host, e.user, e.action = c%n.hosts, c>>20%n.users, "denied"
		if (pos-n.brute)/n.bruteStep == bruteDenied {
			e.action = "granted"
		}
		return e.appendJSON(dst, hostAddress(src[:0], c>>40%n.hosts), serverAddress(to[:0], c>>10%logonServers))
	case hidden(pos-n.scan, n.scanStep, scanTargets):
		k := uint64(pos-n.scan) / uint64(n.scanStep)
		e.host, e.user, e.action, e.port, e.bytes = c>>8%n.hosts, c>>24%n.users, "connect", 445, 0
		return e.appendJSON(dst, hostAddress(src[:0], e.host), hostAddress(to[:0], e.host+k+1))
	case hidden(pos-n.contact, n.contactStep, int64(len(indicators))):
		k := (pos - n.contact) / n.contactStep
		e.host, e.user, e.action, e.port = c>>16%n.hosts, c>>32%n.users, "connect", 443
		return e.appendJSON(dst, hostAddress(src[:0], e.host), append(to[:0], indicators[k]...))
	}
	return n.appendBenign(dst, i, e)
}

// hidden reports whether an event at a distance from an attack's start belongs to it: each step-th, count times.
func hidden(distance, step, count int64) bool {
	return distance >= 0 && distance%step == 0 && distance/step < count
}

func (n network) appendBenign(dst []byte, i int64, e event) []byte {
	var src, to [16]byte
	r, q := mix(n.seed, uint64(i)), mix(^n.seed, uint64(i))
	e.host, e.user = r%n.hosts, r>>24%n.users
	if q>>56 < 32 { // an eighth arrives late
		e.micros -= int64(q >> 8 % jitterMaxMicros)
	}
	deniedPPM := min(10_000, deniedPerSecond*1_000_000/uint64(n.perSecond))
	kind := r >> 44
	target := to[:0]
	switch k := kind % 1_000_000; {
	case k < deniedPPM:
		e.action, target = "denied", serverAddress(target, q%logonServers)
	case k < 220_000:
		e.action, target = "granted", serverAddress(target, q%logonServers)
	case k < 400_000:
		e.action, target = "logout", serverAddress(target, q%logonServers)
	default:
		e.action, e.port = "connect", [...]uint64{443, 443, 443, 80, 53, 25, 8080, 993}[q>>20&7]
		e.bytes = 60 + uint64(math.Exp(float64(q>>30&0xffff)/65536*14))
		target = externalAddress(target, q>>46%externalAddresses)
	}
	return e.appendJSON(dst, hostAddress(src[:0], e.host), target)
}

func hostAddress(dst []byte, h uint64) []byte   { return address(dst, 10, 1+h>>16&0x3f, h>>8&255, h&255) }
func serverAddress(dst []byte, s uint64) []byte { return address(dst, 10, 200, 0, 10+s) }
func externalAddress(dst []byte, x uint64) []byte {
	return address(dst, 93+x%7, 184, x>>8&255, x&255)
}

func address(dst []byte, a, b, c, d uint64) []byte {
	dst = append(strconv.AppendUint(dst, a, 10), '.')
	dst = append(strconv.AppendUint(dst, b, 10), '.')
	dst = append(strconv.AppendUint(dst, c, 10), '.')
	return strconv.AppendUint(dst, d, 10)
}

func (e *event) appendJSON(dst, src, target []byte) []byte {
	dst = appendTime(append(dst, `{"ts":"`...), e.micros)
	dst = strconv.AppendUint(append(dst, `","host":"host-`...), e.host, 10)
	dst = strconv.AppendUint(append(dst, `.corp.example","username":"user`...), e.user, 10)
	dst = append(append(dst, `","src_ip":"`...), src...)
	dst = append(append(dst, `","dst":"`...), target...)
	dst = append(append(dst, `","action":"`...), e.action...)
	dst = strconv.AppendUint(append(dst, `","bytes":`...), e.bytes, 10)
	dst = strconv.AppendUint(append(dst, `,"detail":{"port":`...), e.port, 10)
	dst = append(dst, `,"proto":"tcp"}}`...)
	return dst
}

func appendTime(dst []byte, micros int64) []byte {
	return time.UnixMicro(micros).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
}

// waveforms is the correctness experiment: each second three sources send ten values each, whose sums are known.
type waveforms struct{ start int64 }

const (
	valuesPerCycle = 10
	wavesPerSecond = 3 * valuesPerCycle // events of event time
)

// appendEvent implements scenario.
func (w waveforms) appendEvent(dst []byte, i int64) []byte {
	cycle, k := i/wavesPerSecond, i%wavesPerSecond/3
	name, value := "sawtooth", float64(k)/valuesPerCycle
	switch i % 3 {
	case 1:
		name, value = "sinewave", math.Sin(2*math.Pi*float64(k)/valuesPerCycle)
	case 2:
		name, value = "squarewave", 0
		if k < valuesPerCycle/2 {
			value = 1
		}
	}
	dst = appendTime(append(dst, `{"ts":"`...), w.start+cycle*1e6+k*100_000)
	dst = append(append(dst, `","source":"`...), name...)
	dst = strconv.AppendFloat(append(dst, `","cnl":`...), value, 'f', -1, 64)
	return append(dst, '}')
}
