package attack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/bench/backend"
	"sallyport/bench/load"
)

// errEnded is how a connection ends of which the target had enough.
var errEnded = errors.New("the target ended the connection")

// attack does to the target what the form says. It returns when the connection has done
// that, or when the target has ended it or ctx is over.
func (r *run) attack(ctx context.Context, c net.Conn, n int) (done bool, err error) {
	switch r.opts.Form {
	case KeyUpdate, TinyRecords:
		return false, r.stream(ctx, c)
	case SlowHello:
		return false, r.spell(ctx, c)
	case Silent:
		return false, ended(c)
	case Hold:
		return false, r.hold(ctx, c)
	case Refused:
		return r.refuse(c, n) == nil, nil
	case Linger:
		return false, r.linger(ctx, c, n)
	default:
		err := r.churn(c)
		return err == nil, err
	}
}

// Sizes of a stream: unless it bursts, what is due in pieceTime is written at once, so that
// many small records do not cost the attacker as many calls.
const (
	pieceTime = 20 * time.Millisecond
	maxPiece  = 64 << 10
	// rowUpdates is one less than the records without data in a row that crypto/tls takes
	// (maxUselessRecords), and half of OpenSSL's (MAX_KEY_UPDATE_MESSAGES).
	rowUpdates = 15
)

// share is a connection's part of the bytes.
func (r *run) share() pace {
	return pace{rate: r.opts.BulkRate / float64(r.opts.Connections), saved: 2 * pieceTime}
}

// stream writes records that crypto/tls would not write. What the target answers is read
// and dropped: a peer that does not read stops only itself.
func (r *run) stream(ctx context.Context, c net.Conn) error {
	out, err := shake(ctx, c, r.opts.ServerName)
	if err != nil {
		return err
	}
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer c.Close()
	hearing.Go(func() { _ = ended(c) }) // the next write fails too
	clock := r.share()
	size := r.opts.Burst
	if size == 0 {
		size = max(min(int(clock.rate*pieceTime.Seconds()), maxPiece), 1)
	}
	piece := out.data(nil, backend.Command{Mode: backend.Upload}.Append(nil))
	for err == nil {
		if err = r.write(c, piece); err != nil {
			break
		}
		if piece, err = r.records(out, piece[:0], size); err == nil && !clock.wait(ctx, len(piece)) {
			err = ctx.Err()
		}
	}
	return err
}

// records appends the form's records to b until it has size bytes.
func (r *run) records(out *sealer, b []byte, size int) ([]byte, error) {
	for len(b) < size {
		for range rowUpdates {
			if r.opts.Form != KeyUpdate {
				break
			}
			var err error
			if b, err = out.keyUpdate(b); err != nil {
				return b, err
			}
		}
		b = out.data(b, []byte{0})
	}
	return b, nil
}

// spell sends the hello byte by byte, except the last one.
func (r *run) spell(ctx context.Context, c net.Conn) error {
	clock := r.share()
	for i := range len(r.hello) - 1 {
		if !clock.wait(ctx, 1) {
			return ctx.Err()
		}
		if err := r.write(c, r.hello[i:i+1]); err != nil {
			return err
		}
	}
	return ended(c)
}

func (r *run) hold(ctx context.Context, c net.Conn) error {
	if r.opts.TLS {
		if _, err := shake(ctx, c, r.opts.ServerName); err != nil {
			return err
		}
	} else if err := r.write(c, r.hello); err != nil {
		return err
	}
	return ended(c)
}

// refuse asks for what is not there and waits for the end, by FIN or reset.
func (r *run) refuse(c net.Conn, n int) error {
	if err := r.write(c, r.refused[n%len(r.refused)]); err != nil {
		return err
	}
	if err := ended(c); !errors.Is(err, errEnded) {
		return err
	}
	return nil
}

// talk is the time between two bytes of a client that was refused and stays.
const talk = 100 * time.Millisecond

func (r *run) linger(ctx context.Context, c net.Conn, n int) error {
	if err := r.refuse(c, n); err != nil {
		return err
	}
	for clock := (pace{rate: 1 / talk.Seconds()}); clock.wait(ctx, 1); {
		if err := r.write(c, []byte{0}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// requestSize is what churn sends and has echoed.
const requestSize = 64

func (r *run) churn(c net.Conn) error {
	request := make([]byte, requestSize)
	request[0] = byte(backend.Echo)
	if err := r.write(c, slices.Concat(r.hello, request)); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, request); err != nil {
		return fmt.Errorf("await an echo: %w", err)
	}
	return nil
}

func (r *run) write(c net.Conn, p []byte) error {
	n, err := c.Write(p)
	r.counters.bytes.Add(uint64(n))
	return err
}

// ended reads until the target ends the connection, and drops what comes.
func ended(c net.Conn) error {
	_, err := io.Copy(io.Discard, c)
	if errors.Is(err, net.ErrClosed) {
		return err
	}
	return errEnded
}

// refusals are the first words of clients that are refused: hellos for an app that nobody
// has, for a name of another domain and for a port where nobody listens, and plain HTTP.
func refusals(serverName string) ([][]byte, error) {
	label, domain, ok := strings.Cut(serverName, ".")
	if !ok {
		return nil, fmt.Errorf("server name %q: want one below a domain", serverName)
	}
	if i := strings.LastIndexByte(label, '-'); i > 0 {
		label = label[:i]
	}
	plain := "GET / HTTP/1.1\r\nHost: " + serverName + "\r\n\r\n"
	all := [][]byte{[]byte(plain)}
	for _, name := range []string{"unknown-443s." + domain, "www.example.com", label + "-1s." + domain} {
		hello, err := load.Hello(name)
		if err != nil {
			return nil, err
		}
		all = append(all, hello)
	}
	return all, nil
}
