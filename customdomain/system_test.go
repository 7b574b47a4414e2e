package customdomain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSystemResolversAreThoseOfTheFile(t *testing.T) {
	for _, tc := range []struct{ file, want, err string }{
		{file: "# comment\nsearch a.example\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions ndots:5\n", want: "192.0.2.1:53 [2001:db8::1]:53"},
		{file: "nameserver fe80::1%eth0", want: "[fe80::1%eth0]:53"},
		{file: strings.Repeat("nameserver 192.0.2.1\n", 9), want: "192.0.2.1:53 192.0.2.1:53 192.0.2.1:53"},
		{file: "search a.example\n", err: "names no nameserver"},
		{file: "nameserver dns.example\n", err: "nameserver: "},
	} {
		file := filepath.Join(t.TempDir(), "resolv.conf")
		if err := os.WriteFile(file, []byte(tc.file), 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := SystemResolvers(file)
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%q: %q, %v", tc.file, got, err)
		}
	}
	if _, err := SystemResolvers(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
