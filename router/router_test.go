package router

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/hello"
	"sallyport/internal/vm"
)

// inst is a healthy instance with an open policy; change may alter it.
func inst(app vm.AppID, id vm.InstanceID, change ...func(*vm.Instance)) *vm.Instance {
	i := &vm.Instance{
		Spec:   vm.Spec{ID: id, App: app, Policy: vm.OpenPolicy()},
		Health: vm.Fresh,
		Weight: 100,
		Live:   new(vm.Live),
	}
	for _, f := range change {
		f(i)
	}
	return i
}

func health(h vm.Health, weight uint16) func(*vm.Instance) {
	return func(i *vm.Instance) { i.Health, i.Weight = h, weight }
}

func ports(rules ...vm.PortRule) func(*vm.Instance) {
	p, err := vm.NewPortPolicy(true, rules)
	if err != nil {
		panic(err)
	}
	return func(i *vm.Instance) { i.Policy = p }
}

func noPolicy(i *vm.Instance) { i.Policy = vm.PortPolicy{} }

func open(n int) func(*vm.Instance) {
	return func(i *vm.Instance) {
		for range n {
			i.Live.Opened()
		}
	}
}

func routerFor(instances ...*vm.Instance) *Router {
	b := vm.NewBuilder(0)
	for _, i := range instances {
		b.Put(i)
	}
	s := b.Snapshot()
	return New(Options{
		Domains:  []string{"gw.example.com", "Deep.gw.example.com."},
		Snapshot: func() *vm.Snapshot { return s },
	})
}

func ids(d *Decision) []vm.InstanceID {
	var ids []vm.InstanceID
	for _, c := range d.Candidates[:d.N] {
		ids = append(ids, c.Instance.ID)
	}
	return ids
}

func TestServerNamesLeadToAppsAndInstances(t *testing.T) {
	r := routerFor(inst("app", "one"), inst("other", "app2"))
	for _, c := range []struct {
		name, domain string
		app          vm.AppID
		mode         hello.Mode
		port         uint16
	}{
		{"app.gw.example.com", "gw.example.com", "app", hello.Terminate, 80},
		{"app-8443s.gw.example.com", "gw.example.com", "app", hello.Passthrough, 8443},
		{"app-g.gw.example.com", "gw.example.com", "app", hello.TerminateH2, 80},
		{"one-1.deep.gw.example.com", "deep.gw.example.com", "app", hello.Terminate, 1},
		{"app2.gw.example.com", "gw.example.com", "other", hello.Terminate, 80},
	} {
		d := r.Route([]byte(c.name))
		if d.Refusal != None || d.Domain != c.domain || d.App.ID != c.app || d.Mode != c.mode || d.Port != c.port || d.N != 1 {
			t.Errorf("%q: %+v", c.name, d)
		}
	}
}

func TestNamesThatLeadNowhereAreRefused(t *testing.T) {
	r := routerFor(
		inst("app", "one"),
		inst("dead", "never", health(vm.Never, 0)), inst("dead", "down", health(vm.Down, 0)),
		inst("dead", "out", health(vm.Refused, 0)),
		inst("closed", "c", ports(vm.PortRule{Port: 8080})),
		inst("unread", "u", noPolicy),
		inst("unread2", "u2", noPolicy, health(vm.Ejected, 0)),
		inst("mixed", "m1", noPolicy), inst("mixed", "m2", ports()),
	)
	for _, c := range []struct {
		name string
		want Refusal
	}{
		{"", NoServerName},
		{".", UnknownDomain},
		{"app", UnknownDomain},
		{"app.example.com", UnknownDomain},
		{"gw.example.com", UnknownDomain},
		{"a.app.gw.example.com", UnknownDomain},
		{"app.gw.example.com.", UnknownDomain}, // hello.Hello.ServerName has no such dot
		{"app.gw.example.com..", UnknownDomain},
		{"APP.gw.example.com", BadName}, // nor upper case
		{"app.GW.example.com", UnknownDomain},
		{"app.gw.example.comm", UnknownDomain},
		{"192.0.2.1", UnknownDomain},
		{".gw.example.com", BadName},
		{"app-0.gw.example.com", BadName},
		{"app-sg.gw.example.com", BadName},
		{"app2.gw.example.com", UnknownApp},
		{"deep.gw.example.com", UnknownApp}, // a label like any other
		{"dead.gw.example.com", NoHealthyInstance},
		{"never.gw.example.com", NoHealthyInstance},
		{"down.gw.example.com", NoHealthyInstance},
		{"out.gw.example.com", NoHealthyInstance},
		{"closed.gw.example.com", PortDenied},
		{"c.gw.example.com", PortDenied},
		{"unread.gw.example.com", PolicyUnknown},
		{"u.gw.example.com", PolicyUnknown},
		{"unread2.gw.example.com", PolicyUnknown},
		{"mixed.gw.example.com", PortDenied},
	} {
		d := r.Route([]byte(c.name))
		if decided := c.want > BadName; decided != (d.Mode == hello.Terminate) || !decided && d.Mode != hello.Undecided {
			t.Errorf("%q: %v, refused with %v", c.name, d.Mode, c.want)
		}
		if d.Refusal != c.want || d.N != 0 || (d.Detail != "") != (c.want == BadName) {
			t.Errorf("%q: %v (%s) with %d candidates, want %v", c.name, d.Refusal, d.Detail, d.N, c.want)
		}
	}
}

func TestLongestNameIsRouted(t *testing.T) {
	tail := strings.Repeat(".sub-domain", 30)[:253-len("app")]
	r := routerFor(inst("app", "one"))
	r.domains[tail[1:]] = tail[1:]
	name := "app" + tail
	if d := r.Route([]byte(name)); len(name) != 253 || d.Refusal != None {
		t.Errorf("%d bytes: %v", len(name), d.Refusal)
	}
	if d := r.Route([]byte(name + "m")); d.Refusal != UnknownDomain {
		t.Errorf("%d bytes: %v", len(name)+1, d.Refusal)
	}
}

func TestNamesOfAnyLengthAreHarmless(t *testing.T) {
	r := routerFor(inst("app", "one"))
	for _, tail := range []string{".gw.example.com", "", ".", ".x"} {
		for n := range 1000 {
			name := append(slices.Repeat([]byte("a"), n), tail...)
			if d := r.Route(name); d.Refusal == None {
				t.Errorf("%d bytes and %q were routed", n, tail)
			}
		}
	}
}

func TestRefusalsHaveWords(t *testing.T) {
	words := make(map[string]bool)
	for r := range refusals {
		words[r.String()] = true
	}
	if len(words) != int(refusals) || words[""] {
		t.Errorf("words %v", words)
	}
}

func TestRouteAllocatesNothing(t *testing.T) {
	r := routerFor(
		inst("app", "one"), inst("app", "two"), inst("app", "three", ports(vm.PortRule{Port: 80, Proxy: true})),
		inst("closed", "c", ports()),
	)
	for _, name := range []string{
		"app.gw.example.com", "app-8080.gw.example.com", "one.gw.example.com", "closed.gw.example.com",
		"app-0.gw.example.com", "nobody.gw.example.com", "a.b",
	} {
		b := []byte(name)
		if n := testing.AllocsPerRun(100, func() { r.Route(b) }); n != 0 {
			t.Errorf("%q: %v allocations", name, n)
		}
	}
}
