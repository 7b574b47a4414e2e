package attack

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// A Form is what the connections of an attack do.
type Form string

// The forms.
const (
	// KeyUpdate sends rows of 15 KeyUpdate records that ask for an answer and one byte of
	// data, over TLS 1.3: work and answers, and hardly a byte that anybody relays.
	KeyUpdate Form = "keyupdate"
	// TinyRecords sends TLS records of one byte.
	TinyRecords Form = "tinyrecords"
	// SlowHello sends a ClientHello byte by byte, and never the last one.
	SlowHello Form = "slowhello"
	// Silent connects and says nothing.
	Silent Form = "silent"
	// Hold sends a ClientHello, or with TLS makes the whole handshake, and then says nothing.
	Hold Form = "hold"
	// Refused asks in turn for an app that is unknown, for a name of another domain, for
	// plain HTTP and for a port that the instance refuses, and leaves when it was refused.
	Refused Form = "refused"
	// Linger does the same and does not leave: it sends on, a byte at a time.
	Linger Form = "linger"
	// Churn connects, sends a request, waits for its echo and closes first: the side that
	// closes first keeps the port (TIME_WAIT), here and behind the gateway.
	Churn Form = "churn"
)

// Forms are all of them.
var Forms = [...]Form{KeyUpdate, TinyRecords, SlowHello, Silent, Hold, Refused, Linger, Churn}

// Streams reports whether the form sends at a rate of bytes.
func (f Form) Streams() bool { return f == KeyUpdate || f == TinyRecords || f == SlowHello }

// speaksTLS reports whether the form is nothing without TLS.
func (f Form) speaksTLS() bool { return f == KeyUpdate || f == TinyRecords }

// Options say what an attack does. Check completes and checks them.
type Options struct {
	Target     netip.AddrPort // on this machine
	ServerName string         // a name that the target serves
	Source     netip.Addr     // where the connections come from; the zero Addr is what the kernel takes
	Form       Form
	TLS        bool // of Hold: make the handshake

	Connections int           // at the same time, at most; default 1
	Rate        float64       // new connections a second; those that the target ends are replaced
	BulkRate    float64       // bytes a second on the wire, all connections together, of a Form that Streams
	Burst       int           // bytes that KeyUpdate and TinyRecords write at once; default what is due in 20 ms
	Duration    time.Duration // default 10s

	// Stop ends the attack early when it is closed. Nil never does.
	Stop <-chan struct{} `json:"-"`
}

// Bounds of an attack.
const (
	maxConnections = 20_000
	maxRate        = 20_000
	maxBulkRate    = 100e6
	maxBurst       = 16 << 20
	maxDuration    = 10 * time.Minute
)

// Check fills in the defaults and says what is wrong.
func (o *Options) Check() error {
	o.Connections = max(o.Connections, 1)
	if o.Duration == 0 {
		o.Duration = 10 * time.Second
	}
	if o.Form.speaksTLS() {
		o.TLS = true
	}
	switch {
	case !slices.Contains(Forms[:], o.Form):
		return fmt.Errorf("attack %q: want one of %v", o.Form, Forms)
	case o.ServerName == "":
		return errors.New("server name: an attack needs one that the target serves (--sni)")
	case o.TLS && o.Form != Hold && !o.Form.speaksTLS():
		return fmt.Errorf("attack %s speaks no TLS", o.Form)
	case o.Connections > maxConnections:
		return fmt.Errorf("connections of an attack: want 1 to %d", maxConnections)
	case !(o.Rate > 0 && o.Rate <= maxRate):
		return fmt.Errorf("rate: an attack needs one, of up to %d connections a second", maxRate)
	case o.Form.Streams() && !(o.BulkRate > 0 && o.BulkRate <= maxBulkRate):
		return fmt.Errorf("bulk rate: attack %s needs one, of up to %.0f bytes a second", o.Form, maxBulkRate)
	case o.Burst < 0 || o.Burst > maxBurst:
		return fmt.Errorf("burst: want up to %d bytes", maxBurst)
	case o.Burst > 0 && !o.Form.speaksTLS():
		return fmt.Errorf("burst: attack %s has none", o.Form)
	case !o.Form.Streams() && o.BulkRate != 0:
		return fmt.Errorf("bulk rate: attack %s has none", o.Form)
	case o.Duration < 0 || o.Duration > maxDuration:
		return fmt.Errorf("duration of an attack: want up to %s", maxDuration)
	}
	return ofThisMachine(o.Target.Addr())
}

// ofThisMachine is an error unless a is an address of this machine or network namespace.
func ofThisMachine(a netip.Addr) error {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() {
		return nil
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return fmt.Errorf("read this machine's addresses: %w", err)
	}
	for _, n := range own {
		if p, err := netip.ParsePrefix(n.String()); err == nil && p.Addr().WithZone("") == a {
			return nil
		}
	}
	return fmt.Errorf("target %s: an attack goes to an address of this machine, and to nobody else", a)
}
