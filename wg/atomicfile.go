package wg

import (
	"fmt"
	"os"
	"path/filepath"
)

// Files are written whole beside their place, synced, moved there in one step,
// and the directory synced: after a crash the old or the new content is there,
// never a part of it.

// createFile writes a file that must not exist yet (else fs.ErrExist), 0600. Its
// directory is made if missing.
func createFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// link(2) fails where rename(2) would replace: of two processes that start
	// together one wins, and the other sees it.
	return place(path, data, func(tmp string) error {
		if err := os.Link(tmp, path); err != nil {
			return err
		}
		return os.Remove(tmp)
	})
}

// replaceFile writes a file, 0600, over the one that may be there.
func replaceFile(path string, data []byte) error {
	return place(path, data, func(tmp string) error { return os.Rename(tmp, path) })
}

func place(path string, data []byte, move func(tmp string) error) error {
	tmp, err := writeTemp(path, data)
	if err != nil {
		return err
	}
	if err := move(tmp); err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeTemp(path string, data []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*") // 0600
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
