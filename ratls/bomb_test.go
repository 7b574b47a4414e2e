package ratls

import (
	"crypto/x509/pkix"
	"strings"
	"testing"
)

// A stranger's certificate must not cost more than it has bytes. Each of these
// claims gigabytes.
func TestClaimedSizesTakeNoMemory(t *testing.T) {
	good, err := testInfo().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	head := good[:1+22+34+22+4*34] // up to os_image_hash
	for _, c := range []struct {
		why  string
		arc  int
		tail string // of an app info
		raw  string // or a whole extension value
	}{
		{why: "DER length of 4 GiB", arc: arcQuote, raw: "\x04\x84\xff\xff\xff\xff\x00"},
		{why: "DER length of 2^64", arc: arcAttestation, raw: "\x04\x88\xff\xff\xff\xff\xff\xff\xff\xff\x00"},
		{why: "DER nested a thousand deep", arc: arcQuote, raw: strings.Repeat("\x24\x80", 1000)},
		{why: "array of 2^32", arc: arcAppInfo, tail: "\xdd\xff\xff\xff\xff"},
		{why: "map of 2^32", arc: arcAppInfo, tail: "\xdf\xff\xff\xff\xff"},
		{why: "arrays a thousand deep", arc: arcAppInfo, tail: strings.Repeat("\x91", 1000)},
		{why: "name of 2^32 bytes", arc: arcAppInfo, tail: "\x89\xdb\xff\xff\xff\xff"},
		{why: "field of 2^32 bytes", arc: arcAppInfo, tail: string(head) + "\xc6\xff\xff\xff\xff"},
		{why: "field of 2^32 integers", arc: arcAppInfo, tail: string(head) + "\xdd\xff\xff\xff\xff"},
		{why: "2^32 init scripts", arc: arcAppInfo, tail: string(good[:len(good)-1-2*34]) + "\xdd\xff\xff\xff\xff"},
	} {
		value := []byte(c.raw)
		if c.tail != "" {
			value = octetString([]byte(c.tail))
		}
		list := []pkix.Extension{{Id: oid(c.arc), Value: value}}
		var parseErr error
		used := allocated(func() { _, parseErr = ParseExtensions(list) })
		if parseErr == nil {
			t.Errorf("%s: accepted", c.why)
		}
		if limit := uint64(64*len(value) + 1024); used > limit {
			t.Errorf("%s: %d bytes allocated for an input of %d, want at most %d", c.why, used, len(value), limit)
		}
	}
}

// 4 kB that unpack to 4 MB are given up after 16 KiB.
func TestCompressionBombIsCutShort(t *testing.T) {
	bomb := extensions(arcEventLog, compressed(t, make([]byte, 4<<20)))
	var err error
	used := allocated(func() { _, err = ParseExtensions(bomb) })
	wantError(t, err, "event log: decompresses to more than 16384 bytes")
	const limit = 160 << 10 // gzip's own state is 40 KiB, io.ReadAll grows by a quarter
	if used > limit {
		t.Errorf("%d bytes allocated, want at most %d", used, limit)
	}
}
