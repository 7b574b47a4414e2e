package attack

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/bench/backend"
	"sallyport/internal/gwtest"
	"sallyport/internal/hello"
)

// A victim is a target that keeps what each connection says.
type victim struct {
	at    netip.AddrPort
	ln    net.Listener
	all   sync.WaitGroup
	mu    sync.Mutex // guards heard
	heard [][]byte
}

// listen starts a victim that has each connection read by hear, until the test ends. keep
// keeps what it says.
func listen(t *testing.T, hear func(c net.Conn, keep func([]byte))) *victim {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{at: ln.Addr().(*net.TCPAddr).AddrPort(), ln: ln}
	t.Cleanup(func() { v.said() })
	v.all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			v.all.Go(func() {
				defer c.Close()
				c.SetDeadline(time.Now().Add(2 * time.Minute))
				hear(c, v.keeper())
			})
		}
	})
	return v
}

// keeper keeps what one connection says.
func (v *victim) keeper() func([]byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := len(v.heard)
	v.heard = append(v.heard, nil)
	return func(b []byte) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.heard[i] = append(v.heard[i], b...)
	}
}

// said waits for the end of every connection and returns what each has said.
func (v *victim) said() [][]byte {
	v.ln.Close()
	v.all.Wait()
	return v.heard
}

// meets reports whether as many connections as wanted have said what is right.
func (v *victim) meets(wanted int, isRight func([]byte) bool) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 0
	for _, b := range v.heard {
		if isRight(b) {
			n++
		}
	}
	return n >= wanted
}

const name = "app.gw.test"

// attackUntil attacks v until it meets what is wanted, however long a busy machine takes.
func (v *victim) attackUntil(t *testing.T, o Options, wanted int, isRight func([]byte) bool) *Result {
	t.Helper()
	stop := make(chan struct{})
	o.Target, o.ServerName, o.Duration, o.Stop = v.at, name, time.Minute, stop
	var watch sync.WaitGroup
	ended := make(chan struct{})
	watch.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for !v.meets(wanted, isRight) {
			select {
			case <-tick.C:
			case <-ended:
				t.Errorf("not %d connections have said what is right", wanted)
				return
			}
		}
		close(stop)
	})
	r, err := Run(t.Context(), o)
	close(ended)
	watch.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// toTheEnd reads for as long as the client is there.
func toTheEnd(c io.Reader, keep func([]byte)) {
	for b := make([]byte, 32<<10); ; {
		n, err := c.Read(b)
		if keep(b[:n]); err != nil {
			return
		}
	}
}

func plain(c net.Conn, keep func([]byte)) { toTheEnd(c, keep) }

// serverName reads a hello.
func serverName(b []byte) (string, bool) {
	var p hello.Parser
	done, err := p.Parse(b)
	return string(p.Hello().ServerName), done && err == nil
}

func TestFormsThatWaitSayOnlyWhatTheySay(t *testing.T) {
	for form, isRight := range map[Form]func(b []byte) bool{
		Silent: func(b []byte) bool { return len(b) == 0 },
		Hold: func(b []byte) bool {
			got, whole := serverName(b)
			return whole && got == name
		},
		SlowHello: func(b []byte) bool {
			_, whole := serverName(b)
			return len(b) > 1 && b[0] == 22 && !whole
		},
	} {
		t.Run(string(form), func(t *testing.T) {
			v := listen(t, plain)
			o := Options{Form: form, Connections: 5, Rate: 1000}
			if form.Streams() {
				o.BulkRate = 500
			}
			r := v.attackUntil(t, o, 5, isRight)
			if r.Opened != 5 || r.MostOpen != 5 || r.Cut+r.Done+r.Failed > 0 {
				t.Errorf("%+v", r)
			}
			for _, b := range v.said() {
				if !isRight(b) {
					t.Errorf("the target heard %q", b)
				}
			}
		})
	}
}

// ending ends TLS for its clients. It keeps a word when the handshake is done, and then
// what they say.
func ending(t *testing.T) *victim {
	t.Helper()
	config := &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, name)}}
	return listen(t, func(c net.Conn, keep func([]byte)) {
		s := tls.Server(c, config)
		if s.HandshakeContext(t.Context()) == nil {
			keep([]byte(shaken))
			toTheEnd(s, keep)
		}
	})
}

