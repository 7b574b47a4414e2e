// Package userspace is wireguard-go as this gateway uses it: its UDP sockets (bind.go),
// its log (log.go), the TUN interface (tun.go), and the socket through which wg(8)
// shows the device (socket.go).
package userspace

import (
	"log/slog"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"
)

// NewDevice makes a WireGuard device in this process. Its owner configures it, starts
// it by Up, and closes it.
func NewDevice(t tun.Device, log *slog.Logger) *device.Device {
	return device.NewDevice(t, newBind(), newLogger(log))
}
