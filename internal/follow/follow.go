// Package follow reads files that other programs replace while this process runs, and
// decides when what it read may be believed.
//
// A file that is put into its place by renaming is complete at once. But editors and
// scripts write in place, and a certificate and its key are two files, replaced one
// after the other. A reader can come in between. There are two ways to know that what
// was read is complete, and the caller chooses by what the files hold:
//
//   - The content proves itself, as a certificate that matches its key does. The caller
//     keeps what it has until a reading passes its checks.
//   - The files have settled: none was written in the second before it was read, and none
//     changed meanwhile. Content that means something else when it is cut off, such as a
//     list of what is allowed, needs that: see [Reading] and [ReadSettled].
//
// Readings are compared by content. The modification time, the size and the inode do not
// show a file that is rewritten in place within the granularity of its clock.
//
// The package starts no goroutine. Callers read again at their own intervals, and use a
// [Problem] to report each failure once.
package follow

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"sallyport/internal/oneline"
	"sallyport/internal/regularfile"
)

const (
	// rest is how long before the reading a settled file was written. A writer that
	// pauses for longer is not noticed.
	rest = time.Second
	// settleTime is how long ReadSettled waits for files to settle.
	settleTime = 5 * time.Second
)

// ErrUnsettled reports files that are being written.
var ErrUnsettled = errors.New("is being written and may be incomplete: put a complete file in its place by renaming it")

// A Reading is what some files held at one time.
type Reading struct {
	Files   []File // in the order of the names
	Sum     Sum
	Settled bool // none of the files was being written
}

// A File is one file of a Reading.
type File struct {
	Data []byte
	Mode fs.FileMode
}

// A Sum stands for the content of some files. It is comparable. The zero Sum is that of
// no Reading.
type Sum [sha256.Size]byte

// SumOf returns the Sum of a Reading of files with that content.
func SumOf(contents ...[]byte) Sum {
	all := sha256.New()
	for _, c := range contents {
		one := sha256.Sum256(c)
		all.Write(one[:])
	}
	return Sum(all.Sum(nil))
}

// Read reads regular files of up to limit bytes each. It neither waits for a writer nor
// judges the content. The error has the problems of all files.
func Read(limit int64, names ...string) (Reading, error) {
	r := Reading{Files: make([]File, len(names)), Settled: true}
	contents, infos, errs := make([][]byte, len(names)), make([]fs.FileInfo, len(names)), make([]error, len(names))
	for i, name := range names {
		if contents[i], infos[i], errs[i] = regularfile.Read(name, limit); errs[i] == nil {
			r.Files[i] = File{contents[i], infos[i].Mode()}
		}
	}
	if err := oneline.Join(errs...); err != nil {
		return Reading{}, err
	}
	for i, name := range names { // after all were read
		after, err := os.Stat(name)
		r.Settled = r.Settled && err == nil && same(infos[i], after) && rested(after, time.Now())
	}
	r.Sum = SumOf(contents...)
	return r, nil
}

// same reports whether a file was neither written nor replaced between a and b.
func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// rested reports whether a file was last written long enough ago. One that was written in
// the future was written by another clock, and is believed.
func rested(info fs.FileInfo, now time.Time) bool {
	age := now.Sub(info.ModTime())
	return age < 0 || age >= rest
}

// ReadSettled is Read for a caller that has nothing older to keep: it waits until the
// files have settled. If they have not after 5 s, the error wraps ErrUnsettled.
func ReadSettled(limit int64, names ...string) (Reading, error) {
	tick := time.NewTicker(rest / 10)
	defer tick.Stop()
	for began := time.Now(); ; <-tick.C {
		r, err := Read(limit, names...)
		switch {
		case err != nil || r.Settled:
			return r, err
		case time.Since(began) > settleTime:
			return Reading{}, fmt.Errorf("%s: %w", strings.Join(names, ", "), ErrUnsettled)
		}
	}
}

// A Problem is what was last reported of files that are read again and again. The zero
// Problem is none. It may not be used concurrently.
type Problem struct{ text string }

// IsNew notes how a reading went, and reports whether that is to be reported: err is not
// nil and says something else than the one before. After a nil error everything is new.
func (p *Problem) IsNew(err error) bool {
	was := p.text
	p.text = ""
	if err != nil {
		p.text = err.Error()
	}
	return err != nil && p.text != was
}
