// Package secretfile reads files that hold a secret. It refuses those that others may
// read or write: what others may read is no secret, and what others may write is theirs.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// maxSize bounds a file, in bytes.
const maxSize = 4096

// Read returns the content without the space around it. The error says what to do; the
// file's name is for the caller to tell.
func Read(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO in its place must not hang the start
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("is not a regular file")
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return "", fmt.Errorf("is open to others (mode %04o): run chmod 600 on it", perm)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err == nil && len(b) > maxSize {
		err = fmt.Errorf("is larger than %d bytes: want the secret and nothing else", maxSize)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}
