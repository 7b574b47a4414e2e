package guest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/duplex"
	"sallyport/internal/oneline"
)

// Forwarding is one port of a tunnel and where its connections go.
type Forwarding struct {
	Port uint16
	To   string // host:port
}

// ParseForwarding reads HOST:PORT, or PORT=HOST:PORT for another port in the tunnel.
func ParseForwarding(s string) (Forwarding, error) {
	first, to, both := strings.Cut(s, "=")
	if !both {
		to = s
	}
	_, last, err := net.SplitHostPort(to)
	if !both {
		first = last
	}
	port, err1 := parsePort(first)
	_, err2 := parsePort(last)
	if oneline.Join(err, err1, err2) != nil {
		return Forwarding{}, fmt.Errorf("%q: want HOST:PORT or TUNNELPORT=HOST:PORT", s)
	}
	return Forwarding{Port: port, To: to}, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// maxForwarded is how many connections are forwarded at once: plenty for a machine
// without root.
const maxForwarded = 4096

// Forward forwards the connections of the device's ports until ctx is done.
func Forward(ctx context.Context, d Device, list []Forwarding, log *slog.Logger) error {
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		<-ctx.Done()
		return nil
	})
	turns := make(chan struct{}, maxForwarded)
	for _, f := range list {
		l, err := d.Listen(netip.AddrPortFrom(d.Address().Addr(), f.Port))
		if err != nil {
			log.Error("cannot listen in the tunnel", "port", f.Port, "error", err)
			continue
		}
		context.AfterFunc(ctx, func() { l.Close() })
		parts.Go(func() error {
			for {
				turns <- struct{}{}
				c, err := l.Accept()
				if err != nil {
					return nil // the listener was closed, or the tunnel
				}
				parts.Go(func() error {
					defer func() { <-turns }()
					forwardOne(ctx, c, f.To, log)
					return nil
				})
			}
		})
	}
	return parts.Wait()
}

// forwardOne serves one connection of the tunnel. A panic ends it alone.
func forwardOne(ctx context.Context, c net.Conn, to string, log *slog.Logger) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("panic; a forwarded connection is ended, please report it", "to", to, "panic", fmt.Sprint(p))
			duplex.Reset(c)
		}
	}()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	target, err := dialer.DialContext(ctx, "tcp", to)
	if err != nil {
		log.Warn("cannot connect to the target of a forwarded connection", "to", to, "error", err)
		duplex.Reset(c) // an end would be an empty answer
		return
	}
	duplex.Join(ctx, c, target)
}
