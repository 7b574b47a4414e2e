package pccs

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/gwtest/tdxpki"

	"github.com/google/go-cmp/cmp"
)

// kept is a directory in which a client has kept w's documents.
func (w *world) kept(t *testing.T) (dir, file string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "collateral")
	c := w.client(t, func(o *Options) { o.Dir = dir })
	get(t, c, w.platform)
	c.Close() // the file is written before the client has closed
	return dir, filepath.Join(dir, w.platform.String()+".json")
}

func TestRestartNeedsNoServer(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	dir, _ := w.kept(t)
	w.down()
	told := w.told()
	c := w.client(t, func(o *Options) { o.Dir = dir })
	if diff := cmp.Diff(w.documents(), get(t, c, w.platform)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w.asked() != 1 || w.told() != told {
		t.Errorf("asked %d times, told %d times", w.asked()-1, w.told()-told)
	}
}

func TestFileIsOursAlone(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	dir, file := w.kept(t)
	for name, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, file: 0o600} {
		if st, err := os.Stat(name); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", name, st.Mode(), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}

// A file is looked at as if a server had sent it: who can write it cannot forge.
func TestFileThatIsNoGoodIsFetchedAgain(t *testing.T) {
	write := func(data string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	replace := func(old, by string) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			data, err := os.ReadFile(file)
			if err != nil || !strings.Contains(string(data), old) {
				t.Fatalf("%s has no %q: %v", file, old, err)
			}
			write(strings.Replace(string(data), old, by, 1))(t, file)
		}
	}
	forged := tdxpki.New(2, time.Now()).Collateral().Sign()
	for name, damage := range map[string]func(*testing.T, string){
		"empty":   write(""),
		"no JSON": write("{"),
		"cut": func(t *testing.T, file string) {
			if err := os.Truncate(file, 4096); err != nil {
				t.Fatal(err)
			}
		},
		"changed": replace(`OutOfDate`, `UpToDate`),
		"forged":  write(string(forged.File())),
		"huge": func(t *testing.T, file string) {
			if err := os.Truncate(file, 1<<40); err != nil {
				t.Fatal(err)
			}
		},
		"a FIFO": func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(file, 0o600); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(tdxpki.Dialect{})
			dir, file := w.kept(t)
			damage(t, file)
			c := w.client(t, func(o *Options) { o.Dir = dir })
			get(t, c, w.platform)
			c.Close()
			if !strings.Contains(w.log.String(), "ignoring a damaged collateral file") {
				t.Errorf("the log does not tell it: %s", w.log)
			}
			again, err := File(file, w.pki.Root.Cert())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(w.documents(), again.docs); diff != "" || w.asked() != 2 {
				t.Errorf("asked %d times (-want +got):\n%s", w.asked(), diff)
			}
		})
	}
}

func TestFileOfThePastIsFetchedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(tdxpki.Dialect{})
		dir, _ := w.kept(t)
		after(31 * 24 * time.Hour)
		w.publish()
		c := w.client(t, func(o *Options) { o.Dir = dir })
		get(t, c, w.platform)
		if s := w.log.String(); s != "" || w.asked() != 2 {
			t.Errorf("asked %d times, log: %s", w.asked(), s)
		}
	})
}

func TestDirectoryThatCannotBeWrittenIsToldAndNotNeeded(t *testing.T) {
	w := newWorld(tdxpki.Dialect{})
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := w.client(t, func(o *Options) { o.Dir = notDir })
	get(t, c, w.platform)
	c.Close()
	if !strings.Contains(w.log.String(), "cannot store collateral on disk") {
		t.Errorf("the log does not tell it: %s", w.log)
	}
}

func TestOnlyOurFilesAreListed(t *testing.T) {
	d := disk{t.TempDir()}
	old := time.Now().Add(-time.Hour)
	for _, name := range []string{
		"00906EA10000-processor.json", "90C06F000000-platform.json", "B0C06F000000-platform.json",
		"90c06f000000-platform.json", "90C06F000000-other.json", "90C06F000000-platform.json.tmp",
		"90C06F0000-platform.json", "90C06F000000.json", "x.json", "90C06F000000-platform",
	} {
		if err := os.WriteFile(filepath.Join(d.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(name, "B0") {
			if err := os.Chtimes(filepath.Join(d.dir, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	all, err := d.list()
	var got []string
	for _, p := range all {
		got = append(got, p.String())
	}
	if err != nil || len(got) != 3 || got[2] != "B0C06F000000-platform" {
		t.Errorf("%q, %v", got, err)
	}
}