const shaken = "shaken "

func TestHoldWithTLSCompletesTheHandshake(t *testing.T) {
	v := ending(t)
	isRight := func(b []byte) bool { return string(b) == shaken }
	v.attackUntil(t, Options{Form: Hold, TLS: true, Connections: 2, Rate: 100}, 2, isRight)
	if heard := v.said(); len(heard) != 2 || !isRight(heard[0]) || !isRight(heard[1]) {
		t.Errorf("the target heard %q", heard)
	}
}

// refusing closes its side at the first word, and reads on for as long as the client is there.
func refusing(c net.Conn, keep func([]byte)) {
	b := make([]byte, 4<<10)
	n, _ := c.Read(b)
	keep(b[:n])
	_ = c.(*net.TCPConn).CloseWrite()
	toTheEnd(c, keep)
}

func TestRefusedAsksForFourThingsInTurnAndLeaves(t *testing.T) {
	v := listen(t, refusing)
	r := v.attackUntil(t, Options{Form: Refused, Connections: 10, Rate: 200}, 12, func(b []byte) bool { return len(b) > 0 })
	if r.Done == 0 || r.Cut+r.Failed > 0 {
		t.Fatalf("%+v", r)
	}
	kinds := map[string]int{}
	for _, b := range v.said() {
		got, whole := serverName(b)
		switch {
		case whole:
			kinds[got]++
		case bytes.HasPrefix(b, []byte("GET / HTTP/1.1\r\nHost: "+name)):
			kinds["plain"]++
		case len(b) > 0: // the last ones may not have come to a word
			t.Errorf("the target heard %q", b)
		}
	}
	if len(kinds) != 4 || kinds["app-1s.gw.test"] == 0 || kinds["unknown-443s.gw.test"] == 0 || kinds["www.example.com"] == 0 || kinds["plain"] == 0 {
		t.Errorf("the target heard %v", kinds)
	}
}

func TestLingeringClientsSendOn(t *testing.T) {
	v := listen(t, refusing)
	r := v.attackUntil(t, Options{Form: Linger, Connections: 3, Rate: 100}, 3, func(b []byte) bool { return bytes.HasSuffix(b, []byte{0, 0}) })
	if r.Opened != 3 || r.Cut+r.Done > 0 {
		t.Errorf("%+v", r)
	}
}

func TestChurnClosesFirst(t *testing.T) {
	const closed = "and closed"
	v := listen(t, func(c net.Conn, keep func([]byte)) {
		b := make([]byte, 4<<10)
		n, err := c.Read(b)
		if err == nil && n > requestSize {
			_, err = c.Write(b[n-requestSize : n])
		}
		if _, end := c.Read(b); err == nil && errors.Is(end, io.EOF) {
			keep([]byte(closed))
		}
	})
	r := v.attackUntil(t, Options{Form: Churn, Connections: 10, Rate: 100}, 5, func(b []byte) bool { return string(b) == closed })
	if r.Done < 5 || r.Cut+r.Failed > 0 {
		t.Errorf("%+v", r)
	}
}

func TestStreamsKeepTheirRate(t *testing.T) {
	isRight := func(b []byte) bool { // one command, then zeros
		said, ok := bytes.CutPrefix(b, []byte(shaken))
		return ok && len(said) > 20 && said[0] == byte(backend.Upload) && len(bytes.Trim(said[16:], "\x00")) == 0
	}
	for _, form := range []Form{KeyUpdate, TinyRecords} {
		t.Run(string(form), func(t *testing.T) {
			v := ending(t)
			const rate = 100_000
			r := v.attackUntil(t, Options{Form: form, Connections: 2, Rate: 100, BulkRate: rate}, 2, isRight)
			// Each may be ahead by a piece, and catch up two.
			if most := rate * (r.Seconds + 0.1); r.Opened != 2 || float64(r.Bytes) > most {
				t.Errorf("%+v: more than %.0f bytes", r, most)
			}
			for _, b := range v.said() {
				if !isRight(b) {
					t.Errorf("the target heard %q", b)
				}
			}
		})
	}
}

