package attester

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-configfs-tsm/configfs/configfsi"

	"sallyport/internal/dstackagent"
	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/attestation"
)

var reportData = [64]byte{1, 2, 3, 63: 64}

func quoteOf(pki *tdxpki.PKI, reportData []byte) []byte {
	q := pki.Quote()
	copy(q.TD.ReportData[:], reportData)
	return q.Build()
}

// agent answers GetQuote on a Unix socket until the test ends. change may be nil.
func agent(t *testing.T, change func(*attestation.QuoteAnswer)) (socket string) {
	t.Helper()
	pki := tdxpki.New(1, time.Now())
	socket = filepath.Join(t.TempDir(), "dstack.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ReportData dstackagent.Hex `json:"report_data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.RequestURI != "/GetQuote?json" {
			t.Errorf("%s: %v", r.RequestURI, err)
		}
		q := attestation.QuoteAnswer{
			Quote:      quoteOf(pki, in.ReportData),
			EventLog:   `[{"imr":0,"event_type":1,"digest":"` + strings.Repeat("ab", 48) + `"},{"imr":3,"event_type":134217729,"event":"app-id","event_payload":"00ff"}]`,
			ReportData: [64]byte(in.ReportData),
			VMConfig:   `{"cpu_count":2}`,
		}
		if change != nil {
			change(&q)
		}
		_ = json.NewEncoder(w).Encode(q) // to somebody who may have left
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		srv.Close()
		<-ended
	})
	return socket
}

// linux does in a directory what the kernel does in its own.
type linux struct {
	root     string
	provider string
	quote    func(reportData []byte) []byte
	busy     int  // reads of a quote that find the buffer busy
	meddle   bool // somebody else writes before the quote is read

	mu      sync.Mutex
	working int // reports there are at a time
	most    int
}

func newLinux(t *testing.T) *linux {
	pki := tdxpki.New(1, time.Now())
	return &linux{
		root: t.TempDir(), provider: "tdx_guest\n",
		quote: func(reportData []byte) []byte { return quoteOf(pki, reportData) },
	}
}

// kernel is the source that l is for.
func (l *linux) kernel() kernel {
	k := newKernel(l.root)
	k.open = func(ctx context.Context, root string) configfsi.Client {
		return linuxFiles{files{ctx, root, l.read}, l}
	}
	return k
}

type linuxFiles struct {
	files
	l *linux
}

func (f linuxFiles) MkdirTemp(dir, pattern string) (string, error) {
	name, err := f.files.MkdirTemp(dir, pattern)
	if err != nil {
		return "", err
	}
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.working++
	f.l.most = max(f.l.most, f.l.working)
	for file, content := range map[string]string{"inblob": "", "outblob": "", "generation": "0\n", "provider": f.l.provider} {
		if err := f.put(name, file, []byte(content)); err != nil {
			return "", err
		}
	}
	return name, nil
}

func (f linuxFiles) put(dir, file string, content []byte) error {
	return os.WriteFile(filepath.Join(f.real(dir), file), content, 0o600)
}

// WriteFile has the host make a quote.
func (f linuxFiles) WriteFile(name string, contents []byte) error {
	if err := f.files.WriteFile(name, contents); err != nil {
		return err
	}
	generation := 1
	if f.l.meddle {
		generation++
	}
	if err := f.put(path.Dir(name), "generation", []byte(strconv.Itoa(generation)+"\n")); err != nil {
		return err
	}
	return f.put(path.Dir(name), "outblob", f.l.quote(contents))
}

// read finds the buffer for quotes busy at first.
func (l *linux) read(name string) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy > 0 && filepath.Base(name) == "outblob" {
		l.busy--
		return nil, syscall.EBUSY
	}
	return readFile(name)
}

// RemoveAll removes a directory with the kernel's files in it, as rmdir(2) does there.
func (f linuxFiles) RemoveAll(name string) error {
	f.l.mu.Lock()
	defer f.l.mu.Unlock()
	f.l.working--
	return os.RemoveAll(f.real(name))
}
