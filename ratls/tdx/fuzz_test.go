package tdx

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"

	"github.com/google/go-tdx-guest/pcs"
)

// Any bytes: no panic, a quote or an error, and the checks run on whatever was
// parsed. The oracle reads the same, and nothing verifies but what Intel signed.
func FuzzParse(f *testing.F) {
	root := realRoot(f)
	var genuine []Report
	for _, c := range bundledQuotes() {
		genuine = append(genuine, parse(f, c.raw).TD)
		f.Add(c.raw)
		f.Add(c.raw[:700])
	}
	w := newWorld(f, nil)
	for _, form := range forms {
		f.Add(w.build(f, w.draft(form[0], form[1])))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := Parse(raw)
		if err != nil {
			if q != nil {
				t.Fatalf("%+v with error %v", q, err)
			}
			return
		}
		if verifyAll(q, root, testTime) == nil && q.TD != genuine[0] && q.TD != genuine[1] {
			t.Fatalf("a quote of nobody verifies: %+v", q)
		}
		if chain, err := q.PCKCertificates(); err == nil {
			_, _ = ParsePCK(chain.Leaf)
			_ = q.VerifyQEReport(chain.Leaf)
		}
		_, _, _ = q.VerifyAttestationKey(), q.VerifySignature(), q.TD.CheckAttributes()
		if theirs, err := oracleParse(raw); err != nil || !reflect.DeepEqual(normal(q), normal(theirs)) {
			t.Fatalf("%+v\nwant %+v, %v", q, theirs, err)
		}
	})
}

// Any extension: no panic, and where the oracle reads one too, it reads the same.
func FuzzParseExtension(f *testing.F) {
	f.Add(goodExtension(f))
	f.Add([]byte("\x30\x80\x00\x00"))
	for _, c := range bundledQuotes() {
		chain, err := parse(f, c.raw).PCKCertificates()
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range chain.Leaf.Extensions {
			if x.Id.Equal(sgxArc()) {
				f.Add(x.Value)
			}
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var p PCK
		if err := p.parseExtension(der); err != nil {
			return
		}
		theirs, err := oracleExtension(der)
		if err == nil && !reflect.DeepEqual(*theirs, p.asOracle()) {
			t.Fatalf("%+v\nwant %+v", p, theirs)
		}
	})
}

// oracleExtension reads an extension as the oracle does, out of a certificate
// with as many extensions as it wants.
func oracleExtension(der []byte) (e *pcs.PckExtensions, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	c := &x509.Certificate{Extensions: make([]pkix.Extension, 6)}
	c.Extensions[0] = pkix.Extension{Id: sgxArc(), Value: der}
	return pcs.PckCertificateExtensions(c)
}

func (p *PCK) asOracle() pcs.PckExtensions {
	return pcs.PckExtensions{
		PPID: hex.EncodeToString(p.PPID[:]), PCEID: hex.EncodeToString(p.PCEID[:]), FMSPC: hex.EncodeToString(p.FMSPC[:]),
		TCB: pcs.PckCertTCB{PCESvn: p.PCESVN, CPUSvn: p.CPUSVN[:], CPUSvnComponents: p.TCBComponents[:]},
	}
}
