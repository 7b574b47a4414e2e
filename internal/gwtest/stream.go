package gwtest

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"io"
)

// Sum is the SHA-256 of a stream and its length.
type Sum struct {
	N    int64
	Hash [sha256.Size]byte
}

func (s Sum) String() string { return fmt.Sprintf("%d bytes, sha256 %x…", s.N, s.Hash[:6]) }

// Stream is n bytes that look random and are the same for the same seed: AES in
// counter mode, so that neither a repeated, a lost nor a swapped block goes
// unseen. It costs less than moving the bytes does.
func Stream(seed byte, n int64) io.Reader {
	block, err := aes.NewCipher([]byte{15: seed})
	if err != nil {
		panic(err) // the key's length is fixed
	}
	return io.LimitReader(cipher.StreamReader{S: cipher.NewCTR(block, make([]byte, aes.BlockSize)), R: zeros{}}, n)
}

// Digest reads r to its end.
func Digest(r io.Reader) (Sum, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return Sum{n, [sha256.Size]byte(h.Sum(nil))}, err
}

// StreamSum is the Sum of Stream(seed, n).
func StreamSum(seed byte, n int64) Sum {
	s, _ := Digest(Stream(seed, n)) // it cannot fail
	return s
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
