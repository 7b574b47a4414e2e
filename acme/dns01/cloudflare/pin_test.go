package cloudflare

import (
	"slices"
	"testing"

	"sallyport/acme/caa"
	double "sallyport/internal/gwtest/cloudflare"
)

// The parts together: records that pin issuance replace others, guards first, and
// doing so again changes nothing.
func TestCAARecordsArePinned(t *testing.T) {
	const name, account = "gw.example.com", "https://ca.example/account/1"
	a := double.New(t, "example.com")
	p := provider(t, a)
	a.Put(
		"example.com",
		double.Record{ID: "x", Type: "CAA", Name: name, Data: &double.CAA{Tag: "issue", Value: "pki.goog"}},
		double.Record{ID: "y", Type: "CAA", Name: name, Data: &double.CAA{Tag: "iodef", Value: "mailto:a@example.com"}},
	)
	pin, err := caa.Records(name, "ca.example", account, []string{"dns-01"})
	if err != nil {
		t.Fatal(err)
	}
	const value = " ca.example;validationmethods=dns-01;accounturi=" + account
	want := []string{"0 iodef mailto:a@example.com", "0 issue" + value, "0 issuewild" + value}
	for range 2 {
		if err := caa.Set(t.Context(), p, "example.com", pin); err != nil {
			t.Fatal(err)
		}
		if got := a.Texts("example.com", name); !slices.Equal(got, want) {
			t.Errorf("the name has %q, want %q", got, want)
		}
	}
	changes := slices.DeleteFunc(a.Calls(), func(c string) bool { return c[:3] == "GET" })
	for i, c := range changes {
		changes[i] = c[:4]
	}
	if want := []string{"POST", "POST", "DELE", "POST", "POST", "DELE", "DELE"}; !slices.Equal(changes, want) {
		t.Errorf("changes were %q, want %q", changes, want)
	}
}
