package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

// SIGTERM: a transfer under way ends whole, nobody new is let in, and the
// program ends by itself, with success, when the last one is done.
func TestSIGTERMDrains(t *testing.T) {
	eachMode(t, func(t *testing.T, w *world, g *gateway, m mode) {
		f := w.flow(m)
		f.mustEcho(t)
		g.Signal(t, syscall.SIGTERM)
		eventually(t, patience, "new connections are refused", func() bool {
			c, err := w.tryDial()
			if err == nil {
				c.Close()
			}
			return errors.Is(err, syscall.ECONNREFUSED)
		})
		if err := transfer(f.client, f.instance, m, 8, 8<<20); err != nil {
			t.Errorf("up: %v", err)
		}
		if err := transfer(f.instance, f.client, m, 9, 8<<20); err != nil {
			t.Errorf("down: %v", err)
		}
		select {
		case <-g.Done():
			t.Error("the gateway ended while a connection was open")
		default:
		}
		f.instance.Close()
		mustEnd(t, f.client)
		f.client.Close()
		if err := g.Wait(patience); err != nil {
			t.Errorf("the end of the drain: %v", err)
		}
	}, setting{"proxy.timeouts.drain", "60s"})
}

// What is still open when the time to drain is over, ends.
func TestDrainEndsWithItsTime(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"proxy.timeouts.drain", "1s"})
	f := w.flow(modes[0])
	g.Signal(t, syscall.SIGTERM)
	drainUntilEnd(f.client)
	if err := g.Wait(patience); err != nil {
		t.Errorf("the end of the drain: %v", err)
	}
}

func TestSecondSIGTERMEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	g := w.start(setting{"proxy.timeouts.drain", "10m"})
	f := w.flow(modes[0])
	f.mustEcho(t)
	g.Signal(t, syscall.SIGTERM)
	eventually(t, patience, "new connections are refused", func() bool {
		c, err := w.tryDial()
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	f.mustEcho(t) // it drains
	g.Signal(t, syscall.SIGTERM)
	if err := g.Wait(5 * time.Second); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) || exit.ExitCode() < 0 {
			t.Errorf("want an orderly end at once: %v", err)
		}
	}
	if _, err := io.ReadAll(f.client); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the client: %v", err)
	}
}

// SIGHUP loads a changed certificate: the next connection sees it, those that
// are open notice nothing, and a bad one changes nothing.
func TestSIGHUPChangesTheCertificateUnderRunningConnections(t *testing.T) {
	w := newWorld(t)
	g := w.start()
	flows := []*flow{w.flow(modes[0]), w.flow(modes[1]), w.flow(modes[2])}
	old := w.serial()

	gwtest.WritePEM(t, w.dir, "gateway", w.ca.Server(t, "*."+domain))
	g.Signal(t, syscall.SIGHUP)
	eventually(t, patience, "the new certificate is served", func() bool { return w.serial() != old })
	renewed := w.serial()

	mustWriteFile(t, filepath.Join(w.dir, "gateway.pem"), "no certificate at all\n")
	complaints := func() int { return strings.Count(g.Log(), "level=ERROR") + strings.Count(g.Log(), "level=WARN") }
	before := complaints()
	g.Signal(t, syscall.SIGHUP)
	eventually(t, patience, "the gateway complains about the bad file", func() bool { return complaints() > before })
	if now := w.serial(); now != renewed {
		t.Errorf("the bad file changed the certificate to %s", now)
	}
	for _, f := range flows {
		f.mustEcho(t)
	}
}

// Files that are replaced are noticed without a signal.
func TestChangedCertificateFileIsNoticed(t *testing.T) {
	w := newWorld(t)
	w.start()
	old := w.serial()
	gwtest.WritePEM(t, w.dir, "gateway", w.ca.Server(t, "*."+domain))
	eventually(t, 2*patience, "the new certificate is served", func() bool { return w.serial() != old })
}

// serial is the serial number of the certificate that the gateway shows.
func (w *world) serial() string {
	w.t.Helper()
	l := w.cvms[0].host.Listen(w.t, ":80") // the handshake follows the dial
	defer l.Close()
	raw := w.dial()
	defer raw.Close()
	c := w.handshake(raw, &tls.Config{ServerName: name("alpha", "")})
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// The configuration is checked before anything is touched.
func TestBadConfigurationStopsTheStart(t *testing.T) {
	w := newWorld(t)
	file, err := programs.tested()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(w.dir, "bad.toml")
	mustWriteFile(t, config, "[proxy]\nlisten = [\"0.0.0.0:443\"]\nloops = \"many\"\nnonsense = 1\n")
	out, err := w.run("", file, "run", "--config", config)
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"bad.toml:3:", "bad.toml:4:", "nonsense"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in %q", want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "state")); err == nil {
		t.Error("a state directory was made")
	}
}
