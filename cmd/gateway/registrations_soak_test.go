//go:build soak

package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/ratls"
	"sallyport/rpc"
)

// TestSoakRegistrationsBesideTraffic registers 10,000 machines (SOAK_MACHINES) and
// then measures a client's requests on a connection that is up, in turns: without
// their registrations; with them, every 180 s; and with them at another gateway on the
// same two CPUs, which tells what the machine is to blame for and what this process.
// The crowd is a process of its own that runs where nobody else wants to (SCHED_IDLE):
// it stands for 10,000 other machines, whose handshakes cost this one nothing. The test
// reports; a machine that is shared decides the figures.
func TestSoakRegistrationsBesideTraffic(t *testing.T) {
	s, other := newSite(t), newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	other.gateway()
	s.until("the gateway is up", serving(0))
	other.until("the other gateway is up", serving(0))
	s.join("vm1", "--forward", "80="+web(t, "one"))
	s.until("the machine is up", serving(1))

	register, end := startCrowd(t, s, other)
	took := map[string][]time.Duration{}
	turns := []string{"nowhere", "here", "elsewhere"}
	for i := range 20 { // short turns: what else the machine does falls on all
		for j := range turns {
			where := turns[(i+j)%len(turns)]
			register(where)
			took[where] = append(took[where], s.latencies(4*time.Second)...)
		}
	}
	for _, all := range took {
		slices.Sort(all)
	}
	for _, percent := range []int{50, 90, 99} {
		quiet, here, elsewhere := at(took["nowhere"], percent), at(took["here"], percent), at(took["elsewhere"], percent)
		t.Logf("p%d of a request: %v quiet, %v with registrations (%.2f), %v with registrations at another gateway (%.2f); here to elsewhere %.2f",
			percent, quiet, here, ratio(here, quiet), elsewhere, ratio(elsewhere, quiet), ratio(here, elsewhere))
	}
	t.Logf("%d, %d and %d requests", len(took["nowhere"]), len(took["here"]), len(took["elsewhere"]))
	end()
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

// startCrowd starts the crowd's process and waits until all have registered at both.
// register says where they do from now on; end ends it.
func startCrowd(t *testing.T, here, elsewhere *site) (register func(where string), end func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	crowd := exec.CommandContext(t.Context(), "chrt", "-i", "0", self, "-test.run", "^TestSoakCrowd$", "-test.v")
	crowd.Env = append(os.Environ(), "CROWD_SIZE="+cmp.Or(os.Getenv("SOAK_MACHINES"), "10000"),
		"CROWD_HERE="+here.dir, "CROWD_HERE_AT="+here.guests, "CROWD_ELSEWHERE="+elsewhere.dir, "CROWD_ELSEWHERE_AT="+elsewhere.guests)
	crowd.Stderr = os.Stderr
	words, err := crowd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	turn, err := crowd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := crowd.Start(); err != nil {
		t.Fatal(err)
	}
	told := bufio.NewScanner(words)
	for told.Scan() && !strings.Contains(told.Text(), "registered") {
	}
	t.Log(told.Text())
	register = func(where string) {
		if _, err := fmt.Fprintln(turn, where); err != nil {
			t.Fatal(err)
		}
	}
	end = func() {
		_ = turn.Close()
		if err := crowd.Wait(); err != nil {
			t.Error(err)
		}
	}
	return register, end
}

// TestSoakCrowd is the crowd's process: it registers all at both gateways. Then each
// line on its input says at which one they go on, one after the other, all within 180 s.
func TestSoakCrowd(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("CROWD_SIZE"))
	if err != nil {
		t.Skip("a part of TestSoakRegistrationsBesideTraffic")
	}
	began := time.Now()
	crowds := map[string][]*member{}
	for where, name := range map[string]string{"here": "CROWD_HERE", "elsewhere": "CROWD_ELSEWHERE"} {
		s := &site{t: t, dir: os.Getenv(name), guests: os.Getenv(name + "_AT")}
		crowds[where] = s.crowd(n)
		everyone(t, crowds[where], 8)
	}
	fmt.Printf("%d machines registered, twice, in %v\n", n, time.Since(began).Round(time.Second))
	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		cancel()
		crowd.Wait()
		ctx, cancel = context.WithCancel(t.Context())
		if all := crowds[lines.Text()]; all != nil {
			crowd.Go(func() { keepRegistering(ctx, t, all, 180*time.Second/time.Duration(n)) })
		}
	}
	cancel()
	crowd.Wait()
}

// member is one machine of the crowd.
type member struct {
	client rpc.Client
	key    vm.WGKey
}

// crowd makes n machines with certificates of the site's authority.
func (s *site) crowd(n int) []*member {
	s.t.Helper()
	root, _ := os.ReadFile(s.path("pki/ca.pem"))
	key, _ := os.ReadFile(s.path("pki/ca.key"))
	ca, err := ratls.ParseAuthority(root, key)
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Root())
	app, err := ratls.ParseAppID(testApp)
	if err != nil {
		s.t.Fatal(err)
	}
	all := make([]*member, n)
	for i := range all {
		m := &member{}
		info := &ratls.AppInfo{AppID: app}
		_, _ = rand.Read(info.InstanceID[:])
		_, _ = rand.Read(m.key[:])
		var cert tls.Certificate
		if cert, err = ca.Issue(ratls.Request{AppID: app, AppInfo: info, Client: true}); err != nil {
			s.t.Fatal(err)
		}
		m.client = rpc.Client{URL: "https://" + s.guests, Certificate: cert, Roots: roots, CheckServer: anyGateway}
		all[i] = m
	}
	return all
}

func (m *member) register(ctx context.Context) error {
	_, err := m.client.Register(ctx, rpc.Registration{Key: m.key, Policy: vm.OpenPolicy()})
	return err
}

// everyone registers all, so many at a time.
func everyone(t *testing.T, all []*member, atOnce int) {
	var workers sync.WaitGroup
	for w := range atOnce {
		workers.Go(func() {
			for i := w; i < len(all); i += atOnce {
				if err := all[i].register(t.Context()); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	workers.Wait()
}

// keepRegistering registers one after the other, one each interval.
func keepRegistering(ctx context.Context, t *testing.T, all []*member, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := all[i%len(all)].register(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
}

// latencies are those of requests one after the other on one connection, with a pause
// between them as a person or a service makes.
func (s *site) latencies(length time.Duration) (all []time.Duration) {
	c, err := tls.Dial("tcp", s.clients, &tls.Config{RootCAs: s.roots, ServerName: vm1 + ".gw.test"})
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	answers := bufio.NewReader(c)
	for end := time.Now().Add(length); time.Now().Before(end); {
		<-time.After(time.Millisecond)
		began := time.Now()
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			s.t.Fatal(err)
		}
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		all = append(all, time.Since(began))
	}
	return all
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[len(sorted)*percent/100].Round(time.Microsecond)
}