func TestBurstIsWrittenAtOnce(t *testing.T) {
	v := ending(t)
	const records = 10_000 / 23 // of one byte
	// The second burst is due in three hours.
	r := v.attackUntil(t, Options{Form: TinyRecords, Rate: 10, BulkRate: 1, Burst: 10_000}, 1, func(b []byte) bool { return len(b) > records })
	if r.Bytes < 10_000 || r.Bytes > 10_100 {
		t.Errorf("%+v", r)
	}
}

// A target that reads nothing holds neither the attack beyond its time nor its number.
func TestAttackEndsInTime(t *testing.T) {
	target := listen(t, func(net.Conn, func([]byte)) { <-t.Context().Done() }).at
	for _, form := range Forms {
		o := Options{Target: target, ServerName: name, Form: form, Connections: 3, Rate: 1000, Duration: 100 * time.Millisecond}
		if form.Streams() {
			o.BulkRate = 1e6
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := Run(ctx, o)
		if err != nil || ctx.Err() != nil || r.MostOpen > 3 {
			t.Errorf("%s: %v, %v, %+v", form, err, ctx.Err(), r)
		}
		cancel()
	}
}

func TestAttackIsStopped(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := Run(ctx, Options{Target: listen(t, plain).at, ServerName: name, Form: Silent, Rate: 1, Duration: 5 * time.Minute, Stop: stop})
	if err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestConnectionsComeFromTheSource(t *testing.T) {
	v := listen(t, func(c net.Conn, keep func([]byte)) { keep([]byte(c.RemoteAddr().(*net.TCPAddr).IP.String())) })
	v.attackUntil(t, Options{Form: Silent, Source: netip.MustParseAddr("127.0.0.2"), Rate: 20}, 1, func(b []byte) bool { return len(b) > 0 })
	if got := string(v.said()[0]); got != "127.0.0.2" {
		t.Errorf("from %s", got)
	}
}

func TestWhatCannotBeReachedIsCounted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	r, err := Run(t.Context(), Options{Target: target, ServerName: name, Form: Silent, Rate: 100, Duration: time.Second})
	if err != nil || r.Failed == 0 || r.Opened > 0 || r.FirstError == "" {
		t.Errorf("%v, %+v", err, r)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	good := Options{Target: netip.MustParseAddrPort("127.0.0.1:443"), ServerName: name, Form: Silent, Rate: 1}
	if err := good.Check(); err != nil || good.Connections != 1 || good.Duration != 10*time.Second {
		t.Fatalf("%v, %+v", err, good)
	}
	for what, spoil := range map[string]func(*Options){
		"another machine":  func(o *Options) { o.Target = netip.MustParseAddrPort("192.0.2.1:443") },
		"any address":      func(o *Options) { o.Target = netip.MustParseAddrPort("0.0.0.0:443") },
		"no target":        func(o *Options) { o.Target = netip.AddrPort{} },
		"no name":          func(o *Options) { o.ServerName = "" },
		"form":             func(o *Options) { o.Form = "rest" },
		"no rate":          func(o *Options) { o.Rate = 0 },
		"rate":             func(o *Options) { o.Rate = 1e6 },
		"connections":      func(o *Options) { o.Connections = 1 << 20 },
		"no bytes":         func(o *Options) { o.Form = KeyUpdate },
		"bytes of silence": func(o *Options) { o.BulkRate = 1 },
		"TLS of silence":   func(o *Options) { o.TLS = true },
		"burst":            func(o *Options) { o.Form, o.BulkRate, o.Burst = KeyUpdate, 1, 1<<30 },
		"burst of silence": func(o *Options) { o.Burst = 1 },
		"a day":            func(o *Options) { o.Duration = 24 * time.Hour },
	} {
		o := Options{Target: netip.MustParseAddrPort("127.0.0.1:443"), ServerName: name, Form: Silent, Rate: 1}
		spoil(&o)
		if o.Check() == nil {
			t.Errorf("%s: no error", what)
		}
	}
}
