package appraise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/config"
	"sallyport/internal/follow"
	"sallyport/internal/gwtest"
	"sallyport/ratls"
)

// followed is a policy with an allow file, in a bubble of time.
type followed struct {
	t    *testing.T
	file string
	log  gwtest.Buffer
	*policies

	mu   sync.Mutex
	used int // how often a policy was put into force
	last *ratls.Policy
}

// following runs f while the policy of a file with this text is followed.
func following(t *testing.T, text string, f func(t *testing.T, w *followed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &followed{t: t, file: filepath.Join(t.TempDir(), "allow.toml")}
		w.write(text)
		section := config.Attestation{AllowFile: w.file}
		w.policies = newPolicies(section, slog.New(slog.NewTextHandler(&w.log, nil)))
		var err error
		if w.inForce, w.seen, err = firstPolicy(section); err != nil {
			t.Fatal(err)
		}
		w.last = w.inForce
		w.use = func(p *ratls.Policy, _ string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.last, w.used = p, w.used+1
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			w.follow(ctx)
			close(done)
		}()
		f(t, w)
		cancel()
		<-done
	})
}

// write makes the file anew, written now.
func (w *followed) write(text string) {
	w.t.Helper()
	if err := os.WriteFile(w.file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chtimes(w.file, time.Now(), time.Now()); err != nil {
		w.t.Fatal(err)
	}
}

// betweenLooks is less than a file takes to settle, and no multiple of it is the moment of a look: a
// write is two calls, and a look between them would see the time of the real clock.
const betweenLooks = time.Second/2 - 7*time.Millisecond

// pass lets so many looks pass.
func (w *followed) pass(looks int) {
	<-time.After(time.Duration(looks)*lookAgain + time.Millisecond)
	synctest.Wait()
}

// want checks how often another policy was put into force, and which app it allows.
func (w *followed) want(used int, app byte) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.used != used || len(w.last.Apps) != 1 || w.last.Apps[0][0] != app {
		w.t.Errorf("used %d times, apps %v; want %d, %x", w.used, w.last.Apps, used, app)
	}
}

func (w *followed) errors() int { return strings.Count(w.log.String(), "level=ERROR") }

const (
	appsA = "apps = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]\n"
	appsB = "apps = [\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]\n"
)

func TestChangedAllowFileIsPutIntoForce(t *testing.T) {
	following(t, appsA, func(_ *testing.T, w *followed) {
		w.pass(3)
		w.want(0, 0xaa)
		w.write(appsB)
		w.pass(3)
		w.want(1, 0xbb)
		w.write(appsB + "# a remark has nobody judged again\n")
		w.pass(3)
		w.want(1, 0xbb)
	})
}

func TestAllowFileThatIsBeingWrittenIsLeftAlone(t *testing.T) {
	following(t, appsA, func(_ *testing.T, w *followed) {
		for range 10 { // somebody who writes and writes
			<-time.After(betweenLooks)
			w.write(appsB)
		}
		synctest.Wait()
		w.want(0, 0xaa)
		w.pass(2)
		w.want(1, 0xbb)
	})
}

// A start that comes while the file is being written waits until it is whole: what is there
// before allows more.
func TestStartWaitsForAWholeAllowFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &followed{t: t, file: filepath.Join(t.TempDir(), "allow.toml")}
		whole := appsA + fmt.Sprintf("[[measurement]]\nmrtd = \"%x\"\n", make([]byte, 48))
		w.write(appsA)
		go func() {
			<-time.After(betweenLooks)
			w.write(whole)
		}()
		p, _, err := firstPolicy(config.Attestation{AllowFile: w.file})
		if err != nil || len(p.Measurements) != 1 {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// One that is written again and again is never whole: that stops the start.
func TestAllowFileThatIsNeverWholeStopsTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &followed{t: t, file: filepath.Join(t.TempDir(), "allow.toml")}
		w.write(appsA)
		ctx, cancel := context.WithCancel(t.Context())
		var writer sync.WaitGroup
		writer.Go(func() {
			for ctx.Err() == nil {
				<-time.After(betweenLooks)
				w.write(appsA)
			}
		})
		p, _, err := firstPolicy(config.Attestation{AllowFile: w.file})
		if p != nil || !errors.Is(err, follow.ErrUnsettled) {
			t.Errorf("%+v, %v", p, err)
		}
		cancel()
		writer.Wait()
	})
}

// A reload that comes meanwhile leaves the policy before in force until the file is whole.
func TestReloadWaitsForAWholeAllowFile(t *testing.T) {
	following(t, appsA, func(t *testing.T, w *followed) {
		w.write(appsB)
		w.reload(config.Attestation{AllowFile: w.file})
		synctest.Wait()
		w.want(0, 0xaa)
		w.pass(2)
		if w.want(1, 0xbb); w.errors() != 0 {
			t.Errorf("%d errors", w.errors())
		}
	})
}

func TestUnusableAllowFileLeavesThePolicyInForceAndIsToldOnce(t *testing.T) {
	for says, breakIt := range map[string]func(w *followed){
		":1:9: apps: ":          func(w *followed) { w.write("apps = [\"x\"]\n") },
		": lists nothing":       func(w *followed) { w.write("") },
		"no such file":          func(w *followed) { _ = os.Remove(w.file) },
		": want a regular file": func(w *followed) { _ = os.Remove(w.file); _ = syscall.Mkfifo(w.file, 0o700) },
	} {
		t.Run(strings.Trim(says, " :"), func(t *testing.T) {
			following(t, appsA, func(t *testing.T, w *followed) {
				breakIt(w)
				w.pass(5)
				w.want(0, 0xaa)
				if w.errors() != 1 || !strings.Contains(w.log.String(), says) {
					t.Errorf("want one error with %q:\n%s", says, w.log.String())
				}
				_ = os.Remove(w.file)
				w.write(appsB)
				w.pass(2)
				w.want(1, 0xbb)
			})
		})
	}
}

// After a reload its allow file is followed, even if that could not be used then.
func TestReloadedAllowFileIsFollowed(t *testing.T) {
	following(t, appsA, func(t *testing.T, w *followed) {
		w.file = filepath.Join(t.TempDir(), "other.toml")
		w.reload(config.Attestation{AllowFile: w.file})
		w.pass(3)
		if w.want(0, 0xaa); w.errors() != 1 {
			t.Errorf("%d errors", w.errors())
		}
		w.write(appsB)
		w.pass(2)
		w.want(1, 0xbb)
	})
}
