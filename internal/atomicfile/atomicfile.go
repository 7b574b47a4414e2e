// Package atomicfile writes files whole: after a crash a file has its old content or
// its new content, never a part of one.
//
// The content is written to a temporary file in the same directory, synced, and moved
// to its place in one step; then the directory is synced. A crash in between can leave
// a temporary file NAME.tmp-* behind, which nothing reads.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes the file name, over the one that may exist.
func Replace(name string, data []byte, mode fs.FileMode) error {
	return write(name, data, mode, os.Rename)
}

// Create writes the file name, which must not exist: else the error wraps fs.ErrExist.
// Of two processes that create the same file, one wins.
func Create(name string, data []byte, mode fs.FileMode) error {
	return write(name, data, mode, os.Link) // link(2) fails where rename(2) would replace
}

// SyncDir makes new and removed names of a directory durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func write(name string, data []byte, mode fs.FileMode, place func(from, to string) error) error {
	tmp, err := writeTemp(name, data, mode)
	if err != nil {
		return err
	}
	err = place(tmp, name)
	// After a rename there is nothing to remove.
	if removed := os.Remove(tmp); err == nil && !errors.Is(removed, fs.ErrNotExist) {
		err = removed
	}
	if err != nil {
		return err
	}
	return SyncDir(filepath.Dir(name))
}

// writeTemp writes data to a new file beside name, and returns its name.
func writeTemp(name string, data []byte, mode fs.FileMode) (tmp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".tmp-*") // 0600
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		failed.Path = name // nobody knows the other name
	}
	if err != nil {
		return "", err
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(data); err != nil {
		return "", err
	}
	if err := f.Chmod(mode); err != nil {
		return "", err
	}
	return f.Name(), f.Sync()
}
