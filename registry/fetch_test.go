package registry

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// infoBody is an agent's answer about a compose file.
func infoBody(t testing.TB, composeFile string) string {
	t.Helper()
	tcb, err1 := json.Marshal(map[string]any{"app_compose": composeFile, "mrtd": "00"})
	info, err2 := json.Marshal(map[string]any{"tcb_info": string(tcb), "app_name": "x"})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return string(info)
}

func TestPolicyOfInfo(t *testing.T) {
	stated := func(policy string) string { return `{"name":"x","port_policy":` + policy + `}` }
	rules, err := vm.NewPortPolicy(true, []vm.PortRule{{Port: 80}, {Port: 443, Proxy: true}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		compose string
		want    vm.PortPolicy
	}{
		"none":             {`{"name":"x"}`, vm.OpenPolicy()},
		"null":             {stated(`null`), vm.OpenPolicy()},
		"empty":            {stated(`{}`), vm.OpenPolicy()},
		"closed":           {stated(`{"restrict_mode":true,"ports":[]}`), restricted(t)},
		"rules":            {stated(`{"restrict_mode":true,"ports":[{"port":80},{"port":443,"pp":true}]}`), rules},
		"another spelling": {`{"Port_Policy":{"restrict_mode":true}}`, vm.OpenPolicy()}, // as the guest reads it
	} {
		if got, err := policyOfInfo([]byte(infoBody(t, c.compose)), compose(c.compose)); err != nil || got != c.want {
			t.Errorf("%s: %v %v, %v", name, got.State(), got.Rules(), err)
		}
	}
	for name, c := range map[string]struct{ compose, answer string }{
		"another compose file": {`{}`, infoBody(t, `{ }`)},
		"no compose file":      {`{}`, `{"tcb_info":"{}"}`},
		"no tcb_info":          {`{}`, `{}`},
		"null tcb_info":        {`{}`, `{"tcb_info":null}`},
		"tcb_info not JSON":    {`{}`, `{"tcb_info":"?"}`},
		"tcb_info an object":   {`{}`, `{"tcb_info":{"app_compose":"{}"}}`},
		"not JSON":             {`{}`, `<html>`},
		"nothing":              {`{}`, ``},
		"compose not JSON":     {`version: 3`, infoBody(t, `version: 3`)},
		"port 0":               {stated(`{"ports":[{"port":0}]}`), infoBody(t, stated(`{"ports":[{"port":0}]}`))},
		"port 65536":           {stated(`{"ports":[{"port":65536}]}`), infoBody(t, stated(`{"ports":[{"port":65536}]}`))},
		"too long":             {`{}`, infoBody(t, `{}`) + strings.Repeat(" ", maxInfo)},
	} {
		if got, err := policyOfInfo([]byte(c.answer), compose(c.compose)); !isRefused(err) || got.State() != vm.PolicyUnknown {
			t.Errorf("%s: %v, %v", name, got.State(), err)
		}
	}
	if got, err := policyOfInfo([]byte(`{"tcb_info":""}`), compose("{}")); !errors.Is(err, errPrivate) || !isRefused(err) || got.State() != vm.PolicyUnknown {
		t.Errorf("a compose file that is kept to itself: %v, %v", got.State(), err)
	}
}

func FuzzInfo(f *testing.F) {
	f.Add([]byte(infoBody(f, `{"port_policy":{"restrict_mode":true,"ports":[{"port":80,"pp":true}]}}`)), `{}`)
	f.Add([]byte(`{"tcb_info":""}`), ``)
	f.Fuzz(func(t *testing.T, answer []byte, file string) {
		for _, body := range [][]byte{answer, []byte(infoBody(t, file))} {
			p, err := policyOfInfo(body, compose(file))
			if err != nil && (!isRefused(err) || p.State() != vm.PolicyUnknown) {
				t.Errorf("%v, %v", p.State(), err)
			}
		}
	})
}

// guest is an agent in memory.
type guest struct {
	asked  atomic.Int32
	dialed atomic.Value // netip.AddrPort
	answer func(n int32, w io.Writer) error
}

func (a *guest) dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	n := a.asked.Add(1)
	a.dialed.Store(to)
	if a.answer == nil {
		return nil, errors.New("no route")
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		req, err := http.ReadRequest(bufio.NewReader(theirs))
		if err != nil {
			return
		}
		body, _ := io.ReadAll(req.Body)
		if req.Method != http.MethodPost || req.URL.String() != "/prpc/Info?json" || string(body) != "null" {
			fmt.Fprintf(theirs, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		if a.answer(n, theirs) != nil {
			_, _ = io.Copy(io.Discard, theirs) // silent until the other side leaves
		}
	}()
	return ours, nil
}

func ok(body string) func(int32, io.Writer) error {
	return func(_ int32, w io.Writer) error {
		fmt.Fprintf(w, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		return nil
	}
}

// oldGuest registers an instance that reports no policy, at a gateway that runs.
func oldGuest(t testing.TB, a *guest, file string) (g *rig, stop func()) {
	t.Helper()
	g = newRig(t, func(o *Options) { o.Tunnel = &device{dial: a.dial} })
	stop = g.run(t)
	q := request("app", "one")
	q.Policy, q.Compose = nil, compose(file)
	if s := g.register(t, q).Spec; s.Policy.State() != vm.PolicyUnknown || g.policy(t, "one").Allows(80) {
		t.Error("ports are open before the policy is known")
	}
	return g, stop
}

func TestPolicyIsFetchedFromAnOldGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := `{"port_policy":{"restrict_mode":true,"ports":[{"port":80}]}}`
		agent := &guest{answer: ok(infoBody(t, file))}
		g, stop := oldGuest(t, agent, file)
		synctest.Wait()
		if g.policy(t, "one") != restricted(t, 80) {
			t.Errorf("policy %v", g.policy(t, "one").State())
		}
		if to := agent.dialed.Load(); to != netip.MustParseAddrPort("10.8.0.2:8090") {
			t.Errorf("asked at %v", to)
		}
		q := request("app", "one")
		q.Policy, q.Compose = nil, compose(file)
		if g.register(t, q).Changed || agent.asked.Load() != 1 {
			t.Error("asked again")
		}
		stop()
		g.restart(t)
		if g.policy(t, "one") != restricted(t, 80) {
			t.Error("lost by a restart")
		}
		q.Compose = compose("another")
		if g.register(t, q); g.policy(t, "one").State() != vm.PolicyUnknown {
			t.Error("the policy of another compose file is still in force")
		}
	})
}

