package main

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/config"
)

func TestApexIsServedOnlyWhereItIsAskedFor(t *testing.T) {
	d := newDomains([]config.Domain{{Name: "a.test", IncludeApex: true}, {Name: "b.test"}}, nil)
	for name, want := range map[string]string{
		"a.test": "a.test", "A.Test": "a.test", "a.test.": "a.test",
		"b.test": "", "x.a.test": "", "test": "", "": "", ".": "",
	} {
		if got := d.apex([]byte(name)); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	name := []byte("some-app.a.test")
	if n := testing.AllocsPerRun(100, func() { d.apex(name) }); n != 0 {
		t.Errorf("%v allocations for a name that is none", n)
	}
}

func TestNamesBelowADomainAreOurs(t *testing.T) {
	d := newDomains([]config.Domain{{Name: "a.test"}}, nil)
	for name, want := range map[string]bool{
		"a.test": true, "A.TEST.": true, "x.y.a.test": true, "xa.test": false, "test": false, "": false,
	} {
		if got := d.isOurs([]byte(name)); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
	}
}

func TestEachNameOfACertificateHasASource(t *testing.T) {
	got := sources([]config.Domain{
		{Name: "files.test", Cert: "c", Key: "k", Wildcard: true},
		{Name: "own.test", RATLS: true, Wildcard: true},
		{Name: "both.test", ACME: true, Wildcard: true, IncludeApex: true},
		{Name: "apex.test", ACME: true, IncludeApex: true},
	})
	want := []certs.Source{
		{Domain: "files.test", CertFile: "c", KeyFile: "k"},
		{Domain: "own.test", From: "ratls"},
		{Domain: "both.test", From: "acme"},
		{Domain: "both.test", From: "acme", Apex: true},
		{Domain: "apex.test", From: "acme", Apex: true},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestReloadTellsWhatNeedsARestart(t *testing.T) {
	file := config.Domain{Name: "a.test", Cert: "c", Key: "k", Wildcard: true}
	for _, c := range []struct {
		name  string
		added config.Domain
		want  error
	}{
		{"the first of an authority", config.Domain{Name: "b.test", ACME: true, Wildcard: true}, errFirstACME},
		{"own evidence", config.Domain{Name: "b.test", RATLS: true, Wildcard: true}, errRATLS},
	} {
		g := &gateway{}
		before := newDomains([]config.Domain{file}, nil)
		g.domainsNow.Store(before)
		err := g.setDomains(&config.Config{Domains: []config.Domain{file, c.added}})
		if !errors.Is(err, c.want) || g.domainsNow.Load() != before {
			t.Errorf("%s: %v, want %v and nothing changed", c.name, err, c.want)
		}
	}
}
