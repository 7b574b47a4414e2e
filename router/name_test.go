package router

import (
	"bytes"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/hello"
	"sallyport/internal/vm"
)

func TestNamesFollowTheGrammar(t *testing.T) {
	for _, c := range []struct {
		label, id string
		port      uint16
		mode      hello.Mode
		text      string
	}{
		{"id", "id", 80, hello.Terminate, "id"},
		{"id-", "id", 80, hello.Terminate, "id"},
		{"id-80", "id", 80, hello.Terminate, "id"},
		{"id-0080", "id", 80, hello.Terminate, "id"},
		{"id-8080", "id", 8080, hello.Terminate, "id-8080"},
		{"id-1", "id", 1, hello.Terminate, "id-1"},
		{"id-65535", "id", 65535, hello.Terminate, "id-65535"},
		{"id-443", "id", 443, hello.Terminate, "id-443"},
		{"id-s", "id", 443, hello.Passthrough, "id-s"},
		{"id-443s", "id", 443, hello.Passthrough, "id-s"},
		{"id-80s", "id", 80, hello.Passthrough, "id-80s"},
		{"id-8443s", "id", 8443, hello.Passthrough, "id-8443s"},
		{"id-g", "id", 80, hello.TerminateH2, "id-g"},
		{"id-50051g", "id", 50051, hello.TerminateH2, "id-50051g"},
		{"s", "s", 80, hello.Terminate, "s"}, // an id, no suffix
		{"8443s", "8443s", 80, hello.Terminate, "8443s"},
		{strings.Repeat("f", 63), strings.Repeat("f", 63), 80, hello.Terminate, strings.Repeat("f", 63)},
	} {
		n, err := ParseName([]byte(c.label))
		if err != nil {
			t.Errorf("%q: %v", c.label, err)
			continue
		}
		if string(n.ID) != c.id || n.Port != c.port || n.Mode != c.mode || n.String() != c.text {
			t.Errorf("%q is id %v, port %d, %v, and prints as %q", c.label, n.ID, n.Port, n.Mode, n)
		}
	}
}

func TestBadNamesAreRefused(t *testing.T) {
	for label, want := range map[string]error{
		"":                              errID,
		"-80":                           errID,
		"--80":                          errID,
		"a_b":                           errID,
		"é-80":                          errID,
		strings.Repeat("a", 64):         errID,
		"id-443sg":                      errSuffixes,
		"id-443gs":                      errSuffixes,
		"id-sg":                         errSuffixes,
		"id-S":                          errPort,
		"Id":                            errID, // names are folded before they are parsed
		"id-ss":                         errSuffixes,
		"id--80":                        errParts,
		"id-80-90":                      errParts,
		"id-80-s":                       errParts,
		"id-0":                          errPort,
		"id-0s":                         errPort,
		"id-65536":                      errPort,
		"id-70000":                      errPort,
		"id-x":                          errPort,
		"id-+80":                        errPort,
		"id-8 0":                        errPort,
		"id-s80":                        errPort,
		"id-" + strings.Repeat("9", 60): errPort,
	} {
		if n, err := ParseName([]byte(label)); !errors.Is(err, want) || n.ID != nil || n.Port != 0 || n.Mode != 0 {
			t.Errorf("%q: %v, %v, want %v", label, n, err, want)
		}
	}
}

// Each byte at each place of ids of each length, against the alphabet of package vm.
func TestEveryByteOfAnIDIsJudgedAlikeAnywhere(t *testing.T) {
	for n := 1; n <= vm.MaxLabel+1; n++ {
		for at := range n {
			for c := range 256 {
				s := bytes.Repeat([]byte("a"), n)
				s[at] = byte(c)
				_, label := vm.ParseLabel(s)
				if got := isID(s); got != (label && bytes.Equal(s, bytes.ToLower(s))) {
					t.Fatalf("isID(%q) = %v", s, got)
				}
			}
		}
	}
}

// FuzzName holds ParseName against the grammar written as a regular expression, and
// its result against its own text.
func FuzzName(f *testing.F) {
	for _, s := range []string{"id", "id-", "ID-8080", "id-s", "id-8443S", "id-g", "id-sg", "id-0", "id-65536", "id--1", "xn--a", ""} {
		f.Add([]byte(s))
	}
	grammar := regexp.MustCompile(`^([a-z0-9]{1,63})(?:-([0-9]*)([sg]?))?$`)
	f.Fuzz(func(t *testing.T, label []byte) {
		n, err := ParseName(label)
		m := grammar.FindStringSubmatch(string(label))
		good := m != nil
		if good && m[2] != "" {
			port, err := strconv.ParseUint(m[2], 10, 16)
			good = err == nil && port > 0
		}
		if good != (err == nil) {
			t.Fatalf("%q: %v, by the grammar good is %v", label, err, good)
		}
		if !good {
			if n.ID != nil || n.Port != 0 || n.Mode != 0 {
				t.Fatalf("%q: an error and %v", label, n)
			}
			return
		}
		if string(n.ID) != m[1] || suffixes[n.Mode] != m[3] {
			t.Fatalf("%q is %v, by the grammar %q", label, n, m)
		}
		if again, err := ParseName([]byte(n.String())); again.String() != n.String() || err != nil {
			t.Fatalf("%q is %v, its text %v, %v", label, n, again, err)
		}
	})
}
