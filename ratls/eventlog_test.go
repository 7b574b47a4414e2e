package ratls

import (
	"bytes"
	"compress/gzip"
	"testing"
)

func compressed(t testing.TB, log []byte) []byte {
	t.Helper()
	b := bytes.NewBufferString(compressedPrefix)
	z := gzip.NewWriter(b)
	if _, err := z.Write(log); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEventLogIsReadInBothForms(t *testing.T) {
	largest := bytes.Repeat([]byte("x"), maxEventLog)
	for _, log := range [][]byte{[]byte(`[{"imr":3}]`), largest} {
		for _, payload := range [][]byte{log, compressed(t, log)} {
			e, err := ParseExtensions(extensions(arcEventLog, payload))
			if err != nil || !bytes.Equal(e.EventLog, log) {
				t.Errorf("log of %d bytes in %d: read %d bytes, %v", len(log), len(payload), len(e.EventLog), err)
			}
		}
	}
}

func TestBadCompressedEventLogIsRefused(t *testing.T) {
	good := compressed(t, []byte(`[{"imr":3}]`))
	wrongSum := bytes.Clone(good)
	wrongSum[len(wrongSum)-5] ^= 1
	for _, c := range []struct {
		why     string
		payload []byte
		want    string
	}{
		{"prefix alone", []byte(compressedPrefix), "decompress: EOF"},
		{"not gzip", []byte(compressedPrefix + "[{}]......"), "decompress: gzip: invalid header"},
		{"wrong checksum", wrongSum, "decompress: gzip: invalid checksum"},
		{"truncated", good[:len(good)-1], "decompress: unexpected EOF"},
		{"trailing byte", append(bytes.Clone(good), 0), "bytes after the end"},
		{"second member", append(bytes.Clone(good), good[len(compressedPrefix):]...), "bytes after the end"},
		{"nothing in it", compressed(t, nil), "empty"},
		{"twice", compressed(t, good), "compressed twice"},
		{"a byte too long", compressed(t, make([]byte, maxEventLog+1)), "decompresses to more than 16384 bytes"},
	} {
		t.Run(c.why, func(t *testing.T) {
			e, err := ParseExtensions(extensions(arcEventLog, c.payload))
			if e.EventLog != nil {
				t.Errorf("read %q", e.EventLog)
			}
			wantError(t, err, "event log: "+c.want)
		})
	}
}
