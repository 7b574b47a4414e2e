package rfc2136

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
)

const zone = "example.com."

func txt(name, text string) libdns.TXT {
	return libdns.TXT{Name: name, TTL: time.Minute, Text: text}
}

// change adds or removes one record.
func change(t *testing.T, p *Provider, action string, r libdns.Record) error {
	t.Helper()
	f := p.AppendRecords
	if action == "remove" {
		f = p.DeleteRecords
	}
	got, err := f(t.Context(), zone, []libdns.Record{r})
	if err == nil && len(got) != 1 {
		t.Errorf("%s returns %v", action, got)
	}
	return err
}

// mustFail checks that err says all of words.
func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestBIND(t *testing.T) {
	b := newBind(t)
	p := b.provider(t, "sha256.", "")

	t.Run("values are added and removed one by one", func(t *testing.T) {
		for _, step := range []struct {
			action, text string
			want         []string
		}{
			{"add", "a", []string{"a", "somebody else's"}},
			{"add", "b", []string{"a", "b", "somebody else's"}},
			{"add", "b", []string{"a", "b", "somebody else's"}}, // after a crash
			{"remove", "a", []string{"b", "somebody else's"}},
			{"remove", "a", []string{"b", "somebody else's"}},
			{"remove", "b", []string{"somebody else's"}},
		} {
			if err := change(t, p, step.action, txt("full", step.text)); err != nil {
				t.Fatal(err)
			}
			got := b.texts(t, "full."+zone)
			slices.Sort(got)
			if !slices.Equal(got, step.want) {
				t.Fatalf("after %s %s the name has %q, want %q", step.action, step.text, got, step.want)
			}
		}
	})
	t.Run("sha512", func(t *testing.T) {
		p := b.provider(t, "sha512.", "hmac-sha512")
		if err := change(t, p, "add", txt("sha512", "x")); err != nil {
			t.Fatal(err)
		}
		if got := b.texts(t, "sha512."+zone); !slices.Equal(got, []string{"x"}) {
			t.Errorf("the name has %q", got)
		}
	})
	t.Run("at the apex", func(t *testing.T) {
		if err := change(t, p, "add", txt("@", "apex")); err != nil {
			t.Fatal(err)
		}
		if got := b.texts(t, zone); !slices.Equal(got, []string{"apex"}) {
			t.Errorf("the name has %q", got)
		}
	})
	t.Run("long and odd text", func(t *testing.T) {
		text := strings.Repeat("x", 255) + `y\092"z`
		if err := change(t, p, "add", txt("odd", text)); err != nil {
			t.Fatal(err)
		}
		got := b.texts(t, "odd."+zone)
		if len(got) != 2 || got[0] != strings.Repeat("x", 255) || got[1] != `y\\092\"z` { // as miekg/dns shows it
			t.Errorf("the name has %q", got)
		}
		if err := change(t, p, "remove", txt("odd", text)); err != nil {
			t.Fatal(err)
		}
		if got := b.texts(t, "odd."+zone); got != nil {
			t.Errorf("the name still has %q", got)
		}
	})
	t.Run("CAA", func(t *testing.T) { testCAA(t, p) })
	t.Run("refusals", func(t *testing.T) { testRefusals(t, b) })
}

func testCAA(t *testing.T, p *Provider) {
	record := func(tag, value string) libdns.CAA {
		return libdns.CAA{Name: "gw", TTL: time.Minute, Tag: tag, Value: value}
	}
	if got, err := p.CAARecords(t.Context(), zone, "gw"); err != nil || got != nil {
		t.Errorf("a name that is not there has %v, %v", got, err)
	}
	want := []libdns.CAA{record("iodef", "mailto:a@example.com"), record("issue", ";"), record("issue", "letsencrypt.org;validationmethods=dns-01")}
	for _, r := range want {
		if err := change(t, p, "add", r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.CAARecords(t.Context(), zone, "gw")
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(got, func(a, b libdns.CAA) int { return strings.Compare(a.Tag+a.Value, b.Tag+b.Value) })
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := change(t, p, "remove", want[1]); err != nil {
		t.Fatal(err)
	}
	if got, err := p.CAARecords(t.Context(), zone, "gw"); err != nil || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
}

func testRefusals(t *testing.T, b *bind) {
	for _, c := range []struct {
		name           string
		key, algorithm string
		prepare        func(p *Provider)
		zone           string
		record         libdns.Record
		words          []string
	}{
		{name: "wrong secret", key: "sha256.", prepare: func(p *Provider) { p.key.secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" }, words: []string{"another secret for the key sha256."}},
		{name: "wrong algorithm", key: "sha256.", algorithm: "hmac-sha512", words: []string{"does not know the key sha256. with hmac-sha512"}},
		{name: "unknown key", key: "sha256.", prepare: func(p *Provider) { p.key.name = "nobody." }, words: []string{"does not know the key nobody."}},
		{name: "key that may not", key: "limited.", words: []string{"REFUSED", "update-policy"}},
		{name: "another zone", key: "sha256.", zone: "example.net.", words: []string{"NOTAUTH", "primary server"}},
		{name: "alias", key: "sha256.", record: txt("alias", "x"), words: []string{"YXRRSET", "CNAME"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := b.provider(t, c.key, c.algorithm)
			if c.prepare != nil {
				c.prepare(p)
			}
			z, r := c.zone, c.record
			if z == "" {
				z = zone
			}
			if r == nil {
				r = txt("gw", "x")
			}
			_, err := p.AppendRecords(t.Context(), z, []libdns.Record{r})
			mustFail(t, err, append(c.words, "zone "+z, b.addr.String())...)
			if secret, _ := os.ReadFile(b.keys["sha256."]); strings.Contains(err.Error(), string(secret[:20])) {
				t.Error("the error tells the secret")
			}
		})
	}
}
