package ratls

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// An event log in its extension may be compressed: then it is the prefix and one gzip
// member, with nothing behind it.
const compressedPrefix = "ELGZv1"

// maxEventLog bounds a decompressed log, in bytes. Without a bound a certificate of 200 kB
// could demand 200 MB. dstack has the same bound.
const maxEventLog = 16 << 10

// expandEventLog returns a decompressed copy of the log.
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
