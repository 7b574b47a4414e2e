package pccs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sallyport/internal/atomicfile"
	"sallyport/internal/regularfile"
	"sallyport/ratls/qvl"
)

// disk stores documents for a restart: one file for each platform, in dcap-qvl's format. It is
// a cache: a file that cannot be used counts as missing. The documents of a file are verified
// like those of a server.
type disk struct {
	dir string // "": keeps nothing
}

func (d disk) path(p Platform) string { return filepath.Join(d.dir, p.String()+".json") }

// load returns the documents of p and the time when they were fetched, zero values if there
// is no file.
func (d disk) load(p Platform) (*qvl.Collateral, time.Time, error) {
	if d.dir == "" {
		return nil, time.Time{}, nil
	}
	data, info, err := regularfile.Read(d.path(p), qvl.MaxCollateral)
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
	return c, info.ModTime(), nil
}

// save replaces the file of p.
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
	return atomicfile.Replace(d.path(p), data, 0o600)
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

// list returns the platforms that have a file, the last fetched first.
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
