package rpc

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"sallyport/rpc/gatewaypb"
	"sallyport/rpc/internal/pbjson"
)

// What is published about certificates, by AcmeInfo and at /.dstack/acme-info.
//
// Anybody may ask, and with the evidence of many keys an answer has megabytes. So it is
// encoded once for all readers, however slow, and built again after freshness at the
// earliest: what a crowd of readers holds is a few copies, not one each.

// Certificates describes the certificates of the gateway's domains. It is called
// concurrently.
type Certificates interface {
	// ACMEInfo describes a domain in lower case; ok is false if it is not served; "" is the
	// first. It must not wait. The answer is not changed by either side.
	ACMEInfo(domain string) (*gatewaypb.AcmeInfoResponse, bool)
}

// freshness is how old an answer may be. Certificates change in weeks; a test that waits
// for one looks again.
const freshness = time.Second

// maxAcmeInfo bounds an answer in bytes, as protobuf. acme.Info has at most 64 keys with
// some 50 kB of evidence each.
const maxAcmeInfo = 8 << 20

// acmeAnswer is a message with its encodings.
type acmeAnswer struct {
	*gatewaypb.AcmeInfoResponse
	json, binary []byte
	made         time.Time
}

// acmeInfo keeps the answers.
type acmeInfo struct {
	from Certificates // nil: nothing is known

	mu      sync.Mutex
	answers map[string]*acmeAnswer // by domain; no others than from knows
}

func newAcmeInfo(from Certificates) *acmeInfo {
	return &acmeInfo{from: from, answers: map[string]*acmeAnswer{}}
}

// call is the method AcmeInfo. It is asked without a name of the gateway's in it, and
// dstack's callers, which know one domain, ask without one: they get the first, which Info
// sends to guests too.
func (a *acmeInfo) call(in *gatewaypb.AcmeInfoRequest) (proto.Message, error) {
	domain := strings.ToLower(strings.TrimSuffix(in.Domain, "."))
	answer, err := a.answer(domain)
	if err == nil && answer == nil {
		err = &statusError{http.StatusNotFound, fmt.Sprintf("domain %.80q is not served here", in.Domain)}
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// serve is the page of the site. The request's own host says which domain is meant, as
// in all of HTTP (RFC 9110, 7.2): the answer is public and binds keys, so nothing is won
// by a host that is not the name of the connection.
func (a *acmeInfo) serve(w http.ResponseWriter, r *http.Request) {
	for _, domain := range hostDomains(r.Host) {
		answer, err := a.answer(domain)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		if answer != nil {
			writeJSON(w, answer.json)
			return
		}
	}
	http.Error(w, "the request's host is not a name of this gateway", http.StatusMisdirectedRequest)
}

// hostDomains are the base domains that host may stand for: itself, where a gateway
// serves that, and that of gateway.<domain>.
func hostDomains(host string) (list []string) {
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		host = host[:i]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	_, parent, _ := strings.Cut(host, ".")
	for _, domain := range []string{host, parent} {
		if domain != "" { // that would be the first
			list = append(list, domain)
		}
	}
	return list
}

// answer is the newest about domain, nil if that is not served.
func (a *acmeInfo) answer(domain string) (*acmeAnswer, error) {
	if a.from == nil {
		return encode(&gatewaypb.AcmeInfoResponse{})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.answers[domain]
	if before != nil && time.Since(before.made) < freshness {
		return before, nil
	}
	m, ok := a.from.ACMEInfo(domain)
	if !ok {
		delete(a.answers, domain)
		return nil, nil
	}
	next, err := encode(m)
	if err != nil {
		return nil, err
	}
	if before != nil && bytes.Equal(before.json, next.json) {
		next.json, next.binary = before.json, before.binary // one copy, as long as nothing changes
	}
	a.answers[domain] = next
	return next, nil
}

func encode(m *gatewaypb.AcmeInfoResponse) (*acmeAnswer, error) {
	if size := proto.Size(m); size > maxAcmeInfo {
		return nil, &statusError{http.StatusInternalServerError, fmt.Sprintf("the information about certificates has %d bytes, more than the %d of an answer", size, maxAcmeInfo)}
	}
	a := &acmeAnswer{AcmeInfoResponse: m, made: time.Now()}
	var err error
	if a.json, err = pbjson.Marshal(m); err != nil {
		return nil, err
	}
	a.binary, err = proto.MarshalOptions{Deterministic: true}.Marshal(m)
	return a, err
}
