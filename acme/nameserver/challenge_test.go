package nameserver

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

const challengeName = "_acme-challenge.gw.example"

// values are the TXT records of name.
func values(t testing.TB, s *Server, name string) string {
	t.Helper()
	var all []string
	for _, rr := range ask(t, s, tcp, question(name+".", dns.TypeTXT)).Answer {
		all = append(all, strings.Join(rr.(*dns.TXT).Txt, "+"))
	}
	return strings.Join(all, " ")
}

func TestChallengesComeAndGo(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	serial := s.serial
	for _, step := range []struct {
		do          func(name, value string) error
		name, value string
		want        string
	}{
		{s.Present, challengeName, "a", "a"},
		{s.Present, "_ACME-Challenge.gw.example.", "b", "a b"},
		{s.Present, challengeName, "a", "a b"}, // twice is once
		{s.CleanUp, challengeName, "x", "a b"},
		{s.CleanUp, "other.gw.example", "a", "a b"},
		{s.CleanUp, challengeName, "a", "b"},
		{s.CleanUp, challengeName, "a", "b"},
		{s.CleanUp, challengeName, "b", ""},
	} {
		if err := step.do(step.name, step.value); err != nil {
			t.Errorf("%s: %v", step.value, err)
		}
		if got := values(t, s, challengeName); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
	if int32(s.serial-serial) < 4 {
		t.Errorf("the serial moved by %d", int32(s.serial-serial))
	}
	if len(s.challenges) > 0 {
		t.Errorf("%v is left", s.challenges)
	}
}

func TestChallengesThatAreRefused(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	for _, tc := range []struct{ name, value, want string }{
		{"_acme-challenge.elsewhere.example", "x", ErrNotServed.Error()},
		{"example", "x", ErrNotServed.Error()},
		{"*.gw.example", "x", "want labels"},
		{challengeName, "new\nline", "printable"},
		{challengeName, strings.Repeat("x", 256), "256 bytes"},
	} {
		if err := s.Present(tc.name, tc.value); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %q: %v, want %q", tc.name, tc.value, err, tc.want)
		}
	}
	if err := s.Present("elsewhere.example", "x"); !errors.Is(err, ErrNotServed) {
		t.Errorf("%v", err)
	}
}

func TestChallengesAreBounded(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	for i := range maxValues {
		present(t, s, challengeName, fmt.Sprint(i))
	}
	if err := s.Present(challengeName, "more"); err == nil {
		t.Errorf("more than %d values", maxValues)
	}
	c := challenges{}
	for i := range maxChallenges {
		if err := c.add(fqdn(fmt.Sprint(i)), "x", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.add("more", "x", time.Now()); !errors.Is(err, errFull) {
		t.Errorf("more than %d names: %v", maxChallenges, err)
	}
	if err := c.add("1", "y", time.Now()); err != nil {
		t.Errorf("a name that is there: %v", err)
	}
}

func TestForgottenChallengesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newTestServer(t, Options{Zones: []Zone{base()}})
		present(t, s, challengeName, "left", "again")
		<-time.After(challengeLife - time.Minute)
		present(t, s, challengeName, "again")
		<-time.After(2 * time.Minute)
		present(t, s, "other.gw.example", "x")
		if got := values(t, s, challengeName); got != "again" {
			t.Errorf("%q is left", got)
		}
	})
}

func TestChallengesStayWhileZonesChange(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	present(t, s, challengeName, "a")
	for _, step := range []struct {
		zones []Zone
		want  string
	}{{[]Zone{delegated()}, ""}, {[]Zone{base()}, "a"}} {
		if err := s.SetZones(step.zones); err != nil {
			t.Fatal(err)
		}
		if got := values(t, s, challengeName); got != step.want {
			t.Errorf("%q, want %q", got, step.want)
		}
	}
}

func TestChallengesAndQueriesAtOnce(t *testing.T) {
	s := newTestServer(t, Options{Zones: []Zone{base()}})
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			name := fmt.Sprintf("_acme-challenge.x%d.gw.example", i)
			for k := range 50 {
				v := fmt.Sprint(k)
				if err := s.Present(name, v); err != nil {
					t.Error(err)
				}
				if got := values(t, s, name); got != v {
					t.Errorf("%s: %q, want %q", name, got, v)
				}
				if err := s.CleanUp(name, v); err != nil {
					t.Error(err)
				}
			}
		})
		all.Go(func() {
			for range 20 {
				if err := s.SetZones([]Zone{base(), delegated()}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
