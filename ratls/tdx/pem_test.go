package tdx

import (
	"bytes"
	"encoding/pem"
	"testing"
)

// The three certificates of a good chain, and what some quotes put between and
// behind them.
func TestChainOfThreeIsRead(t *testing.T) {
	w := newWorld(t, nil)
	text := bytes.TrimRight(w.pem(), "\x00")
	for name, form := range map[string][]byte{
		"as Intel writes it":         text,
		"with a NUL behind":          append(bytes.Clone(text), 0),
		"with NULs behind":           append(bytes.Clone(text), "\x00\x00\n"...),
		"without a last end of line": bytes.TrimRight(text, "\n"),
	} {
		chain, err := decodeChain(form)
		if err != nil || len(chain) != 3 || !bytes.Equal(chain[2], w.root.cert.Raw) {
			t.Errorf("%s: %d certificates, %v", name, len(chain), err)
		}
	}
}

func TestOtherThanThreeCertificatesIsRefused(t *testing.T) {
	w := newWorld(t, nil)
	leaf, ca, root := w.leaf.cert, w.ca.cert, w.root.cert
	good := pemOf(leaf, ca, root)
	block := func(b pem.Block) []byte { return pem.EncodeToMemory(&b) }
	for _, c := range []struct {
		name string
		text []byte
		want string
	}{
		{"nothing", nil, "0, want 3"},
		{"NULs alone", make([]byte, 100), "0, want 3"},
		{"leaf alone", pemOf(leaf), "1, want 3"},
		{"no intermediate", pemOf(leaf, root), "2, want 3"},
		{"four", pemOf(leaf, ca, root, root), "more than 3"},
		{"text in front", append([]byte("x"), good...), "certificate 1 is not PEM"},
		{"text between", bytes.Replace(good, []byte("-----\n-----"), []byte("-----\ntext\n-----"), 1), "certificate 2 is not PEM"},
		{"text behind", append(bytes.TrimRight(good, "\x00"), "text"...), "more than 3"},
		{"a key", join(block(pem.Block{Type: "PRIVATE KEY", Bytes: leaf.Raw}), good), "certificate 1 is not PEM"},
		{"a header", join(block(pem.Block{Type: "CERTIFICATE", Headers: map[string]string{"a": "b"}, Bytes: leaf.Raw}), good), "certificate 1 is not PEM"},
		{"no end of line after the first", bytes.Replace(good, []byte("-----\n"), []byte("-----"), 1), "certificate 1 is not PEM"},
		{"no end of line before the last", bytes.Replace(good, []byte("\n-----END"), []byte("-----END"), 1), "certificate 1 is not PEM"},
		{"no end of line between", bytes.Replace(good, []byte("-----\n-----"), []byte("----------"), 1), "certificate 1 is not PEM"},
		{"a second end of line between", bytes.Replace(good, []byte("-----\n-----"), []byte("-----\n\n-----"), 1), "certificate 2 is not PEM"},
		{"ends of line of Windows", bytes.ReplaceAll(good, []byte("\n"), []byte("\r\n")), "certificate 1 is not PEM"},
		{"begin alone", []byte("-----BEGIN CERTIFICATE-----\n"), "certificate 1 is not PEM"},
		{"bits behind the last byte", []byte("-----BEGIN CERTIFICATE-----\nAB==\n-----END CERTIFICATE-----\n"), "certificate 1 is not PEM"},
	} {
		chain, err := decodeChain(c.text)
		if chain != nil {
			t.Errorf("%s: accepted", c.name)
		}
		wantError(t, err, c.want)
	}
}
