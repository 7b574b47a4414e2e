package pccs

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/tdx"

	"github.com/google/go-cmp/cmp"
)

const intel = "https://api.trustedservices.intel.com"

func TestDocumentsAreTheBytesThatWereServed(t *testing.T) {
	for name, x := range map[string]struct {
		url     string
		dialect tdxpki.Dialect
	}{
		"PCCS":                      {"https://pccs.example", tdxpki.Dialect{}},
		"PCCS below a path":         {"https://pccs.example/", tdxpki.Dialect{RootCRL: tdxpki.HexUpper}},
		"as Intel's libraries want": {"https://pccs.example/sgx/certification/v4/", tdxpki.Dialect{RootCRL: tdxpki.DER}},
		"old header":                {"http://pccs.example", tdxpki.Dialect{TCBInfoHeader: "SGX-TCB-Info-Issuer-Chain"}},
		"header in lower case":      {"https://pccs.example", tdxpki.Dialect{HeaderCase: strings.ToLower}},
		"Intel":                     {intel, tdxpki.Dialect{NoRootCRL: true}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(x.dialect)
			c := w.client(t, func(o *Options) { o.URLs = []string{x.url} })
			if diff := cmp.Diff(w.documents(), get(t, c, w.platform)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFourDocumentsAreAskedForAndNothingElse(t *testing.T) {
	for base, root := range map[string]string{
		"https://pccs.example/a": "https://pccs.example/a/sgx/certification/v4/rootcacrl",
		intel:                    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der",
	} {
		var asked []string
		w := newWorld(tdxpki.Dialect{})
		c := w.client(t, func(o *Options) {
			o.URLs = []string{base}
			o.HTTP = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				asked = append(asked, r.Method+" "+r.URL.String())
				r.URL.Path = strings.TrimPrefix(r.URL.Path, "/a")
				return w.server.Client().Transport.RoundTrip(r)
			})}
		})
		get(t, c, Platform{w.pki.PCK.FMSPC, tdx.Processor})
		want := []string{
			"GET " + base + "/tdx/certification/v4/tcb?fmspc=" + strings.TrimSuffix(w.platform.String(), "-platform"),
			"GET " + base + "/tdx/certification/v4/qe/identity?update=standard",
			"GET " + base + "/sgx/certification/v4/pckcrl?ca=processor&encoding=der",
			"GET " + root,
		}
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// spoil makes a server of w's documents bad.
type spoil func(w *world, s *tdxpki.PCCS)

func instead(d tdxpki.Document, h http.Handler) spoil {
	return func(_ *world, s *tdxpki.PCCS) { s.Instead(d, h) }
}

func changed(change func(*tdxpki.PKI, *tdxpki.Collateral)) spoil {
	return func(w *world, s *tdxpki.PCCS) {
		c := w.pki.Collateral()
		change(w.pki, c)
		s.Publish(w.pki.PCK.FMSPC, tdxpki.PlatformCA, c.Sign())
	}
}

// Whatever is wrong with a server's documents, they are not taken and the next server
// is asked.
func TestNextServerIsAskedIfOneIsNoGood(t *testing.T) {
	redirect := http.RedirectHandler("https://169.254.169.254/", http.StatusFound)
	for name, x := range map[string]struct {
		spoil spoil
		want  string
	}{
		"fails":          {instead(tdxpki.TCBInfoDocument, tdxpki.Status(503)), "TCB info: status 503"},
		"knows nothing":  {instead(tdxpki.PCKCRLDocument, tdxpki.Status(404)), "PCK CRL: status 404"},
		"redirects":      {instead(tdxpki.QEIdentityDocument, redirect), "QE identity: status 302"},
		"floods":         {instead(tdxpki.RootCRLDocument, tdxpki.TooMuch(maxBody+1)), "root CRL: the answer is larger than"},
		"is a web site":  {instead(tdxpki.RootCRLDocument, tdxpki.Body([]byte("<html>"))), "not a CRL in DER or hex"},
		"has no chain":   {instead(tdxpki.PCKCRLDocument, tdxpki.Body([]byte("3000"))), "no header SGX-PCK-CRL-Issuer-Chain"},
		"sends no JSON":  {instead(tdxpki.TCBInfoDocument, tdxpki.Body([]byte("[]"))), "is not a JSON object"},
		"hangs":          {func(_ *world, s *tdxpki.PCCS) { s.Hold(tdxpki.QEIdentityDocument) }, "deadline exceeded"},
		"is out of date": {changed(func(_ *tdxpki.PKI, c *tdxpki.Collateral) { c.RootCRL.NextUpdate = c.RootCRL.ThisUpdate.Add(time.Hour) }), "the documents are valid from"},
		"is ahead":       {changed(func(_ *tdxpki.PKI, c *tdxpki.Collateral) { c.PCKCRL.ThisUpdate = c.PCKCRL.NextUpdate.Add(-time.Hour) }), "the documents are valid from"},
		"has another's TCB info": {func(w *world, s *tdxpki.PCCS) {
			other := w.pki.Collateral()
			other.TCBInfo.FMSPC[0]++
			s.Publish(w.pki.PCK.FMSPC, tdxpki.PlatformCA, other.Sign())
		}, ", want "},
		"has another CA's CRL": {changed(func(p *tdxpki.PKI, c *tdxpki.Collateral) {
			c.PCKCRL, c.PCKCRLChain = p.PCKCRL(p.Processor), []*tdxpki.Entity{p.Processor, p.Root}
		}), "-processor, want "},
		"forges": {func(w *world, s *tdxpki.PCCS) {
			forger := tdxpki.New(2, time.Now())
			s.Publish(w.pki.PCK.FMSPC, tdxpki.PlatformCA, forger.Collateral().Sign())
		}, "collateral: "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(tdxpki.Dialect{})
				bad := w.pki.PCCS(tdxpki.Dialect{})
				x.spoil(w, bad)
				only := w.client(t, func(o *Options) { o.HTTP = bad.Client() })
				if _, err := only.Collateral(t.Context(), w.platform); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), x.want) {
					t.Errorf("%v, want %q", err, x.want)
				}
				both := w.client(t, func(o *Options) {
					o.URLs = []string{"https://bad.example", "https://good.example"}
					o.HTTP = &http.Client{Transport: hosts{"bad.example": bad, "good.example": w.server}}
				})
				if diff := cmp.Diff(w.documents(), get(t, both, w.platform)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestURLsThatAreNoServersAreRefused(t *testing.T) {
	for _, urls := range [][]string{
		{},
		{""},
		{"pccs.example"},
		{"ftp://pccs.example"},
		{"https://"},
		{"https://user:secret@pccs.example"},
		{"https://pccs.example?x"},
		{"https://pccs.example/#x"},
		{"https://pccs.example", "://"},
		slices.Repeat([]string{"https://pccs.example"}, maxServers+1),
	} {
		if _, err := New(Options{URLs: urls}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", urls, err)
		}
	}
	if _, err := New(Options{}); err != nil {
		t.Errorf("the default: %v", err)
	}
}
