package follow

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// write makes the file name anew, as written at now of a bubble of time.
func write(t *testing.T, name, content string) {
	t.Helper()
	err := os.WriteFile(name, []byte(content), 0o600)
	if err := errors.Join(err, os.Chtimes(name, time.Now(), time.Now())); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, names ...string) Reading {
	t.Helper()
	r, err := Read(1000, names...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReadingHasContentAndModes(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	write(t, a, "first")
	write(t, b, "second")
	if err := os.Chmod(b, 0o640); err != nil {
		t.Fatal(err)
	}
	r := read(t, a, b)
	if string(r.Files[0].Data) != "first" || string(r.Files[1].Data) != "second" || r.Files[0].Mode != 0o600 || r.Files[1].Mode != 0o640 {
		t.Errorf("%+v", r)
	}
	if r.Sum != SumOf([]byte("first"), []byte("second")) || r.Sum == SumOf([]byte("firsts"), []byte("econd")) || r.Sum == (Sum{}) {
		t.Errorf("sum %x", r.Sum)
	}
	if r := read(t); r.Files == nil || r.Sum == (Sum{}) || !r.Settled {
		t.Errorf("no files: %+v", r)
	}
}

func TestContentDecidesWhetherFilesAreTheSame(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	write(t, name, "one")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	was := read(t, name)
	// The same size, the same inode, the same time.
	if err := errors.Join(os.WriteFile(name, []byte("two"), 0o600), os.Chtimes(name, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
	if r := read(t, name); r.Sum == was.Sum {
		t.Error("other content has the same sum")
	}
	// Another file with the same content, put in its place.
	write(t, name+".new", "one")
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	if r := read(t, name); r.Sum != was.Sum {
		t.Error("the same content has another sum")
	}
}

func TestFileSettlesASecondAfterItWasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
		write(t, a, "x")
		<-time.After(rest)
		write(t, b, "x")
		for _, step := range []struct {
			wait    time.Duration
			settled bool
		}{{0, false}, {rest - time.Nanosecond, false}, {time.Nanosecond, true}, {time.Hour, true}} {
			<-time.After(step.wait)
			if r := read(t, a, b); r.Settled != step.settled || string(r.Files[1].Data) != "x" {
				t.Errorf("after %v more: settled %v", step.wait, r.Settled)
			}
		}
		if err := os.Chtimes(a, time.Time{}, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if r := read(t, a, b); !r.Settled {
			t.Error("a file of another clock never settles")
		}
	})
}

func TestFilesThatCannotBeReadAreRefusedByName(t *testing.T) {
	dir := t.TempDir()
	fifo, large, none := filepath.Join(dir, "fifo"), filepath.Join(dir, "large"), filepath.Join(dir, "none")
	write(t, large, strings.Repeat("x", 1001))
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func(int64, ...string) (Reading, error){Read, ReadSettled} {
		r, err := read(1000, fifo, large, none)
		for _, name := range []string{fifo, large, none} {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want %s in it", err, name)
			}
		}
		if r.Files != nil || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v, %v", r, err)
		}
	}
}

func TestReadSettledWaitsForTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		write(t, name, "half")
		time.AfterFunc(rest/2+7*time.Millisecond, func() { write(t, name, "whole") }) // between two looks
		began := time.Now()
		r, err := ReadSettled(1000, name)
		if err != nil || string(r.Files[0].Data) != "whole" || !r.Settled {
			t.Errorf("%+v, %v", r, err)
		}
		if waited := time.Since(began); waited > 2*rest {
			t.Errorf("waited %v", waited)
		}
	})
}

func TestReadSettledGivesUpOnAFileThatIsAlwaysWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		write(t, name, "0")
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				case <-time.After(rest/2 + 7*time.Millisecond):
					write(t, name, "again")
				}
			}
		}()
		began := time.Now()
		r, err := ReadSettled(1000, name)
		if r.Files != nil || !errors.Is(err, ErrUnsettled) || !strings.Contains(err.Error(), name) {
			t.Errorf("%+v, %v", r, err)
		}
		if waited := time.Since(began); waited < settleTime || waited > settleTime+rest {
			t.Errorf("waited %v", waited)
		}
		close(stop)
		<-stopped
	})
}

func TestProblemIsNewOnceUntilItIsSolvedOrChanges(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	var p Problem
	for i, step := range []struct {
		err error
		new bool
	}{{nil, false}, {a, true}, {a, false}, {errors.New("a"), false}, {b, true}, {a, true}, {nil, false}, {a, true}, {nil, false}} {
		if got := p.IsNew(step.err); got != step.new {
			t.Errorf("step %d, %v: %v", i, step.err, got)
		}
	}
}
