package cloudflare

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/libdns/libdns"

	double "sallyport/internal/gwtest/cloudflare"
)

func appendOne(t *testing.T, p *Provider, r libdns.Record) error {
	t.Helper()
	_, err := p.AppendRecords(t.Context(), "example.com.", []libdns.Record{r})
	return err
}

func deleteOne(t *testing.T, p *Provider, r libdns.Record) []libdns.Record {
	t.Helper()
	got, err := p.DeleteRecords(t.Context(), "example.com.", []libdns.Record{r})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestValuesAreAddedAndRemovedOneByOne(t *testing.T) {
	a := double.New(t, "example.com")
	p := provider(t, a)
	for _, text := range []string{"a", "b", "b"} { // again after a crash
		if err := appendOne(t, p, txt("_acme-challenge.GW", text)); err != nil {
			t.Fatal(err)
		}
	}
	const name = "_acme-challenge.gw.example.com"
	if got := a.Texts("example.com", name); !slices.Equal(got, []string{`"a"`, `"b"`}) {
		t.Errorf("the name has %q", got)
	}
	if got := deleteOne(t, p, txt("_acme-challenge.gw", "a")); len(got) != 1 {
		t.Errorf("%v was deleted", got)
	}
	if got := a.Texts("example.com", name); !slices.Equal(got, []string{`"b"`}) {
		t.Errorf("the name has %q", got)
	}
	if got := deleteOne(t, p, txt("_acme-challenge.gw", "a")); got != nil {
		t.Errorf("%v was deleted again", got)
	}
}

func TestTextWithoutQuotesIsTheSame(t *testing.T) {
	a := double.New(t, "example.com")
	a.Put("example.com", double.Record{ID: "x", Type: "TXT", Name: "gw.example.com", Content: "a"})
	p := provider(t, a)
	if err := appendOne(t, p, txt("gw", "a")); err != nil {
		t.Error(err)
	}
	deleteOne(t, p, txt("gw", "a"))
	if got := a.Texts("example.com", "gw.example.com"); got != nil {
		t.Errorf("the name still has %q", got)
	}
}

func TestZoneIsTheLongestThatHoldsTheName(t *testing.T) {
	zones := []string{"com", "example.com", "ample.com", "gw.example.com", "other.gw.example.com"}
	for name, want := range map[string]string{"@": "example.com", "a": "example.com", "gw": "gw.example.com", "a.gw": "gw.example.com", "xgw": "example.com"} {
		a := double.New(t, zones...)
		if err := appendOne(t, provider(t, a), txt(name, "x")); err != nil {
			t.Fatal(err)
		}
		if got := a.Texts(want, strings.TrimPrefix(name+".example.com", "@.")); got == nil {
			t.Errorf("%s is not in zone %s: %q", name, want, a.Calls())
		}
	}
}

// A zone that its registrar does not delegate to Cloudflare is listed, too, and
// nobody would find the record there.
func TestOnlyActiveZonesCount(t *testing.T) {
	a := double.New(t, "example.com", "gw.example.com")
	a.Pend("gw.example.com")
	p := provider(t, a)
	if err := appendOne(t, p, txt("gw", "x")); err != nil {
		t.Fatal(err)
	}
	if a.Texts("example.com", "gw.example.com") == nil {
		t.Errorf("the record is not in the zone that is active: %q", a.Calls())
	}
	a.Drop("example.com")
	mustFail(t, appendOne(t, p, txt("gw", "x")), "none of the 0 active zones")
}

func TestAllPagesOfZonesAreRead(t *testing.T) {
	var zones []string
	for i := range 120 {
		zones = append(zones, fmt.Sprintf("zone%d.example", i))
	}
	a := double.New(t, append(zones, "example.com")...)
	if err := appendOne(t, provider(t, a), txt("gw", "x")); err != nil {
		t.Fatal(err)
	}
	if got := a.Calls(); len(got) != 4 || got[2] != "GET /zones" {
		t.Errorf("called %q: want three pages and the new record", got)
	}
}

func TestAllPagesOfRecordsAreRead(t *testing.T) {
	a := double.New(t, "example.com")
	p := provider(t, a)
	for i := range 60 {
		a.Put("example.com", double.Record{ID: fmt.Sprint(i), Type: "TXT", Name: "gw.example.com", Content: fmt.Sprintf(`"%d"`, i)})
	}
	if got := deleteOne(t, p, txt("gw", "59")); len(got) != 1 {
		t.Error("the last record was not found")
	}
}

func TestPagesAreBounded(t *testing.T) {
	a := double.New(t, "example.com")
	a.Before(func(w http.ResponseWriter, _ *http.Request) bool {
		double.Succeed(w, []zoneInfo{{ID: "x", Name: "x"}}, 1<<30)
		return true
	})
	mustFail(t, appendOne(t, provider(t, a), txt("gw", "x")), "more than 10000")
	if n := len(a.Calls()); n != maxPages {
		t.Errorf("%d requests were made", n)
	}
}

func TestCAARecords(t *testing.T) {
	a := double.New(t, "example.com")
	p := provider(t, a)
	record := func(tag, value string) libdns.CAA { return libdns.CAA{Name: "gw", Tag: tag, Value: value} }
	for _, r := range []libdns.CAA{record("issue", ";"), record("issue", "letsencrypt.org;validationmethods=dns-01"), record("issue", ";")} {
		if err := appendOne(t, p, r); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.CAARecords(t.Context(), "example.com.", "gw")
	if err != nil || len(got) != 2 || got[1].Value != "letsencrypt.org;validationmethods=dns-01" || got[1].Name != "gw" || got[1].Tag != "issue" {
		t.Errorf("got %v, %v", got, err)
	}
	deleteOne(t, p, record("issue", ";"))
	if got := a.Texts("example.com", "gw.example.com"); !slices.Equal(got, []string{"0 issue letsencrypt.org;validationmethods=dns-01"}) {
		t.Errorf("the name has %q", got)
	}
}

func TestRecordsThatAreNotWritten(t *testing.T) {
	a := double.New(t, "example.com")
	p := provider(t, a)
	for _, r := range []libdns.Record{
		txt("gw", ""), txt("gw", strings.Repeat("x", 256)), txt("gw", `a"b`), txt("gw", `a\b`), txt("gw.example.net.", "x"),
		libdns.CAA{Name: "gw", Tag: "issue"},
		libdns.NS{Name: "gw", Target: "ns.example.net."},
		libdns.RR{Name: "gw", Type: "TXT", Data: "x"},
	} {
		if appendOne(t, p, r) == nil {
			t.Errorf("%+v is added", r)
		}
		if _, err := p.DeleteRecords(t.Context(), "example.com.", []libdns.Record{r}); err == nil {
			t.Errorf("%+v is deleted", r)
		}
	}
	if got := a.Calls(); got != nil {
		t.Errorf("the API was asked for %q", got)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{
		{Token: ""},
		{Token: "a b"},
		{Token: "a\r\nX-Header: b"},
		{Token: token, BaseURL: "http://api.example.com"},
		{Token: token, BaseURL: "ftp://api.example.com"},
		{Token: token, BaseURL: "https://"},
		{Token: token, BaseURL: "https://user@api.example.com"},
		{Token: token, BaseURL: "https://api.example.com/?a=b"},
	} {
		_, err := New(o)
		mustFail(t, err, "want")
	}
	if p, err := New(Options{Token: token}); err != nil || p.base != "https://api.cloudflare.com/client/v4" {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestTokenIsNotPrinted(t *testing.T) {
	p, err := New(Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, p); strings.Contains(text, token) {
			t.Errorf("%s prints %s", format, text)
		}
	}
}
