package issue

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/certs"
	"sallyport/config"
)

func TestEachNameOfACertificateHasASource(t *testing.T) {
	got := Sources([]config.Domain{
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
