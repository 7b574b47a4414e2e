package issue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"sallyport/acme"
	"sallyport/internal/oneline"
)

// The command `gateway acme` asks a running gateway, which holds the store, and port 53 or
// 443, where a rehearsal proves control. The socket is in the store's directory, and only
// the gateway's user may connect to it.

// ControlSocket is its name in [store] path.
const ControlSocket = "acme.sock"

// control answers the command at the socket.
type control struct {
	issuer    *Issuer
	log       *slog.Logger
	listener  net.Listener
	path      string
	rehearsal sync.Mutex // one at a time
}

// openControl opens the socket in dir. It returns nil if it cannot: certificates do not
// need it.
func openControl(ctx context.Context, dir string, i *Issuer, log *slog.Logger) *control {
	c := &control{issuer: i, log: log, path: filepath.Join(dir, ControlSocket)}
	err := c.listen(ctx, dir)
	if err != nil {
		log.Warn("cannot open the socket for the command gateway acme", "socket", c.path, "error", err)
		return nil
	}
	return c
}

// listen makes the socket in a directory that no other user may enter and moves it to its
// place: at no time can another user connect. It replaces the socket of a gateway that was
// killed. No other gateway runs, since this one holds the store.
func (c *control) listen(ctx context.Context, dir string) error {
	private, err := os.MkdirTemp(dir, ".s") // a socket's path has 107 bytes at most
	if err != nil {
		return err
	}
	defer os.RemoveAll(private)
	made := filepath.Join(private, ControlSocket)
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", made)
	if err != nil {
		return err
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := oneline.Join(os.Chmod(made, 0o600), os.Rename(made, c.path)); err != nil {
		return oneline.Join(err, l.Close())
	}
	c.listener = l
	return nil
}

// serve answers until ctx is done. Its failure does not stop the gateway.
func (c *control) serve(ctx context.Context) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /rehearse", c.rehearse)
	mux.HandleFunc("GET /accounts", c.accounts)
	srv := &http.Server{
		Handler: mux, ReadTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(c.listener)
	_ = os.Remove(c.path) // the next gateway replaces it anyway
	if !errors.Is(err, http.ErrServerClosed) {
		c.log.Warn("the socket for the command gateway acme has failed", "socket", c.path, "error", err)
	}
}

// Rehearsal is the result of one name's rehearsal, in the form in which the socket sends it.
type Rehearsal struct {
	Name      string  `json:"name"`
	Directory string  `json:"directory"`
	Seconds   float64 `json:"seconds"`
	Error     string  `json:"error,omitempty"`
}

func (c *control) rehearse(w http.ResponseWriter, r *http.Request) {
	if !c.rehearsal.TryLock() {
		http.Error(w, "a rehearsal is under way: wait for its end", http.StatusConflict)
		return
	}
	defer c.rehearsal.Unlock()
	list, err := c.issuer.manager.Rehearse(r.Context())
	c.answer(w, rehearsals(list), err)
}

func (c *control) accounts(w http.ResponseWriter, r *http.Request) {
	list, err := c.issuer.manager.Accounts(r.Context())
	c.answer(w, list, err)
}

func (c *control) answer(w http.ResponseWriter, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(v) // to somebody who may have left
}

func rehearsals(list []acme.Rehearsal) []Rehearsal {
	out := make([]Rehearsal, 0, len(list))
	for _, r := range list {
		t := Rehearsal{Name: r.Name, Directory: r.Directory, Seconds: r.Took.Seconds()}
		if r.Err != nil {
			t.Error = r.Err.Error()
		}
		out = append(out, t)
	}
	return out
}

// errNotRunning is returned where no gateway answers at the socket.
var errNotRunning = errors.New("no gateway runs with this [store] path")

// maxControl bounds an answer: 1,024 domains with two names and errors of 2 kB.
const maxControl = 8 << 20

// askGateway asks the gateway that holds the store in dir.
func askGateway(ctx context.Context, dir, method, path string, v any) error {
	socket := filepath.Join(dir, ControlSocket)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, (&url.URL{Scheme: "http", Host: "gateway", Path: path}).String(), http.NoBody)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, os.ErrPermission):
		return errNotRunning
	case err != nil:
		return fmt.Errorf("ask the gateway at %s: %w", socket, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxControl))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(string(body))
	}
	if err == nil {
		err = json.Unmarshal(body, v)
	}
	if err != nil {
		return fmt.Errorf("the running gateway: %w", err)
	}
	return nil
}