// The report is the guest's word, the compose file the attested one.
func TestReportOnlyNarrowsTheComposeFile(t *testing.T) {
	listed := `{"port_policy":{"restrict_mode":true,"ports":[{"port":80},{"port":443}]}}`
	for name, c := range map[string]struct {
		file         string
		report, want vm.PortPolicy
	}{
		"an open report":                  {listed, vm.OpenPolicy(), restricted(t, 80, 443)},
		"one with another port":           {listed, restricted(t, 80, 22), restricted(t, 80)},
		"a restricted one of an open app": {`{}`, restricted(t, 22), restricted(t, 22)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				agent := &guest{answer: ok(infoBody(t, c.file))}
				g := newRig(t, func(o *Options) { o.Tunnel = &device{dial: agent.dial} })
				q := request("app", "one")
				q.Policy, q.Compose = &c.report, compose(c.file)
				g.register(t, q)
				if g.policy(t, "one").State() != vm.PolicyUnknown {
					t.Errorf("before the compose file is known: %v", g.policy(t, "one").Rules())
				}
				stop := g.run(t)
				synctest.Wait()
				stop()
				if g.policy(t, "one") != c.want {
					t.Errorf("in force: %v %v", g.policy(t, "one").State(), g.policy(t, "one").Rules())
				}
				g.restart(t)
				if g.policy(t, "one") != c.want || g.register(t, q).Changed {
					t.Errorf("after a restart: %v %v", g.policy(t, "one").State(), g.policy(t, "one").Rules())
				}
				none := q
				none.Policy = nil
				if g.register(t, none); g.policy(t, "one") != c.want {
					t.Errorf("without a report: %v", g.policy(t, "one").Rules())
				}
			})
		})
	}
}

func TestComposeFileThatIsKeptToItselfOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, opens := range []bool{false, true} {
			agent := &guest{answer: ok(`{"tcb_info":""}`)}
			g := newRig(t, func(o *Options) { o.OpenPrivate, o.Tunnel = opens, &device{dial: agent.dial} })
			q := request("app", "one")
			report := restricted(t, 80)
			q.Policy, q.Compose = &report, compose("secret")
			stop := g.run(t)
			g.register(t, q)
			wait(time.Minute)
			stop()
			if p := g.policy(t, "one"); p.Allows(80) != opens || p.Allows(22) || agent.asked.Load() != 1 {
				t.Errorf("private_compose opens: %v, policy %v %v", opens, p.State(), p.Rules())
			}
		}
	})
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("boom") }

