package guest

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/vm"
)

// world is a fake gateway and a fake tunnel, which note when they are asked.
type world struct {
	began      time.Time
	grant      Grant
	later      *Grant // the answer after a minute
	err        error
	handshake  func() time.Time
	registered []time.Duration
	applied    []string
}

func (w *world) register(context.Context) (Grant, error) {
	w.registered = append(w.registered, time.Since(w.began))
	if w.later != nil && time.Since(w.began) > time.Minute {
		return *w.later, nil
	}
	return w.grant, w.err
}

func (w *world) Apply(_ context.Context, _ Grant, force bool) error {
	w.applied = append(w.applied, map[bool]string{false: "plain", true: "forced"}[force])
	return nil
}

func (w *world) LastHandshake(context.Context) (time.Time, error) { return w.handshake(), nil }

// run lets an agent work for so long.
func (w *world) run(t *testing.T, length time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		w.began = time.Now()
		a := &Agent{Register: w.register, Tunnel: w, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithTimeout(t.Context(), length)
		defer cancel()
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func seconds(list []time.Duration) (s []int) {
	for _, d := range list {
		s = append(s, int(d.Seconds()))
	}
	return s
}

func TestWorkingTunnelIsRegisteredEveryThreeMinutesAndLeftAlone(t *testing.T) {
	w := &world{grant: validGrant(t), handshake: time.Now}
	w.run(t, 10*time.Minute)
	if got := seconds(w.registered); !slices.Equal(got, []int{0, 180, 360, 540}) {
		t.Errorf("registered at %v", got)
	}
	if !slices.Equal(w.applied, []string{"plain"}) {
		t.Errorf("applied %v", w.applied)
	}
}

func TestSilentTunnelIsMadeAnew(t *testing.T) {
	w := &world{grant: validGrant(t), handshake: func() time.Time { return time.Time{} }}
	w.run(t, 7*time.Minute)
	if !slices.Equal(w.applied, []string{"plain", "forced", "forced"}) {
		t.Errorf("applied %v at %v", w.applied, seconds(w.registered))
	}
}

func TestTunnelThatFallsSilentIsMadeAnewThreeMinutesLater(t *testing.T) {
	w := &world{grant: validGrant(t)}
	w.handshake = func() time.Time { return w.began.Add(100 * time.Second) }
	w.run(t, 5*time.Minute)
	if got := seconds(w.registered); !slices.Equal(got, []int{0, 180, 280}) || w.applied[len(w.applied)-1] != "forced" {
		t.Errorf("registered at %v, applied %v", got, w.applied)
	}
}

func TestFailedRegistrationIsTriedAgainMoreAndMoreRarely(t *testing.T) {
	w := &world{err: errors.New("down"), handshake: time.Now}
	w.run(t, 8*time.Minute)
	if got := seconds(w.registered); !slices.Equal(got, []int{0, 5, 15, 35, 75, 155, 315}) {
		t.Errorf("registered at %v", got)
	}
	if len(w.applied) != 0 {
		t.Error("a tunnel without a grant")
	}
}

func TestChangedAnswerIsApplied(t *testing.T) {
	later := validGrant(t)
	later.Address = netip.MustParseAddr("10.8.0.9")
	w := &world{grant: validGrant(t), later: &later, handshake: time.Now}
	w.run(t, 5*time.Minute)
	if !slices.Equal(w.applied, []string{"plain", "plain"}) {
		t.Errorf("applied %v", w.applied)
	}
}

func validGrant(t *testing.T) Grant {
	t.Helper()
	g, err := NewGrant(netip.MustParseAddr("10.8.0.2"), []Server{server(1, "10.8.0.1/16", "gw.example.com:51820")})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func server(key byte, address, endpoint string) Server {
	return Server{Key: vm.WGKey{key}, Address: netip.MustParsePrefix(address), Endpoint: endpoint}
}

func TestGrantsThatCannotBeBelieved(t *testing.T) {
	good := server(1, "10.8.0.1/16", "192.0.2.1:51820")
	for name, test := range map[string]struct {
		address string
		servers []Server
	}{
		"public address":           {"192.0.2.9", []Server{good}},
		"IPv6 address":             {"fd00::1", []Server{good}},
		"no server":                {"10.8.0.2", nil},
		"a server twice":           {"10.8.0.2", []Server{good, good}},
		"no key":                   {"10.8.0.2", []Server{server(0, "10.8.0.1/16", "192.0.2.1:51820")}},
		"own address":              {"10.8.0.1", []Server{good}},
		"another network":          {"10.9.0.2", []Server{good}},
		"endpoint without a port":  {"10.8.0.2", []Server{server(1, "10.8.0.1/16", "192.0.2.1")}},
		"endpoint with port 0":     {"10.8.0.2", []Server{server(1, "10.8.0.1/16", "192.0.2.1:0")}},
		"endpoint with port 65536": {"10.8.0.2", []Server{server(1, "10.8.0.1/16", "192.0.2.1:65536")}},
		"more servers than sense":  {"10.8.0.2", slices.Repeat([]Server{good}, maxServers+1)},
	} {
		if g, err := NewGrant(netip.MustParseAddr(test.address), test.servers); err == nil {
			t.Errorf("%s: believed %v", name, g)
		}
	}
}
