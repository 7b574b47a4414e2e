package ratls

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// An event log may stand compressed in its extension: the prefix, then one gzip
// member and nothing behind it.
const compressedPrefix = "ELGZv1"

// maxEventLog bounds what a compressed log grows to. Without a bound a
// certificate of 200 kB could ask for 200 MB; dstack has the same one.
const maxEventLog = 16 << 10

// expandEventLog returns the log in memory of its own. A log that is not
// compressed passes as it is.
func expandEventLog(payload []byte) ([]byte, error) {
	packed, ok := bytes.CutPrefix(payload, []byte(compressedPrefix))
	if !ok {
		return bytes.Clone(payload), nil
	}
	in := bytes.NewReader(packed) // an io.ByteReader: gzip reads no further than its member
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	z.Multistream(false)
	log, err := io.ReadAll(io.LimitReader(z, maxEventLog+1))
	switch {
	case len(log) > maxEventLog:
		return nil, fmt.Errorf("decompresses to more than %d bytes", maxEventLog)
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	case in.Len() > 0:
		return nil, errors.New("bytes after the end")
	case len(log) == 0:
		return nil, errors.New("empty")
	case bytes.HasPrefix(log, []byte(compressedPrefix)):
		return nil, errors.New("compressed twice")
	}
	return log, nil
}
