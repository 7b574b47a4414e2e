package relay

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sallyport/internal/hello"
	"sallyport/internal/proxyproto"
)

// heard collects what a backend reads in the clear, for as long as it is let.
func heard(t *testing.T, conf *tls.Config) (netip.AddrPort, func() string) {
	got := make(chan string, MaxBackends)
	addr := serve(t, func(raw *net.TCPConn) {
		if conf == nil { // it speaks plain HTTP
			b := make([]byte, 4<<10)
			n, _ := raw.Read(b)
			_, _ = io.WriteString(raw, "HTTP/1.1 400 Bad Request\r\n\r\n")
			got <- strings.Map(func(r rune) rune {
				if r < ' ' || r > '~' {
					return -1
				}
				return r
			}, string(b[:n]))
			return
		}
		b, _ := io.ReadAll(tls.Server(raw, conf))
		got <- string(b)
	})
	return addr, func() string { return <-got }
}

func TestPeerThatIsNotTheAppIsRefused(t *testing.T) {
	a := newApps(t)
	other := newApps(t)
	old := a.good()
	old.MaxVersion = tls.VersionTLS12
	for name, conf := range map[string]*tls.Config{
		"another app":    a.instance("other", time.Now().Add(time.Hour)),
		"expired":        a.instance("app", time.Now().Add(-time.Hour)),
		"another root":   other.good(),
		"self-signed":    {Certificates: []tls.Certificate{{Certificate: [][]byte{other.cert.Raw}, PrivateKey: other.key}}},
		"TLS 1.2":        old,
		"no certificate": {},
		"plain HTTP":     nil,
	} {
		t.Run(name, func(t *testing.T) {
			addr, got := heard(t, conf)
			g := start(t, nil).toTLS(a, addr)
			c := g.dial()
			write(t, c, helloFor(t, "tls.test"))
			write(t, c, []byte("secret request"))
			if got := alertIn(t, c); got != alertInternalError {
				t.Errorf("alert %d", got)
			}
			if b := got(); strings.Contains(b, "secret") {
				t.Errorf("the peer heard %q", b)
			}
			line := g.log.wait(t, "msg=connection ")
			if !strings.Contains(line, "reason=attestation_failed") || !strings.Contains(line, "detail=\""+addr.String()+": the instance did not prove") {
				t.Error(line)
			}
			if g.watched(0).failed.Load() != 0 {
				t.Error("blamed, though a client chooses the port")
			}
		})
	}
}

func TestWithoutAJudgeNobodyIsBelieved(t *testing.T) {
	a := newApps(t)
	for name, judge := range map[string]func(context.Context) *tls.Config{
		"no config": func(context.Context) *tls.Config { return nil },
		"no check":  func(context.Context) *tls.Config { return &tls.Config{InsecureSkipVerify: true} },
		"panic":     func(context.Context) *tls.Config { panic("a bug") },
	} {
		g := start(t, nil)
		g.backends.Store(&[]Backend{{Addr: serveTLS(t, a.good(), echoTLS), TLS: judge}})
		c := g.dial()
		write(t, c, helloFor(t, "tls.test"))
		if got := alertIn(t, c); got != alertInternalError {
			t.Errorf("%s: alert %d", name, got)
		}
		if got := g.ended(); got != "attestation_failed" {
			t.Errorf("%s: reason %s", name, got)
		}
	}
}

func TestNextCandidateIsTriedAfterAnUnprovenOne(t *testing.T) {
	a := newApps(t)
	wrong, heardByWrong := heard(t, a.instance("other", time.Now().Add(time.Hour)))
	g := start(t, func(_ *gateway, o *Options) { o.Timeouts.Hedge = 4 * time.Second }).
		toTLS(a, wrong, refusing(t), serveTLS(t, a.good(), echoTLS))
	began := time.Now()
	mustEcho(t, g.tls())
	if time.Since(began) > 3*time.Second {
		t.Error("the next candidate waited for the hedge time")
	}
	if b := heardByWrong(); b != "" {
		t.Errorf("the wrong one heard %q", b)
	}
	for i, failed := range []int64{1, 1, 0} {
		if got := g.watched(i).failed.Load(); got != failed {
			t.Errorf("candidate %d: blamed %d times", i, got)
		}
	}
	if g.watched(2).open.Load() != 1 {
		t.Error("the right one does not know of its connection")
	}
}

