// Package regularfile reads regular files: whole, bounded, and without waiting.
//
// A path from an operator may name anything. The open of a FIFO waits for a writer,
// and the content of a device may never end. Both are refused by name here, so that
// no start and no reload hangs. Symbolic links are followed, because that is how
// certbot and Kubernetes replace files.
//
// The package does not read the files of procfs: they are regular, but the kernel
// makes their content, and nobody can put a FIFO in their place.
package regularfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var (
	// ErrNotRegular reports anything but a regular file.
	ErrNotRegular = errors.New("want a regular file")
	// ErrTooLarge reports a file that has more bytes than the caller allows.
	ErrTooLarge = errors.New("file is too large")
)

// Open opens the regular file name for reading. The FileInfo is that of the open file.
// For anything else the error names it and wraps ErrNotRegular.
func Open(name string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // without O_NONBLOCK a FIFO waits for a writer
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, ErrNotRegular)
	}
	if err != nil {
		_ = f.Close() // nothing was written
		return nil, nil, err
	}
	return f, info, nil
}

// Read returns the content of the regular file name, and its FileInfo from before the
// reading. If the file has more than limit bytes, the error wraps ErrTooLarge, there is
// no content, and the FileInfo is returned.
func Read(name string, limit int64) ([]byte, fs.FileInfo, error) {
	f, info, err := Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1)) // whatever its size was a moment ago
	if err != nil {
		return nil, nil, err
	}
	if int64(len(data)) > limit {
		return nil, info, fmt.Errorf("%s: %w: want at most %d bytes", name, ErrTooLarge, limit)
	}
	return data, info, nil
}
