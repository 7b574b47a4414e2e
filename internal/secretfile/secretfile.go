// Package secretfile reads files that hold a secret. It refuses files that others may read
// or write: the first are not secret any more, and the second may come from anybody.
package secretfile

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"sallyport/internal/regularfile"
)

// maxSize bounds a file, in bytes.
const maxSize = 4096

// Read returns the content without the space around it. The error names the file and
// says what to do.
func Read(name string) (string, error) {
	secret, info, err := regularfile.Read(name, maxSize)
	if info != nil {
		if open := CheckMode(info.Mode()); open != nil {
			return "", fmt.Errorf("%s %w", name, open)
		}
	}
	if errors.Is(err, regularfile.ErrTooLarge) {
		return "", fmt.Errorf("%s is larger than %d bytes: want the secret and nothing else", name, maxSize)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(secret)), nil
}

// CheckMode returns an error if a file of this mode cannot hold a secret. Its text is a
// predicate, which the caller puts behind the name of the file.
func CheckMode(mode fs.FileMode) error {
	if perm := mode.Perm(); perm&0o077 != 0 {
		return fmt.Errorf("is open to others (mode %04o): run chmod 600 on it, and replace its secret if others may have read it", perm)
	}
	return nil
}
