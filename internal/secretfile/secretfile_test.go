package secretfile

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSecretIsReadFromAClosedFile(t *testing.T) {
	for _, test := range []struct {
		name, content string
		mode          os.FileMode
		want, failure string
	}{
		{"good", "secret\n", 0o600, "secret", ""},
		{"for its owner to read", "secret", 0o400, "secret", ""},
		{"open to its group", "secret", 0o640, "", "is open to others (mode 0640): run chmod 600 on it"},
		{"open for writing", "secret", 0o602, "", "is open to others (mode 0602)"},
		{"as large as may be", strings.Repeat("a", maxSize), 0o600, strings.Repeat("a", maxSize), ""},
		{"too large", strings.Repeat("a", maxSize+1), 0o600, "", "want the secret and nothing else"},
	} {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, test.mode); err != nil {
			t.Fatal(err)
		}
		got, err := Read(file)
		if got != test.want || (err == nil) != (test.failure == "") || err != nil && !strings.Contains(err.Error(), test.failure) {
			t.Errorf("%s: %.20q, %v, want %q", test.name, got, err, test.failure)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

func TestFIFOInPlaceOfASecretDoesNotHang(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || err.Error() != file+": want a regular file" {
		t.Error(err)
	}
}
