package tdx

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"

	"github.com/google/go-tdx-guest/testing/testdata"
)

// memoryLimit is how much heap an input may cost altogether: 64 times itself, and
// what a Quote (1.3 kB) and an error take if it is short.
func memoryLimit(input int) uint64 { return uint64(64*input + 4096) }

// allocated is how many bytes of heap a call of f takes.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 2 { // the runtime itself allocates now and then, and is counted too
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// A stranger's quote must not cost more than it has bytes: whole, cut anywhere, or
// with lengths that promise gigabytes.
func TestMemoryIsBoundedByInput(t *testing.T) {
	root := realRoot(t)
	at := parse(t, testdata.RawQuoteV5).validFrom(t)
	verifyAllOf := func(raw []byte) {
		if q, err := Parse(raw); err == nil {
			_ = verifyAll(q, root, at)
		}
	}
	verifyAllOf(testdata.RawQuoteV5) // what is made once
	try := func(name string, raw []byte) {
		if used := allocated(func() { verifyAllOf(raw) }); used > memoryLimit(len(raw)) {
			t.Errorf("%s: %d bytes allocated for an input of %d, want at most %d", name, used, len(raw), memoryLimit(len(raw)))
		}
	}
	for n := range len(testdata.RawQuoteV5) + 1 {
		try(fmt.Sprintf("cut at %d", n), testdata.RawQuoteV5[:n])
	}
	for _, at := range lengthsOf(testdata.RawQuoteV5) {
		raw := bytes.Clone(testdata.RawQuoteV5)
		copy(raw[at:], "\xff\xff\xff\xff")
		try(fmt.Sprintf("length at %d", at), raw)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 2000 {
		try("mutated", mutate(rng, testdata.RawQuoteV5))
	}
}

// Certificates that unfold to as many objects as they can: the leaf of a quote is
// parsed before anybody has signed it.
func TestMemoryOfHostileCertificatesIsBounded(t *testing.T) {
	const n = 1500
	for name, change := range map[string]func(*x509.Certificate){
		"key usages": func(c *x509.Certificate) {
			for range n {
				c.UnknownExtKeyUsage = append(c.UnknownExtKeyUsage, asn1.ObjectIdentifier{1, 2, 3})
			}
		},
		"policies": func(c *x509.Certificate) {
			for i := range n {
				id, err := x509.OIDFromInts([]uint64{1, 2, uint64(i)})
				if err != nil {
					t.Fatal(err)
				}
				c.Policies = append(c.Policies, id)
			}
		},
		"names": func(c *x509.Certificate) {
			for range n {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "x"})
			}
		},
		"addresses": func(c *x509.Certificate) {
			for range n {
				c.IPAddresses = append(c.IPAddresses, net.IPv4(1, 2, 3, 4))
			}
		},
		"extensions": func(c *x509.Certificate) {
			for i := range n {
				c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, i}})
			}
		},
	} {
		w := newWorld(t, func(c *certs) { change(&c.leaf) })
		raw := w.build(t, w.draft(4, 0))
		if len(raw) > MaxQuote {
			t.Fatalf("%s: %d bytes", name, len(raw))
		}
		used := allocated(func() {
			if err := verifyAll(parse(t, raw), w.root.cert, testTime); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
		t.Logf("%s: %d bytes allocated for an input of %d", name, used, len(raw))
		if used > memoryLimit(len(raw)) {
			t.Errorf("%s: want at most %d", name, memoryLimit(len(raw)))
		}
	}
}
