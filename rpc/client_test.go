package rpc

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/vm"
	"sallyport/rpc/gatewaypb"
	"sallyport/rpc/internal/pbjson"
)

func (w *world) client() *Client {
	return &Client{
		URL: "https://" + w.addr, Certificate: w.guest, Roots: w.root.pool(),
		CheckServer: func(leaf *x509.Certificate) error {
			if app, _ := testAppOf(leaf); app != "gatewayapp" {
				return fmt.Errorf("the server is of app %q", app)
			}
			return nil
		},
	}
}

func TestClientGetsWhatTheServerGrants(t *testing.T) {
	w := newWorld(t, nil)
	for _, p := range []vm.PortPolicy{{}, vm.OpenPolicy(), policy(true, vm.PortRule{Port: 80, Proxy: true}, vm.PortRule{Port: 81})} {
		a, err := w.client().Register(t.Context(), Registration{Key: wantKey(t), Policy: p})
		if err != nil {
			t.Fatal(err)
		}
		want := Answer{
			Address: mustAddr("10.8.0.7"),
			Servers: []Node{
				{Key: gatewayKey, Address: netip.MustParsePrefix("10.8.0.1/16"), Endpoint: "203.0.113.7:51820"},
				{Key: vm.WGKey{31: 8}, Address: netip.MustParsePrefix("10.8.64.1/16"), Endpoint: "203.0.113.8:51820"},
			},
			Public: Public{Domain: "gw.example", Port: 443, AgentPort: 8090, TXTPrefix: "_dstack-app-address"},
		}
		if diff := cmp.Diff(want, a, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }), cmp.Comparer(func(x, y netip.Prefix) bool { return x == y })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := w.registrar.last(t); got.Registration != (Registration{wantKey(t), p}) || got.Instance != "inst1" {
			t.Errorf("registered %+v", got)
		}
	}
}

func TestClientSendsWhatAGuestSends(t *testing.T) {
	w := newWorld(t, nil)
	var got string
	var chain int
	srv := w.fakeGateway(t, func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = fmt.Sprintf("%s %s %s %v", r.Method, r.RequestURI, body, r.Header)
		chain = len(r.TLS.PeerCertificates)
		_, _ = io.WriteString(rw, wantAnswer)
	})
	for _, suffix := range []string{"", "/", "/prpc", "/prpc/"} {
		c := w.client()
		c.URL = srv.URL + suffix
		if _, err := c.Register(t.Context(), Registration{Key: wantKey(t)}); err != nil {
			t.Fatal(err)
		}
		want := `POST /prpc/RegisterCvm?json ` + guests[1].body + fmt.Sprintf(" map[Accept:[*/*] Content-Length:[%d]]", len(guests[1].body))
		if got != want || chain != 3 {
			t.Errorf("%d certificates,\ngot  %s\nwant %s", chain, got, want)
		}
	}
}