// A panic on a fetch's goroutine would end the process, and with it the test.
func TestPanicRefusesOneAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		g := newRig(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		g.fetcher.agent.client.Transport = panicking{}
		stop := g.run(t)
		q := request("app", "one")
		q.Policy = nil
		g.register(t, q)
		wait(2 * infoTimeout) // net/http's own goroutine for the timeout is over then
		stop()
		if text := log.String(); !strings.Contains(text, "panic=boom") || !strings.Contains(text, "fetch_test.go") {
			t.Errorf("the log does not tell of the panic and its stack: %s", text)
		}
		if g.policy(t, "one").State() != vm.PolicyUnknown {
			t.Error("ports are open")
		}
	})
}

func TestAnswerForAnotherComposeFileIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &guest{answer: ok(infoBody(t, `{"port_policy":null}`))}
		g, stop := oldGuest(t, agent, `{"port_policy":{"restrict_mode":true}}`)
		defer stop()
		wait(5 * time.Minute)
		if g.policy(t, "one").State() != vm.PolicyUnknown || agent.asked.Load() != 1 {
			t.Errorf("policy %v after %d questions", g.policy(t, "one").State(), agent.asked.Load())
		}
	})
}

func TestSilentGuestIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &guest{answer: func(n int32, w io.Writer) error {
			switch n {
			case 1:
				return errors.New("silence")
			case 2:
				_, err := io.WriteString(w, "HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n")
				return err
			}
			return ok(infoBody(t, `{}`))(n, w)
		}}
		g, stop := oldGuest(t, agent, `{}`)
		defer stop()
		wait(infoTimeout + 999*time.Millisecond)
		if n := agent.asked.Load(); n != 1 {
			t.Errorf("asked %d times before its time and a pause were over", n)
		}
		wait(3 * time.Second)
		if n := agent.asked.Load(); n != 3 || g.policy(t, "one") != vm.OpenPolicy() {
			t.Errorf("asked %d times, policy %v", n, g.policy(t, "one").State())
		}
	})
}

func TestFetchEndsAndBeginsAnewWithARegistration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := new(guest)
		g, stop := oldGuest(t, agent, `{}`)
		wait(time.Hour)
		if n := agent.asked.Load(); n != fetchRetries+1 {
			t.Errorf("asked %d times", n)
		}
		q := request("app", "one")
		q.Policy = nil
		g.register(t, q) // changes nothing, but the policy is still wanted
		wait(500 * time.Millisecond)
		if n := agent.asked.Load(); n != fetchRetries+2 {
			t.Errorf("asked %d times", n)
		}
		stop() // does not wait for the pauses
	})
}

func TestAgentIsNotFollowedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		agent := &guest{answer: func(_ int32, w io.Writer) error {
			_, err := io.WriteString(w, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://10.8.0.9:22/\r\nContent-Length: 0\r\n\r\n")
			return err
		}}
		g, stop := oldGuest(t, agent, `{}`)
		defer stop()
		wait(time.Hour)
		if to := agent.dialed.Load(); to != netip.MustParseAddrPort("10.8.0.2:8090") || g.policy(t, "one").State() != vm.PolicyUnknown {
			t.Errorf("went to %v, policy %v", to, g.policy(t, "one").State())
		}
	})
}

// An answer that comes after the guest has registered with another compose file is of
// the past.
func TestLateAnswerIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g *rig
		registered := make(chan struct{})
		agent := &guest{answer: func(n int32, w io.Writer) error {
			if n > 1 {
				return errors.New("silence")
			}
			<-registered
			return ok(infoBody(t, `{}`))(n, w)
		}}
		g, stop := oldGuest(t, agent, `{}`)
		defer stop()
		synctest.Wait()
		q := request("app", "one")
		q.Policy, q.Compose = nil, compose("another")
		g.register(t, q)
		close(registered)
		synctest.Wait()
		if p := g.policy(t, "one"); p.State() != vm.PolicyUnknown {
			t.Errorf("policy %v", p.State())
		}
	})
}
