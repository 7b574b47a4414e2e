package caa

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/acme/dns01/cloudflare"
	"sallyport/acme/dns01/rfc2136"

	"github.com/libdns/libdns"
)

var (
	_ Provider = (*cloudflare.Provider)(nil)
	_ Provider = (*rfc2136.Provider)(nil)
)

// memory is a Provider of one name's records, which fails at the call with number
// failAt.
type memory struct {
	t       *testing.T
	records []libdns.CAA
	calls   []string
	failAt  int
}

var errProvider = errors.New("provider is down")

func (m *memory) call(text string, records []libdns.Record) error {
	for _, r := range records {
		c := r.(libdns.CAA)
		if c.Name != "gw" {
			m.t.Errorf("%s %+v: want the name gw", text, c)
		}
		text += fmt.Sprintf(" %s=%s", c.Tag, c.Value)
	}
	m.calls = append(m.calls, text)
	if len(m.calls) == m.failAt {
		return errProvider
	}
	return nil
}

func (m *memory) CAARecords(_ context.Context, zone, name string) ([]libdns.CAA, error) {
	if zone != "example.com." || name != "gw" {
		m.t.Errorf("asked for %s in %s", name, zone)
	}
	return slices.Clone(m.records), m.call("read", nil)
}

func (m *memory) AppendRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	if err := m.call("add", records); err != nil {
		return nil, err
	}
	for _, r := range records {
		m.records = append(m.records, r.(libdns.CAA))
	}
	return records, nil
}

func (m *memory) DeleteRecords(_ context.Context, _ string, records []libdns.Record) ([]libdns.Record, error) {
	if err := m.call("remove", records); err != nil {
		return nil, err
	}
	for _, r := range records {
		m.records = slices.DeleteFunc(m.records, func(c libdns.CAA) bool { return c.RR().Data == r.RR().Data })
	}
	for _, tag := range []string{tagIssue, tagIssueWild} {
		if !slices.ContainsFunc(m.records, func(c libdns.CAA) bool { return c.Tag == tag }) {
			m.t.Errorf("after removing %v there is no %s: anybody may issue", records, tag)
		}
	}
	return records, nil
}

func (m *memory) has() string {
	var list []string
	for _, c := range m.records {
		list = append(list, c.Tag+"="+c.Value)
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func there(lines ...string) (list []libdns.CAA) {
	for _, l := range lines {
		tag, value, _ := strings.Cut(l, "=")
		list = append(list, libdns.CAA{Name: "gw", TTL: time.Hour, Tag: tag, Value: value})
	}
	return list
}

// pin are the records of a test, and what they are in has.
func pin(t *testing.T) ([]Record, string) {
	t.Helper()
	records, err := Records("gw.example.com", le, account, []string{"dns-01"})
	if err != nil {
		t.Fatal(err)
	}
	return records, "issue=" + records[0].Value + " issuewild=" + records[1].Value
}

func TestSetGuardsFirst(t *testing.T) {
	records, want := pin(t)
	m := &memory{t: t, records: there("issue=pki.goog", "issuewild=other.example", "iodef=mailto:a@example.com")}
	if err := Set(t.Context(), m, "Example.com", records); err != nil {
		t.Fatal(err)
	}
	order := []string{
		"read",
		"add issue=; issuewild=;",
		"remove issue=pki.goog issuewild=other.example",
		"add " + want,
		"remove issue=; issuewild=;",
	}
	if !slices.Equal(m.calls, order) {
		t.Errorf("called\n%s\nwant\n%s", strings.Join(m.calls, "\n"), strings.Join(order, "\n"))
	}
	if got := m.has(); got != "iodef=mailto:a@example.com "+want {
		t.Errorf("there is %s", got)
	}
}

func TestSetChangesOnlyWhatDiffers(t *testing.T) {
	records, want := pin(t)
	issue, wild, _ := strings.Cut(want, " ")
	for name, c := range map[string]struct {
		there []libdns.CAA
		calls int
	}{
		"nothing there":       {nil, 4},
		"all there":           {there(issue, wild), 1},
		"half there":          {there(issue), 4},
		"guards left":         {there(issue, wild, "issue=;", "issuewild=;"), 2},
		"guards left, no pin": {there("issue=;", "issuewild=;"), 3},
		"one guard left":      {there(issue, wild, "issue=;"), 3},
		"other besides":       {there(issue, wild, "issue=pki.goog"), 4},
		"tag in another case": {there(strings.Replace(issue, "issue", "Issue", 1), wild), 1},
		"critical is another": {append(there(wild), libdns.CAA{Name: "gw", Flags: 128, Tag: "issue", Value: records[0].Value}), 5},
	} {
		m := &memory{t: t, records: c.there}
		if err := Set(t.Context(), m, "example.com.", records); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := m.has(); !strings.EqualFold(got, want) {
			t.Errorf("%s: there is %s", name, got)
		}
		if len(m.calls) != c.calls {
			t.Errorf("%s: called %q, want %d calls", name, m.calls, c.calls)
		}
	}
}

// Wherever it fails, nobody else may issue, and another run mends it.
func TestSetFailsClosed(t *testing.T) {
	records, want := pin(t)
	for n := 1; n <= 5; n++ {
		m := &memory{t: t, records: there("issue=pki.goog", "issuewild=pki.goog"), failAt: n}
		err := Set(t.Context(), m, "example.com.", records)
		if !errors.Is(err, errProvider) {
			t.Errorf("failure at call %d: got %v", n, err)
		}
		mustSay(t, err, "set CAA records at gw.example.com.")
		if err := Set(t.Context(), m, "example.com.", records); err != nil {
			t.Errorf("after a failure at call %d: %v", n, err)
		}
		if got := m.has(); got != want {
			t.Errorf("after a failure at call %d there is %s", n, got)
		}
	}
}

func TestSetRefusesOtherRecords(t *testing.T) {
	good := Record{Name: "gw.example.com.", Tag: "issue", Value: ";"}
	for _, records := range [][]Record{
		nil,
		{good, {Name: "other.example.com.", Tag: "issue", Value: ";"}},
		{{Name: "gw.example.net.", Tag: "issue", Value: ";"}},
		{{Name: "gw.example.com.", Tag: "iodef", Value: "x"}},
		{{Name: "gw.example.com.", Flags: 128, Tag: "issue", Value: ";"}},
	} {
		m := &memory{t: t}
		if err := Set(t.Context(), m, "example.com.", records); err == nil {
			t.Errorf("%v are set", records)
		}
		if m.calls != nil {
			t.Errorf("%v: called %q", records, m.calls)
		}
	}
}
