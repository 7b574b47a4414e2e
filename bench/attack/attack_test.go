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
	mu    sync.Mutex
	heard [][]byte
}

// listen starts a victim that has each connection read by hear, until the test ends.
func listen(t *testing.T, hear func(net.Conn) []byte) *victim {
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
				c.SetDeadline(time.Now().Add(time.Minute))
				b := hear(c)
				v.mu.Lock()
				defer v.mu.Unlock()
				v.heard = append(v.heard, b)
			})
		}
	})
	return v
}

// said waits for the end of every connection and returns what each has said.
func (v *victim) said() [][]byte {
	v.ln.Close()
	v.all.Wait()
	return v.heard
}

const name = "app.gw.test"

func mustRun(t *testing.T, o Options) *Result {
	t.Helper()
	o.ServerName = name
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// toTheEnd reads for as long as the client is there.
func toTheEnd(c io.Reader) []byte {
	b, _ := io.ReadAll(c)
	return b
}

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
			return len(b) > 0 && b[0] == 22 && !whole
		},
	} {
		t.Run(string(form), func(t *testing.T) {
			v := listen(t, func(c net.Conn) []byte { return toTheEnd(c) })
			o := Options{Target: v.at, Form: form, Connections: 5, Rate: 1000, Duration: 300 * time.Millisecond}
			if form.Streams() {
				o.BulkRate = 5000
			}
			r := mustRun(t, o)
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

func TestHoldWithTLSCompletesTheHandshake(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, name)}}
	v := listen(t, func(c net.Conn) []byte {
		s := tls.Server(c, config)
		if err := s.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
		return toTheEnd(s)
	})
	mustRun(t, Options{Target: v.at, Form: Hold, TLS: true, Connections: 2, Rate: 100, Duration: 300 * time.Millisecond})
	if heard := v.said(); len(heard) != 2 || len(heard[0])+len(heard[1]) > 0 {
		t.Errorf("the target heard %q", heard)
	}
}

// refusing closes its side at the first word, and reads on for as long as the client is there.
func refusing(c net.Conn) []byte {
	b := make([]byte, 4<<10)
	n, _ := c.Read(b)
	_ = c.(*net.TCPConn).CloseWrite()
	return append(b[:n:n], toTheEnd(c)...)
}

func TestRefusedAsksForFourThingsInTurnAndLeaves(t *testing.T) {
	v := listen(t, refusing)
	r := mustRun(t, Options{Target: v.at, Form: Refused, Connections: 10, Rate: 200, Duration: 300 * time.Millisecond})
	if r.Done < 8 || r.Cut+r.Failed > 0 {
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
		default:
			t.Errorf("the target heard %q", b)
		}
	}
	if len(kinds) != 4 || kinds["app-1s.gw.test"] == 0 || kinds["unknown-443s.gw.test"] == 0 || kinds["www.example.com"] == 0 || kinds["plain"] == 0 {
		t.Errorf("the target heard %v", kinds)
	}
}

func TestLingeringClientsSendOn(t *testing.T) {
	v := listen(t, refusing)
	r := mustRun(t, Options{Target: v.at, Form: Linger, Connections: 3, Rate: 100, Duration: 500 * time.Millisecond})
	if r.Opened != 3 || r.Cut+r.Done > 0 {
		t.Errorf("%+v", r)
	}
	for _, b := range v.said() {
		if !bytes.HasSuffix(b, []byte{0, 0}) {
			t.Errorf("nothing came after the refusal: %q", b)
		}
	}
}

func TestChurnClosesFirst(t *testing.T) {
	v := listen(t, func(c net.Conn) []byte {
		b := make([]byte, 4<<10)
		n, err := c.Read(b)
		if err == nil && n > requestSize {
			_, err = c.Write(b[n-requestSize : n])
		}
		if _, end := c.Read(b); !errors.Is(end, io.EOF) {
			t.Errorf("the client ended by %v, %v", err, end)
		}
		return b[:n]
	})
	r := mustRun(t, Options{Target: v.at, Form: Churn, Connections: 10, Rate: 100, Duration: 300 * time.Millisecond})
	if r.Done < 5 || r.Cut+r.Failed > 0 {
		t.Errorf("%+v", r)
	}
}

func TestStreamsKeepTheirRate(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, name)}}
	for _, form := range []Form{KeyUpdate, TinyRecords} {
		t.Run(string(form), func(t *testing.T) {
			v := listen(t, func(c net.Conn) []byte { return toTheEnd(tls.Server(c, config)) })
			const rate = 100_000
			r := mustRun(t, Options{Target: v.at, Form: form, Connections: 2, Rate: 100, BulkRate: rate, Duration: 500 * time.Millisecond})
			// Each may be ahead by a piece, and catch up two.
			if most := rate * (r.Seconds + 0.1); r.Opened != 2 || r.Bytes == 0 || float64(r.Bytes) > most {
				t.Errorf("%+v: more than %.0f bytes", r, most)
			}
			for _, b := range v.said() { // one command, then zeros
				if len(b) < 20 || b[0] != byte(backend.Upload) || bytes.Trim(b[16:], "\x00") != nil {
					t.Errorf("the target heard %q", b)
				}
			}
		})
	}
}

func TestBurstIsWrittenAtOnce(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{gwtest.NewCA(t).Server(t, name)}}
	v := listen(t, func(c net.Conn) []byte { return toTheEnd(tls.Server(c, config)) })
	// The second one is due in three hours.
	r := mustRun(t, Options{Target: v.at, Form: TinyRecords, Rate: 10, BulkRate: 1, Burst: 10_000, Duration: 300 * time.Millisecond})
	if r.Bytes < 10_000 || r.Bytes > 10_100 {
		t.Errorf("%+v", r)
	}
}

// A target that reads nothing holds neither the attack beyond its time nor its number.
func TestAttackEndsInTime(t *testing.T) {
	target := listen(t, func(net.Conn) []byte {
		<-t.Context().Done()
		return nil
	}).at
	for _, form := range Forms {
		o := Options{Target: target, ServerName: name, Form: form, Connections: 3, Rate: 1000, Duration: 100 * time.Millisecond}
		if form.Streams() {
			o.BulkRate = 1e6
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
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
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := Run(ctx, Options{
		Target: listen(t, func(c net.Conn) []byte { return toTheEnd(c) }).at, ServerName: name, Form: Silent, Rate: 1, Duration: time.Minute, Stop: stop,
	})
	if err != nil || ctx.Err() != nil {
		t.Errorf("%v, %v", err, ctx.Err())
	}
}

func TestConnectionsComeFromTheSource(t *testing.T) {
	from := make(chan string, 100)
	v := listen(t, func(c net.Conn) []byte {
		from <- c.RemoteAddr().(*net.TCPAddr).IP.String()
		return nil
	})
	r := mustRun(t, Options{Target: v.at, Form: Silent, Source: netip.MustParseAddr("127.0.0.2"), Rate: 20, Duration: 200 * time.Millisecond})
	if got := <-from; got != "127.0.0.2" || r.Cut == 0 {
		t.Errorf("from %s, %+v", got, r)
	}
}

func TestWhatCannotBeReachedIsCounted(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := ln.Addr().(*net.TCPAddr).AddrPort()
	ln.Close()
	r := mustRun(t, Options{Target: target, Form: Silent, Rate: 100, Duration: 100 * time.Millisecond})
	if r.Failed == 0 || r.Opened > 0 || r.FirstError == "" {
		t.Errorf("%+v", r)
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
