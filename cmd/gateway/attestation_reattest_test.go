package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/admin"
	"sallyport/internal/gwtest"
	"sallyport/internal/gwtest/tdxpki"
)

// served is a site whose app has one machine, an echo, that is reached.
type served struct {
	*attestedSite
	join func() *exec.Cmd
	cmd  *exec.Cmd
	conn net.Conn // of a client's
}

// serveEcho joins the machine to the gateway that runs.
func (s *attestedSite) serveEcho() *served {
	s.t.Helper()
	m, at := s.world.Guest(testGuest(vm1)), "80="+echo(s.t)
	v := &served{attestedSite: s}
	v.join = func() *exec.Cmd { return s.joinQuoted("vm1", m, "--forward", at) }
	v.cmd = v.join()
	v.hold()
	return v
}

// hold connects to the machine, when it is up, and stays connected.
func (v *served) hold() {
	v.t.Helper()
	v.until("the machine is up", serving(1))
	var c net.Conn
	v.until("its port is open", func(*admin.Status) bool {
		var err error
		c, err = v.connect()
		return err == nil
	})
	v.t.Cleanup(func() { c.Close() })
	v.conn = c
}

func (v *served) connect() (net.Conn, error) {
	c, err := tls.Dial("tcp", v.clients, &tls.Config{RootCAs: v.roots, ServerName: testApp + ".gw.test"})
	if err != nil {
		return nil, err
	}
	if err := echoes(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// wantDrained checks that the instance is refused for a reason, everywhere.
func (v *served) wantDrained(reason string) {
	v.t.Helper()
	v.until("the instance is refused: "+reason, refused(reason))
	if _, err := v.conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		v.t.Errorf("the connection lives: %v", err)
	}
	if _, err := v.connect(); err == nil || !strings.Contains(err.Error(), "internal error") {
		v.t.Errorf("a new connection: %v; want the alert internal_error", err)
	}
	code, table, _ := gwtest.Outcome(v.t, "status", "--admin", v.admin)
	if code != 1 || !strings.Contains(table, "refused") || !strings.Contains(table, "attestation: ") || !strings.Contains(table, reason) {
		v.t.Errorf("gateway status: exit code %d,\n%s", code, table)
	}
}

// wantBack checks that the instance is accepted again, and serves as soon as it speaks: it
// begins anew, which spares the test the minutes until WireGuard would notice.
func (v *served) wantBack() {
	v.t.Helper()
	v.until("the instance is accepted again", func(st *admin.Status) bool {
		return len(st.Instances) == 1 && st.Instances[0].Health != "refused"
	})
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait()
	v.cmd = v.join()
	v.hold()
}

// echoes reports why what is sent on c does not come back, or nil.
func echoes(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

// echo is a server on this machine.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

func TestInstanceIsDrainedWhenTheAllowFileDropsItsApp(t *testing.T) {
	s := newAttestedSite(t)
	s.attest(s.strict())
	s.run()
	v := s.serveEcho()
	good := string(s.read("allow.toml"))

	s.write("allow.toml", "apps = [\"x\"]\n")
	s.said(1, "level=ERROR", "the previous one stays in force", s.path("allow.toml")+":1:9: apps")
	if err := echoes(v.conn); err != nil {
		t.Fatalf("with a broken allow file the connection ends: %v", err)
	}

	s.write("allow.toml", strings.Replace(good, testApp, strings.Repeat("ee", 20), 1))
	v.wantDrained("app is not on the list: " + testApp)

	s.write("allow.toml", good)
	v.wantBack()
}

func TestInstanceIsDrainedByAStricterPolicyAtReload(t *testing.T) {
	s := newAttestedSite(t)
	s.set("[rpc]", "require_quote = true")
	s.world.SetPCK(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNSWHardeningNeeded })
	gw := s.gateway() // the program, for its signal
	s.until("the gateway is up", serving(0))
	v := s.serveEcho()

	hangUp := func() {
		if err := gw.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	s.attest(`tcb_statuses = ["UpToDate"]`)
	hangUp()
	v.wantDrained("TCB status SWHardeningNeeded")

	s.attest()
	hangUp()
	v.wantBack()
}

func TestReloadSaysWhatTakesARestart(t *testing.T) {
	s := newAttestedSite(t)
	g := s.run()
	s.reload(g)
	s.said(1, "attestation policy read", "changed=false")
	if s.lines("takes effect after a restart") != 0 || s.lines("judged again") != 0 {
		t.Error("nothing has changed, and something is done")
	}
	s.attest(`reattest_interval = "1h"`)
	s.reload(g)
	s.said(1, "level=WARN", "takes effect after a restart")
}

func TestInstanceIsJudgedAgainAtTheInterval(t *testing.T) {
	s := newAttestedSite(t, `reattest_interval = "1s"`)
	s.run()
	if err := s.register(s.certificate(s.world.Guest(testGuest(vm1)), nil)); err != nil {
		t.Fatal(err)
	}
	s.until("it is judged again and again", func(*admin.Status) bool {
		resp, err := http.Get("http://" + s.admin + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		_, rest, ok := strings.Cut(string(text), "gateway_reattestations_total{verdict=\"accepted\"} ")
		count, _, _ := strings.Cut(rest, "\n")
		n, perr := strconv.Atoi(count)
		return ok && err == nil && perr == nil && n > 2 // the new collateral was a reason too
	})
}

// What Intel says of the platform gets worse. The gateway has been down for a day: it
// begins with what is on its disk, and asks again.
func TestInstanceIsDrainedWhenCollateralChanges(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*tdxpki.PKI, *tdxpki.Collateral)
		reason string
	}{
		{"out of date", func(_ *tdxpki.PKI, c *tdxpki.Collateral) {
			c.TCBInfo.TCBLevels[0].TCBStatus = tdxpki.OutOfDate
		}, "TCB status OutOfDate"},
		{"revoked", func(w *tdxpki.PKI, c *tdxpki.Collateral) {
			c.PCKCRL = c.PCKCRL.Revoke(w.Leaf)
		}, "is revoked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newAttestedSite(t)
			s.run()
			v := s.serveEcho()
			s.stop()

			worse := s.world.Collateral()
			test.change(s.world, worse)
			s.pccs.Publish(s.world.PCK.FMSPC, tdxpki.PlatformCA, worse.Sign())
			gate := s.pccs.Hold(tdxpki.TCBInfoDocument)
			s.aDayLater()
			s.run()
			v.hold()
			<-gate.Arrived()
			gate.Open()
			v.wantDrained(test.reason)

			s.stop()
			s.run() // it is judged by what is on disk now, and stays out
			s.until("the instance is refused after a restart", refused(test.reason))
			if _, err := v.connect(); err == nil {
				t.Error("after a restart it is reached")
			}

			s.stop()
			s.pccs.Publish(s.world.PCK.FMSPC, tdxpki.PlatformCA, s.world.Collateral().Sign())
			s.aDayLater()
			s.run()
			v.wantBack()
		})
	}
}

// aDayLater makes the collateral on disk older, so that it is asked for again.
func (s *attestedSite) aDayLater() {
	s.t.Helper()
	files, err := filepath.Glob(s.path("store/collateral/*.json"))
	if err != nil || len(files) != 1 {
		s.t.Fatal(fmt.Errorf("collateral on disk: %v, %w", files, err))
	}
	past := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(files[0], past, past); err != nil {
		s.t.Fatal(err)
	}
}
