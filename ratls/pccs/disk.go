package pccs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"sallyport/ratls/qvl"
)

// disk keeps documents over a restart: one file per platform, in dcap-qvl's format.
// It is a cache: a file that cannot be used is as good as none. The documents of a
// file are looked at as if a server had sent them.
type disk struct {
	dir string // "": keeps nothing
}

func (d disk) path(p Platform) string { return filepath.Join(d.dir, p.String()+".json") }

// load reads the documents of p, and when they were fetched. Where there is no file
// it returns nothing.
func (d disk) load(p Platform) (*qvl.Collateral, time.Time, error) {
	if d.dir == "" {
		return nil, time.Time{}, nil
	}
	data, fetched, err := readFile(d.path(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, time.Time{}, nil
	}
	if err != nil {
		return nil, time.Time{}, err
	}
	c, err := qvl.ParseCollateral(data)
	if err != nil {
		return nil, time.Time{}, err
	}
	return c, fetched, nil
}

// save replaces the file of p in one step: after a crash the old one is there or
// the new one.
func (d disk) save(p Platform, c *qvl.Collateral) error {
	if d.dir == "" {
		return nil
	}
	data, err := c.MarshalJSON()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	tmp := d.path(p) + ".tmp" // one writer per platform; what a crash left is written over
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	if err := os.Rename(tmp, d.path(p)); err != nil {
		return err
	}
	return syncDir(d.dir)
}

// remove deletes the file of p.
func (d disk) remove(p Platform) error {
	if d.dir == "" {
		return nil
	}
	if err := os.Remove(d.path(p)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// list finds the platforms that have a file, the one fetched last first.
func (d disk) list() ([]Platform, error) {
	if d.dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(d.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	fetched := map[Platform]time.Time{}
	var all []Platform
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".json")
		p, valid := parsePlatform(name)
		info, err := e.Info()
		if !ok || !valid || err != nil {
			continue
		}
		fetched[p] = info.ModTime()
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b Platform) int { return fetched[b].Compare(fetched[a]) })
	return all, nil
}

// readFile reads a regular file of up to qvl.MaxCollateral bytes. A FIFO in its place must not
// hold up anybody, hence O_NONBLOCK.
func readFile(name string) ([]byte, time.Time, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !st.Mode().IsRegular() || st.Size() > qvl.MaxCollateral {
		return nil, time.Time{}, fmt.Errorf("%s: want a regular file of at most %d bytes", name, qvl.MaxCollateral)
	}
	data, err := io.ReadAll(io.LimitReader(f, qvl.MaxCollateral))
	return data, st.ModTime(), err
}

func writeSynced(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
