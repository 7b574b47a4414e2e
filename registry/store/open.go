package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sallyport/internal/oneline"

	"sallyport/internal/atomicfile"
)

// FileName is the name of the gateway's store in [store] path.
const FileName = "registry.db"

// lockTimeout is how long an earlier gateway that is just stopping may keep the file.
const lockTimeout = time.Second

// OpenBolt opens the store at path, or makes one that only its owner can read. It reads and
// checks the whole file. A damaged file stays as it is, and the error says what to
// do: guests register again within three minutes, so a gateway can start with an
// empty store, but the operator must decide that.
//
// The caller must call Close.
func OpenBolt(path string) (*Bolt, error) {
	b, err := openBolt(path)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("store %s: another process holds it: only one gateway can use a store; stop the other one, or set another [store] path for this one", path)
	case isDamaged(err), errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("store %s is damaged: %w; the file was not changed. Restore it from a backup, or move it aside and start with an empty one: "+
			"mv %s %s.damaged (guests register again within minutes and may get other addresses; port policies set by operators are lost)", path, err, path, path)
	default:
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
}

func openBolt(path string) (*Bolt, error) {
	if err := prepare(path); err != nil {
		return nil, err
	}
	var held *os.File // closed here if bbolt panics
	opts := boltOptions()
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		f, err = os.OpenFile(name, flag&^os.O_CREATE, mode)
		held = f
		return f, err
	}
	// Ages are measured by the monotonic clock from here: steps of the clock do not matter.
	start := time.Now()
	b := &Bolt{
		path:    path,
		now:     func() time.Time { return start.Add(time.Since(start)) },
		commits: make(chan *pending),
		closing: make(chan struct{}),
	}
	err := guard(func() (err error) {
		b.db, err = bolt.Open(path, 0o600, opts)
		return err
	})
	if err != nil {
		if isDamaged(err) && held != nil {
			_ = held.Close()
		}
		return nil, err
	}
	if err := b.verify(); err != nil {
		return nil, oneline.Join(err, b.db.Close())
	}
	b.close = sync.OnceValue(func() error {
		close(b.closing)
		b.written.Wait()
		return b.db.Close()
	})
	b.written.Go(b.write)
	return b, nil
}

// verify reads the whole file, deletes the pairs that have expired, and begins the history.
func (b *Bolt) verify() error {
	var expired []string
	err := guard(func() error {
		return b.db.View(func(tx *bolt.Tx) error {
			if info, err := os.Stat(b.path); err != nil || info.Size() < tx.Size() {
				return oneline.Join(err, damaged("it is shorter than %d bytes, its size when it was written", tx.Size()))
			}
			f, err := newFile(tx, b.now())
			if err != nil {
				return err
			}
			b.history.start(f.state.revision)
			expired, err = f.verify()
			return err
		})
	})
	if err != nil || len(expired) == 0 {
		return err
	}
	return b.update(func(f *file) error {
		for _, key := range expired {
			if err := f.change(Change{Key: key}); err != nil {
				return err
			}
		}
		return nil
	})
}

// smallestFile is what bbolt begins with: two meta pages, a free list and a leaf, of
// 4 KiB or more each.
const smallestFile = 4 * 4096

// prepare makes the file if there is none, complete or not at all: a file of 0 bytes
// is not a new store, but one that was lost.
func prepare(path string) error {
	if err := checkDir(filepath.Dir(path)); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return create(path)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others may write to it (mode %04o) and redirect the traffic of apps: run chmod 600 on it", info.Mode().Perm())
	case owner(info) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d, but the gateway runs as user %d: its owner could redirect the traffic of apps; run chown on it", owner(info), os.Geteuid())
	case info.Size() < smallestFile:
		// bbolt's own error for this can only be recognized by its text.
		return damaged("it has only %d bytes", info.Size())
	}
	return nil
}

// checkDir returns why other users could replace the files of a directory.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("others may write to its directory %s (mode %04o) and replace it: run chmod 700 on it", dir, perm)
	}
	if of := owner(info); of != os.Geteuid() && of != 0 {
		return fmt.Errorf("its directory %s belongs to user %d, but the gateway runs as user %d: run chown on it", dir, of, os.Geteuid())
	}
	return nil
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

func create(path string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // it may be gone
	defer tmp.Close()
	db, err := bolt.Open(tmp.Name(), 0o600, boltOptions())
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bolt.Tx) error {
		_, err1 := tx.CreateBucketIfNotExists(pairsBucket())
		states, err2 := tx.CreateBucketIfNotExists(stateBucket())
		if err := oneline.Join(err1, err2); err != nil {
			return err
		}
		f := file{states: states}
		return f.saveState()
	})
	if err := oneline.Join(err, db.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err // if it exists, another gateway has made it
	}
	return atomicfile.SyncDir(filepath.Dir(path))
}

func boltOptions() *bolt.Options {
	return &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true}
}
