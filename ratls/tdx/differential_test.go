package tdx

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-tdx-guest/pcs"
)

// stricter are the rules by which we refuse what go-tdx-guest parses.
var stricter = []string{
	"QE vendor id: is", // it does not look
	"PCK certificates", // it parses them later, by encoding/pem, which passes over what is between
}

// Mutated quotes: where both parsers accept, they read the same; where one
// refuses, it is we, by a rule that is listed.
func TestParserAgreesWithOracle(t *testing.T) {
	seeds := parserSeeds()
	rng := rand.New(rand.NewPCG(1, 2))
	const rounds = 10_000
	var both, neither, panics int
	refused := map[string]int{}
	for i := range rounds {
		raw := mutate(rng, seeds[rng.IntN(len(seeds))])
		ours, err := Parse(raw)
		theirs, oracleErr := oracleParse(raw)
		if oracleErr != nil && strings.HasPrefix(oracleErr.Error(), "panic") {
			panics++
		}
		switch {
		case err == nil && oracleErr == nil:
			both++
			if !reflect.DeepEqual(normal(ours), normal(theirs)) {
				t.Fatalf("round %d: %+v\nwant %+v", i, ours, theirs)
			}
		case err == nil:
			t.Fatalf("round %d: accepted, and refused by the oracle: %v", i, oracleErr)
		case oracleErr == nil:
			rule := slices.IndexFunc(stricter, func(rule string) bool { return strings.Contains(err.Error(), rule) })
			if rule < 0 {
				t.Fatalf("round %d: accepted by the oracle, and refused: %v", i, err)
			}
			refused[stricter[rule]]++
		default:
			neither++
		}
	}
	t.Logf("%d quotes: %d accepted by both, %d refused by both (%d panics of the oracle), refused by us alone: %v",
		rounds, both, neither, panics, refused)
	if both < rounds/10 || neither < rounds/10 || len(refused) != len(stricter) {
		t.Error("the mutations are one-sided: a comparison that saw too little")
	}
}

// normal makes an empty list and a missing one equal.
func normal(q *Quote) *Quote {
	c := *q
	if len(c.qeAuth) == 0 {
		c.qeAuth = nil
	}
	return &c
}

// parserSeeds are one quote of each form. The one of version 5 and TDX 1.0 is
// cut out of one of TDX 1.5, so that its signature is wrong.
func parserSeeds() [][]byte {
	real4, real5 := bundledQuotes()[0].raw, bundledQuotes()[1].raw
	tdx10 := slices.Delete(bytes.Clone(real5), 54+584, 54+648)
	tdx10[48] = 2
	copy(tdx10[50:], le(uint32(584)))
	return [][]byte{real4, real5, tdx10}
}

// mutate changes a few things in a quote, and more often where its structure is
// than in its 3.6 kB of certificates.
func mutate(rng *rand.Rand, seed []byte) []byte {
	raw := bytes.Clone(seed)
	place := func() int {
		if rng.IntN(8) > 0 {
			return rng.IntN(min(1400, len(raw)))
		}
		return rng.IntN(len(raw))
	}
	for range 1 + rng.IntN(3) {
		if len(raw) < 8 {
			return raw
		}
		at := place()
		switch rng.IntN(8) {
		case 0: // a length, anywhere it could be
			near := uint32(len(raw)-at) - uint32(rng.IntN(16))
			copy(raw[at:], le(near))
		case 1: // a length that is there, a little off
			lengths := lengthsOf(raw)
			at = lengths[rng.IntN(len(lengths))]
			raw[min(at, len(raw)-1)] += byte(rng.IntN(5) - 2)
		case 2:
			raw = raw[:at]
		case 3:
			raw = append(raw, raw[:rng.IntN(100)%len(raw)]...)
		case 4:
			raw = slices.Insert(raw, at, make([]byte, rng.IntN(4))...)
		default:
			raw[at] ^= byte(1 + rng.IntN(255))
		}
	}
	return raw
}

// lengthsOf says where the lengths and types of a quote are, if it is one.
func lengthsOf(raw []byte) []int {
	end := 48 + 584
	if len(raw) > 48 && raw[0] == 5 {
		end = 54 + 584
		if raw[48] == 3 {
			end += 64
		}
	}
	data := end + 4
	return []int{0, 2, 4, 48, 50, end, end + 1, data + 128, data + 130, data + 131, data + 134 + 448, data + 134 + 450 + 32, data + 134 + 450 + 34}
}

// Signatures: a bit changed anywhere is refused by both, or by neither.
func TestVerifierAgreesWithOracle(t *testing.T) {
	root := realRoot(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range bundledQuotes() {
		at := parse(t, c.raw).validFrom(t)
		if err := oracleVerify(c.raw, root, at); err != nil {
			t.Fatalf("%s: oracle: %v", c.name, err)
		}
		agreed := map[bool]int{}
		for range 300 {
			raw := bytes.Clone(c.raw)
			i := rng.IntN(len(raw))
			raw[i] ^= 1 << rng.IntN(8)
			var err error
			if q, parseErr := Parse(raw); parseErr != nil {
				err = parseErr
			} else {
				err = verifyAll(q, root, at)
			}
			oracleErr := oracleVerify(raw, root, at)
			if (err == nil) != (oracleErr == nil) {
				t.Errorf("%s: byte %d is %#x: error %v, oracle's %v", c.name, i, raw[i], err, oracleErr)
			}
			agreed[err == nil]++
		}
		t.Logf("%s: %d accepted, %d refused", c.name, agreed[true], agreed[false])
	}
}

func TestSGXExtensionAgreesWithOracle(t *testing.T) {
	for _, c := range realQuotes(t) {
		chain, err := parse(t, c.raw).PCKCertificates()
		if err != nil {
			t.Fatal(err)
		}
		want, err := pcs.PckCertificateExtensions(chain.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePCK(chain.Leaf)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.asOracle(); !reflect.DeepEqual(got, *want) {
			t.Errorf("%s: %+v\nwant %+v", c.name, got, *want)
		}
	}
}
