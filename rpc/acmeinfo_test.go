package rpc

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"sallyport/rpc/gatewaypb"
	"sallyport/rpc/internal/pbjson"
)

// certificates knows two domains.
type certificates struct {
	mu    sync.Mutex
	asked int
	uri   string
	quote string
}

func (c *certificates) ACMEInfo(domain string) (*gatewaypb.AcmeInfoResponse, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if domain == "" {
		domain = "gw.example"
	}
	if domain != "gw.example" && domain != "second.example" {
		return nil, false
	}
	return &gatewaypb.AcmeInfoResponse{
		AccountUri: c.uri, HistKeys: [][]byte{{1, 0xab}}, BaseDomain: domain, ActiveCert: "PEM\n", AccountQuote: "{}", AccountAttestation: "{}",
		QuotedHistKeys: []*gatewaypb.QuotedPublicKey{{PublicKey: []byte{1, 0xab}, Quote: c.quote, Attestation: "{}"}}, Evidence: "all",
	}, true
}

func acmeInfoOf(t *testing.T, site http.Handler, method, host string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "/.dstack/acme-info", nil)
	r.Host = host
	w := httptest.NewRecorder()
	site.ServeHTTP(w, r)
	return w
}

func TestSiteShowsTheDomainOfTheRequest(t *testing.T) {
	site := WellKnown("", &certificates{uri: "https://ca/acct/1", quote: `{"quote":"00"}`})
	const want = `{"account_uri":"https://ca/acct/1","hist_keys":["01ab"],` +
		`"quoted_hist_keys":[{"public_key":"01ab","quote":"{\"quote\":\"00\"}","attestation":"{}"}],` +
		`"account_quote":"{}","account_attestation":"{}","base_domain":"%s","active_cert":"PEM\n","evidence":"all"}`
	for host, domain := range map[string]string{
		"gateway.gw.example": "gw.example", "gateway.second.example": "second.example", "GATEWAY.Second.Example.:8443": "second.example",
		"second.example": "second.example", "health.gw.example:443": "gw.example",
	} {
		w := acmeInfoOf(t, site, http.MethodGet, host)
		if body := fmt.Sprintf(want, domain); w.Code != 200 || w.Body.String() != body || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: %d\ngot  %s\nwant %s", host, w.Code, w.Body, body)
		}
	}
	for _, host := range []string{"", ":", ".", "gateway", "gateway.", "127.0.0.1:443", "[::1]:443", "a.gateway.gw.example", "gateway.other.example", strings.Repeat("a.", 4000)} {
		if w := acmeInfoOf(t, site, http.MethodGet, host); w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%.40q: %d %s", host, w.Code, w.Body)
		}
	}
}

func TestHeadHasTheSizeOfAcmeInfo(t *testing.T) {
	srv := httptest.NewServer(WellKnown("", &certificates{quote: strings.Repeat("a", 100_000)}))
	defer srv.Close()
	ask := func(method string) (int64, int) {
		r, err := http.NewRequestWithContext(t.Context(), method, srv.URL+"/acme-info", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "gateway.gw.example"
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if _, err := body.ReadFrom(resp.Body); err != nil || resp.StatusCode != 200 {
			t.Fatal(resp.Status, err)
		}
		return resp.ContentLength, body.Len()
	}
	length, read := ask(http.MethodGet)
	if length != int64(read) || length < 100_000 {
		t.Errorf("Content-Length %d, %d bytes came", length, read)
	}
	if head, read := ask(http.MethodHead); head != length || read != 0 {
		t.Errorf("HEAD: Content-Length %d, %d bytes came, want %d and none", head, read, length)
	}
}

func TestAcmeInfoOfTheAPIIsTheFirstDomainsUnlessOneIsNamed(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Certificates = &certificates{} })
	for request, want := range map[string]string{
		post("/prpc/AcmeInfo?json", ""):                                                 "gw.example",
		post("/prpc/AcmeInfo?json", `{"domain":"second.example"}`):                      "second.example",
		"GET /prpc/AcmeInfo HTTP/1.1\r\nhost: x\r\n\r\n":                                "gw.example",
		"GET /prpc/Gateway.AcmeInfo?domain=Second.Example. HTTP/1.1\r\nhost: x\r\n\r\n": "second.example",
	} {
		a := w.send(t, nil, request)
		var m gatewaypb.AcmeInfoResponse
		if err := pbjson.Unmarshal([]byte(a.body), &m); err != nil || a.status != 200 || m.BaseDomain != want {
			t.Errorf("%q: %d %s, %v", request, a.status, a.body, err)
		}
	}
	a := w.send(t, nil, post("/prpc/AcmeInfo", ""))
	var m gatewaypb.AcmeInfoResponse
	if err := proto.Unmarshal([]byte(a.body), &m); err != nil || a.status != 200 || m.BaseDomain != "gw.example" || len(m.HistKeys) != 1 {
		t.Errorf("protobuf: %d %q, %v", a.status, a.body, err)
	}
	a = w.send(t, nil, "GET /prpc/AcmeInfo?domain=other.example HTTP/1.1\r\nhost: x\r\n\r\n")
	if got := errorOf(t, a); a.status != 404 || got != `domain "other.example" is not served here` {
		t.Errorf("%d %s", a.status, got)
	}
}

// However many read it, the answer is there once; a change is told after a second.
func TestAcmeInfoIsEncodedOnceForAllReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &certificates{uri: "before"}
		a := newAcmeInfo(c)
		get := func() *acmeAnswer {
			got, err := a.answer("gw.example")
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		first := get()
		var readers sync.WaitGroup
		for range 100 {
			readers.Go(func() {
				if got := get(); &got.json[0] != &first.json[0] || &got.binary[0] != &first.binary[0] {
					t.Error("another copy")
				}
			})
		}
		readers.Wait()
		if c.asked != 1 {
			t.Errorf("asked %d times", c.asked)
		}
		sleep := func() { <-time.After(freshness) }
		sleep()
		if got := get(); c.asked != 2 || &got.json[0] != &first.json[0] {
			t.Errorf("asked %d times, and what is the same appears twice", c.asked)
		}
		c.uri = "after"
		if got := get(); !bytes.Contains(got.json, []byte("before")) {
			t.Errorf("%s", got.json)
		}
		sleep()
		if got := get(); !bytes.Contains(got.json, []byte("after")) {
			t.Errorf("%s", got.json)
		}
	})
}

func TestUnknownDomainsAreNotRemembered(t *testing.T) {
	a := newAcmeInfo(&certificates{})
	for i := range 1000 {
		if got, err := a.answer(strconv.Itoa(i) + ".example"); got != nil || err != nil {
			t.Fatal(got, err)
		}
	}
	if len(a.answers) != 0 {
		t.Errorf("%d are", len(a.answers))
	}
}

func TestAcmeInfoOfNoReasonableSizeIsRefused(t *testing.T) {
	site := WellKnown("", &certificates{quote: strings.Repeat("a", maxAcmeInfo)})
	w := acmeInfoOf(t, site, http.MethodGet, "gateway.gw.example")
	if w.Code != http.StatusInternalServerError || w.Body.Len() > 200 {
		t.Errorf("%d, %d bytes", w.Code, w.Body.Len())
	}
}

func FuzzHostDomains(f *testing.F) {
	for _, seed := range []string{"gateway.gw.example:443", "", ":", ".", "[::1]:443", "a..b", "GATEWAY.X."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, host string) {
		list := hostDomains(host)
		if len(list) > 2 || slices.Contains(list, "") {
			t.Errorf("%q: %q", host, list)
		}
	})
}