// fakeGateway is a server of the world's root that answers what h does.
func (w *world) fakeGateway(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{w.app.server(t, "gw.example")}, ClientAuth: tls.RequireAnyClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func TestClientTrustsOnlyItsGateway(t *testing.T) {
	w := newWorld(t, nil)
	for name, change := range map[string]func(*Client){
		"another root":      func(c *Client) { c.Roots = newRoot(t).pool() },
		"no root":           func(c *Client) { c.Roots = nil },
		"another host":      func(c *Client) { c.URL = strings.Replace(c.URL, "127.0.0.1", "127.0.0.2", 1) },
		"another app":       func(c *Client) { c.CheckServer = func(*x509.Certificate) error { return errors.New("not mine") } },
		"nobody who checks": func(c *Client) { c.CheckServer = nil },
	} {
		c := w.client()
		change(c)
		if _, err := c.Register(t.Context(), Registration{Key: wantKey(t)}); err == nil {
			t.Errorf("%s: registered", name)
		}
	}
	if len(w.registrar.calls) != 0 {
		t.Error("the request was sent to a server that is not trusted")
	}
	c := w.client()
	c.Roots, c.CheckServer, c.InsecureAnyServer = nil, nil, true
	if _, err := c.Register(t.Context(), Registration{Key: wantKey(t)}); err != nil {
		t.Errorf("any server: %v", err)
	}
}

func TestClientReportsThatAQuoteIsWanted(t *testing.T) {
	w := newWorld(t, func(o *Options) {
		o.Identify = func(context.Context, *tls.ConnectionState) (Caller, error) { return Caller{}, ErrNoAttestation }
	})
	_, err := w.client().Register(t.Context(), Registration{Key: wantKey(t)})
	if !errors.Is(err, ErrNoAttestation) || !strings.Contains(err.Error(), "status 400") {
		t.Errorf("%v", err)
	}
	w = newWorld(t, nil)
	w.registrar.err = errors.New("the pool is exhausted")
	_, err = w.client().Register(t.Context(), Registration{Key: wantKey(t)})
	if errors.Is(err, ErrNoAttestation) || err == nil || !strings.Contains(err.Error(), "the pool is exhausted") {
		t.Errorf("%v", err)
	}
}

func TestClientRefusesWrongURLs(t *testing.T) {
	for _, u := range []string{"", "gw.example", "http://gw.example", "https://", "https://gw.example/?x", "https://gw.example/#x", "https://%zz"} {
		if to, err := methodURL(u, "Info"); err == nil {
			t.Errorf("%q becomes %s", u, to)
		}
	}
}

func TestClientFollowsNoRedirectionAndReadsNoEndlessAnswer(t *testing.T) {
	w := newWorld(t, nil)
	srv := w.fakeGateway(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/away") {
			http.Redirect(rw, r, "https://"+w.addr+"/prpc/RegisterCvm?json", http.StatusTemporaryRedirect)
			return
		}
		for range 2 * maxAnswer / 1024 {
			_, _ = io.WriteString(rw, strings.Repeat(" ", 1024))
		}
	})
	for path, want := range map[string]string{"/away": "status 307", "": "larger than"} {
		c := w.client()
		c.URL = srv.URL + path
		if _, err := c.Register(t.Context(), Registration{Key: wantKey(t)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
}

func TestAnswerThatCannotBeSetUpIsRefused(t *testing.T) {
	for old, c := range map[string]struct{ new, want string }{
		`"10.8.0.7"`:                                        {`"10.8.0.7/32"`, "wg.client_ip"},
		`"client_ip":"10.8.0.7"`:                            {`"client_ip":"127.0.0.1"`, "wg.client_ip: 127.0.0.1: want the address of a host"},
		`"10.8.0.7",`:                                       {`"10.8.0.7\nPostUp = reboot",`, "wg.client_ip"},
		`{"pk":"` + gatewayKey.String():                     {`{"pk":"x`, "wg.servers[0].pk"},
		`"ip":"10.8.0.1/16"`:                                {`"ip":"10.8.0.1/99"`, "wg.servers[0].ip"},
		`"ip":"10.8.0.1`:                                    {`"ip":"0.0.0.0`, "wg.servers[0].ip"},
		`"endpoint":"203.0.113.7:51820"`:                    {`"endpoint":"203.0.113.7"`, "wg.servers[0].endpoint"},
		`"endpoint":"203.0.113.7:5182`:                      {`"endpoint":"203.0.113.7:5182000`, "wg.servers[0].endpoint"},
		`"endpoint":"203.0.113.7`:                           {`"endpoint":"a\n[Peer]\n`, "wg.servers[0].endpoint"},
		`"endpoint":"203.0.113.8`:                           {`"endpoint":"`, "wg.servers[1].endpoint"},
		`"external_port":443`:                               {`"external_port":65536`, "agent: port 65536"},
		`"domain":"gw.example"`:                             {`"domain":"gw.example\nx"`, "agent:"},
		wantAnswer:                                          {`{}`, "wg.client_ip"},
		wantAnswer[strings.Index(wantAnswer, `"servers"`):]: {`"servers":[]}}`, "wg.servers has 0 entries"},
	} {
		var m gatewaypb.RegisterCvmResponse
		text := strings.Replace(wantAnswer, old, c.new, 1)
		if err := pbjson.Unmarshal([]byte(text), &m); err != nil {
			t.Fatal(err)
		}
		if a, err := parseAnswer(&m); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v, want %q", c.new, a, err, c.want)
		}
	}
}

func TestServerAddressMayLackItsPrefix(t *testing.T) {
	n, err := parseServer(&gatewaypb.WireGuardPeer{Pk: guestKey, Ip: "10.8.0.1", Endpoint: "gw.example:51820"})
	if err != nil || n.Address != netip.MustParsePrefix("10.8.0.1/32") {
		t.Errorf("%v, %v", n, err)
	}
}
