package backend

import (
	"encoding/binary"
	"time"
)

// CommandSize is the size of an encoded Command.
const CommandSize = 16

// A Mode is what a connection is for. It is the connection's first byte; every
// byte that is not a mode means echo, and is echoed.
type Mode byte

// The modes.
const (
	// Echo sends back what comes, the first byte included. It has no Command.
	Echo Mode = 'E'
	// Reply waits for Request bytes, the command included, sends Size bytes and closes.
	Reply Mode = 'R'
	// Download sends zeros without end.
	Download Mode = 'D'
	// Upload reads without end.
	Upload Mode = 'U'
	// Trickle sends messages of Size bytes, one each Interval. Its first 8 bytes are
	// when it was due, in ns since 1970 (big endian): where both ends have the same
	// clock, the receiver knows how late it is.
	Trickle Mode = 'T'
)

// Bounds of a Command; what exceeds them is cut to them.
const (
	MaxSize     = 64 << 10
	MinInterval = time.Millisecond
	MaxInterval = time.Minute
)

// TrickleHeader is the smallest message of a trickle.
const TrickleHeader = 8

// A Command is what a client sends first, unless it wants an echo.
type Command struct {
	Mode     Mode
	Request  int           // bytes, of Reply
	Size     int           // bytes, of Reply and Trickle
	Interval time.Duration // of Trickle
}

// Append appends the encoded command to b.
func (c Command) Append(b []byte) []byte {
	b = append(b, byte(c.Mode), 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(c.Request))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Size))
	return binary.BigEndian.AppendUint32(b, uint32(c.Interval/time.Microsecond))
}

// parseCommand decodes a command; b has CommandSize bytes. Every value is cut to
// its bounds, so there is no command that is invalid.
func parseCommand(b []byte) Command {
	field := func(i int) int { return int(binary.BigEndian.Uint32(b[i:])) }
	c := Command{Mode: Mode(b[0]), Request: field(4), Size: field(8), Interval: time.Duration(field(12)) * time.Microsecond}
	c.Request = min(max(c.Request, CommandSize), MaxSize)
	c.Size = min(c.Size, MaxSize)
	c.Interval = min(max(c.Interval, MinInterval), MaxInterval)
	if c.Mode == Trickle {
		c.Size = max(c.Size, TrickleHeader)
	}
	return c
}

// hasCommand reports whether a connection that begins with this byte has one.
func hasCommand(first byte) bool {
	switch Mode(first) {
	case Reply, Download, Upload, Trickle:
		return true
	default:
		return false
	}
}
