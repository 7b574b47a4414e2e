package tdx

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-tdx-guest/pcs"
)

// Any quote: no panic, a quote or an error, and the checks run on whatever was
// parsed. The oracle reads the same, and nothing verifies but what Intel signed.
//
// A case is a patch on one of the good quotes, and where to cut it, which can be
// any bytes. The fuzzer takes a whole quote of 5 kB apart byte by byte instead of
// trying others: 30 cases in half a minute, against 80,000.
func FuzzParse(f *testing.F) {
	root := realRoot(f)
	genuine := []Report{parse(f, bundledQuotes()[0].raw).TD, parse(f, bundledQuotes()[1].raw).TD}
	seeds := parserSeeds()
	for i, raw := range seeds {
		f.Add(byte(i), uint16(0), []byte{}, uint16(len(raw)))
		for _, at := range lengthsOf(raw) {
			f.Add(byte(i), uint16(at), []byte{0xff, 0xff}, uint16(len(raw)))
		}
	}
	f.Fuzz(func(t *testing.T, seed byte, at uint16, patch []byte, end uint16) {
		good := seeds[int(seed)%len(seeds)]
		from := min(int(at), len(good))
		raw := slices.Concat(good[:from], patch, good[min(from+len(patch), len(good)):])
		raw = raw[:min(int(end), len(raw))]
		q, err := Parse(raw)
		if err != nil {
			if q != nil {
				t.Fatalf("a quote with error %v", err)
			}
			return
		}
		if verifyAll(q, root, testTime) == nil && !slices.Contains(genuine, q.TD) {
			t.Fatal("a quote that Intel did not sign verifies")
		}
		if chain, err := q.PCKCertificates(); err == nil {
			_, _ = ParsePCK(chain.Leaf)
			_ = q.VerifyQEReport(chain.Leaf)
		}
		_, _, _ = q.VerifyAttestationKey(), q.VerifySignature(), q.TD.CheckAttributes()
		if theirs, err := oracleParse(raw); err != nil || !reflect.DeepEqual(normal(q), normal(theirs)) {
			t.Fatalf("the oracle reads another quote, or none: %v", err)
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
