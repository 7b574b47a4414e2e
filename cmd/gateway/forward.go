package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/duplex"
	"sallyport/wg"
)

// forwarding is one port of a user-space tunnel and where it leads.
type forwarding struct {
	port uint16
	to   string
}

// parseForwarding reads HOST:PORT, or PORT=HOST:PORT for another port in the tunnel.
func parseForwarding(s string) (f forwarding, err error) {
	port, to, both := strings.Cut(s, "=")
	if !both {
		to = s
	}
	_, toPort, err := net.SplitHostPort(to)
	if !both {
		port = toPort
	}
	if err == nil {
		_, err = parsePort(toPort)
	}
	if err == nil {
		f.port, err = parsePort(port)
	}
	if err != nil {
		return forwarding{}, fmt.Errorf("--forward %q: want HOST:PORT or TUNNELPORT=HOST:PORT", s)
	}
	f.to = to
	return f, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 {
		return 0, errors.New("want a port from 1 to 65535")
	}
	return uint16(n), nil
}

// forward serves until ctx is done. maxForwarded connections at once are plenty
// for a machine without root.
func forward(ctx context.Context, d *wg.Device, list []forwarding, log *slog.Logger) error {
	const maxForwarded = 4096
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error {
		<-ctx.Done()
		return nil
	})
	turns := make(chan struct{}, maxForwarded)
	for _, f := range list {
		l, err := d.Listen(netip.AddrPortFrom(d.Address().Addr(), f.port))
		if err != nil {
			log.Error("cannot listen in the tunnel", "port", f.port, "error", err)
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
					forwardOne(ctx, c, f.to, log)
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
		log.Warn("nobody takes a forwarded connection", "to", to, "error", err)
		duplex.Reset(c) // an end would be an empty answer
		return
	}
	duplex.Join(ctx, c, target)
}