func TestProofIsBoundedByTheConnectTimeout(t *testing.T) {
	a := newApps(t)
	soon := func(_ *gateway, o *Options) { o.Timeouts.Connect = 200 * time.Millisecond }
	told := make(chan struct{})
	slow := func(ctx context.Context) *tls.Config {
		conf := a.judge(ctx)
		conf.VerifyConnection = func(tls.ConnectionState) error {
			<-ctx.Done() // collateral that does not come
			close(told)
			return ctx.Err()
		}
		return conf
	}
	for name, b := range map[string]Backend{
		"slow judge":  {Addr: serveTLS(t, a.good(), echoTLS), TLS: slow},
		"silent peer": {Addr: serve(t, func(c *net.TCPConn) { _, _ = io.Copy(io.Discard, c) }), TLS: a.judge},
	} {
		g := start(t, soon)
		var w watcher
		b.Watch = &w
		g.backends.Store(&[]Backend{b})
		c := g.dial()
		write(t, c, helloFor(t, "tls.test"))
		if got := alertIn(t, c); got != alertInternalError {
			t.Errorf("%s: alert %d", name, got)
		}
		if line := g.log.wait(t, "msg=connection "); !strings.Contains(line, "reason=attestation_failed") || !strings.Contains(line, "within the connect timeout") {
			t.Errorf("%s: %s", name, line)
		}
		if w.failed.Load() != 0 {
			t.Errorf("%s: blamed, though a client chooses the port", name)
		}
	}
	<-told
}

func TestClientThatLeavesEndsTheHandshakeWithTheInstance(t *testing.T) {
	a, reached, left := newApps(t), make(chan struct{}), make(chan struct{})
	g := start(t, nil).toTLS(a, serve(t, func(c *net.TCPConn) {
		readHelloFrom(t, c)
		close(reached)
		_, _ = io.Copy(io.Discard, c) // never answers
		close(left)
	}))
	c := g.dial()
	write(t, c, helloFor(t, "tls.test"))
	<-reached
	_ = c.SetLinger(0)
	c.Close()
	<-left
	if got := g.ended(); got != "client_reset" {
		t.Errorf("reason %s", got)
	}
}

func TestProxyHeaderComesBeforeTheTLSToTheInstance(t *testing.T) {
	a, got := newApps(t), make(chan proxyproto.Header, 1)
	good := a.good()
	g := start(t, nil)
	g.backends.Store(&[]Backend{{TLS: a.judge, SendProxy: true, Addr: serve(t, func(raw *net.TCPConn) {
		head := readExactly(t, raw, 16)
		h, _, err := proxyproto.Parse(append(head, readExactly(t, raw, int(head[14])<<8+int(head[15]))...))
		if err != nil {
			t.Error(err)
		}
		got <- h
		echoTLS(tls.Server(raw, good))
	})}})
	c := g.tls()
	mustEcho(t, c)
	h := <-got
	if h.Source.String() != c.LocalAddr().String() {
		t.Errorf("source %v", h.Source)
	}
	if name, _ := h.TLVs.Get(proxyproto.TypeAuthority); string(name) != "tls.test" {
		t.Errorf("authority %q", name)
	}
	if _, ok := h.TLVs.Get(proxyproto.TypeSSL); ok {
		t.Error("it tells of a handshake that had not been")
	}
}

func TestInstanceIsAskedForPostgresTLSAsTheClientAsked(t *testing.T) {
	a := newApps(t)
	good := a.good()
	for answer, works := range map[string]bool{"S": true, "N": false} {
		g := start(t, nil).toTLS(a, postgres(t, answer, func(raw *net.TCPConn) { echoTLS(tls.Server(raw, good)) }))
		c := g.dial()
		write(t, c, []byte(sslRequest))
		readExactly(t, c, 1)
		if works {
			mustEcho(t, g.upgrade(c))
			continue
		}
		write(t, c, helloFor(t, "tls.test"))
		if got := alertIn(t, c); got != alertInternalError {
			t.Errorf("alert %d", got)
		}
	}
}

func TestWhatIsPassedThroughIsNeverEncryptedAgain(t *testing.T) {
	a := newApps(t)
	g := start(t, nil).toTLS(a, afterHello(t, echo))
	if got := alertIn(t, g.pass()); got != alertInternalError {
		t.Errorf("alert %d", got)
	}
	if got := g.ended(); got != "internal" {
		t.Errorf("reason %s", got)
	}
}

// The instance's handshake comes first: a client whose own fails costs it nothing
// but a connection that ends without a byte.
func TestClientWhoseHandshakeFailsSendsNothing(t *testing.T) {
	a, got := newApps(t), make(chan []byte, 1)
	g := start(t, func(_ *gateway, o *Options) {
		route := o.Route
		o.Route = func(h *hello.Hello, addr netip.AddrPort, d *Decision) {
			route(h, addr, d)
			d.TLS = &tls.Config{} // no certificate
		}
	}).toTLS(a, serveTLS(t, a.good(), func(c *tls.Conn) {
		b, _ := io.ReadAll(c)
		got <- b
	}))
	c := g.dial()
	write(t, c, helloFor(t, "tls.test"))
	if b := <-got; !bytes.Equal(b, nil) {
		t.Errorf("the instance heard %q", b)
	}
	if got := g.ended(); got != "handshake_failed" {
		t.Errorf("reason %s", got)
	}
}
