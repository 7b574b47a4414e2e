package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/gwtest/pebble"
)

// The gateway renews a certificate 20 times while clients connect, 10,000 times at
// least: each is answered with a certificate that holds, and a connection that was
// there before the first renewal goes on.
func TestRenewalsFailNoHandshake(t *testing.T) {
	t.Parallel()
	const swaps, handshakes = 20, 10_000
	// Certificates of an hour, renewed a second after they are made: the test does not
	// depend on a machine that is fast enough to renew before the end.
	w := newACMEWorld(t, pebble.Options{Validity: time.Hour})
	s := w.newEmbedded(t, "swap.test", fmt.Sprintf("\ndirectory = %q\nrenew_before = \"59m58s\"\n", w.withoutARI(t)))
	s.gateway()
	s.certified("*.swap.test", "")
	long, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer long.Close()
	seen := tally{swaps: swaps, handshakes: handshakes, late: time.Now().Add(3 * time.Minute), serials: map[string]bool{}}
	var clients sync.WaitGroup
	for range 4 { // at a pace by which they are done when the renewals are
		clients.Go(func() {
			seen.each(4*swaps*time.Second/handshakes, func() bool { seen.add(s.visit()); return true })
		})
	}
	seen.each(20*time.Millisecond, func() bool {
		if err = long.get(); err != nil {
			t.Errorf("the connection from before: %v", err)
		}
		return err == nil
	})
	clients.Wait()
	t.Logf("%d handshakes, %d failed; %d certificates", seen.done, len(seen.failures), len(seen.serials))
	if len(seen.failures) > 0 {
		t.Errorf("%d handshakes failed, such as %v", len(seen.failures), seen.failures[0])
	}
	if !seen.enough() {
		t.Errorf("only %d handshakes and %d certificates", seen.done, len(seen.serials))
	}
}

// withoutARI is a directory that suggests no time for renewals: renew_before counts.
func (w *acmeWorld) withoutARI(t *testing.T) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.Roots}, DisableKeepAlives: true}}
	resp, err := client.Get(w.Directory)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var directory map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&directory); err != nil {
		t.Fatal(err)
	}
	delete(directory, "renewalInfo")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(rw).Encode(directory) // to somebody who may have left
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{w.ca.Server(t, "localhost")}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
}

// tally is what clients saw.
type tally struct {
	swaps, handshakes int
	late              time.Time // to go on

	mu       sync.Mutex // guards what follows
	done     int
	serials  map[string]bool
	failures []error
}

func (y *tally) add(serial string, err error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.done++
	if err != nil {
		y.failures = append(y.failures, err)
		return
	}
	y.serials[serial] = true
}

func (y *tally) enough() bool {
	y.mu.Lock()
	defer y.mu.Unlock()
	return y.done >= y.handshakes && len(y.serials) > y.swaps
}

// each does do at a pace until enough was seen, it is late, or do wants no more.
func (y *tally) each(pause time.Duration, do func() (more bool)) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for !y.enough() && time.Now().Before(y.late) && do() {
		<-tick.C
	}
}

// visitor is a client's connection to the gateway's own site.
type visitor struct {
	*tls.Conn
	name string
	in   *bufio.Reader
}

func (s *acmeSite) connect() (*visitor, error) {
	name := "health." + s.domain
	d := &net.Dialer{Timeout: 20 * time.Second}
	conn, err := tls.DialWithDialer(d, "tcp", s.clients, &tls.Config{ServerName: name, RootCAs: s.roots, CurvePreferences: []tls.CurveID{tls.X25519}}) // the cheapest: it is about certificates
	if err != nil {
		return nil, err
	}
	return &visitor{conn, name, bufio.NewReader(conn)}, nil
}

// visit makes a connection, asks once, and tells the certificate's serial number.
func (s *acmeSite) visit() (serial string, err error) {
	v, err := s.connect()
	if err != nil {
		return "", err
	}
	defer v.Close()
	return v.ConnectionState().PeerCertificates[0].SerialNumber.Text(16), v.get()
}

// get asks for the page there is.
func (v *visitor) get() error {
	if err := v.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(v, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", v.name); err != nil {
		return err
	}
	resp, err := http.ReadResponse(v.in, nil)
	if err != nil {
		return err
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s, %w", resp.Status, err)
	}
	return nil
}
