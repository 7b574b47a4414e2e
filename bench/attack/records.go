package attack

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
)

// A sealer writes the records of TLS 1.3 with TLS_AES_128_GCM_SHA256 in one direction,
// KeyUpdates among them, which crypto/tls answers and never sends.
type sealer struct {
	secret []byte // application_traffic_secret_N
	aead   cipher.AEAD
	iv     [nonceSize]byte
	seq    uint64
}

// Sizes of TLS_AES_128_GCM_SHA256, and the types of RFC 8446, 5.1 and 4.
const (
	keySize    = 16
	nonceSize  = 12
	headerSize = 5

	handshakeRecord byte = 22
	dataRecord      byte = 23
	keyUpdateType   byte = 24
	updateRequested byte = 1
)

func newSealer(secret []byte) (*sealer, error) {
	s := &sealer{secret: secret}
	return s, s.rekey()
}

// rekey takes the keys from the secret (RFC 8446, 7.3).
func (s *sealer) rekey() error {
	key, err := expandLabel(s.secret, "key", keySize)
	if err != nil {
		return err
	}
	iv, err := expandLabel(s.secret, "iv", nonceSize)
	if err != nil {
		return err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	s.iv, s.seq = [nonceSize]byte(iv), 0
	s.aead, err = cipher.NewGCM(block)
	return err
}

// data appends a record of application data to b.
func (s *sealer) data(b, content []byte) []byte { return s.seal(b, dataRecord, content) }

// keyUpdate appends a record with a KeyUpdate that asks for one in return, and goes on with
// the next keys (RFC 8446, 4.6.3 and 7.2).
func (s *sealer) keyUpdate(b []byte) ([]byte, error) {
	b = s.seal(b, handshakeRecord, []byte{keyUpdateType, 0, 0, 1, updateRequested})
	var err error
	if s.secret, err = expandLabel(s.secret, "traffic upd", sha256.Size); err != nil {
		return b, err
	}
	return b, s.rekey()
}

// seal appends a protected record (RFC 8446, 5.2).
func (s *sealer) seal(b []byte, kind byte, content []byte) []byte {
	size := len(content) + 1 + s.aead.Overhead()
	header := [headerSize]byte{dataRecord, 3, 3, byte(size >> 8), byte(size)}
	nonce := s.iv
	mask := binary.BigEndian.Uint64(nonce[nonceSize-8:]) ^ s.seq
	binary.BigEndian.PutUint64(nonce[nonceSize-8:], mask)
	s.seq++
	b = append(b, header[:]...)
	start := len(b)
	b = append(append(b, content...), kind)
	return s.aead.Seal(b[:start], nonce[:], b[start:], header[:])
}

// expandLabel is HKDF-Expand-Label with an empty context (RFC 8446, 7.1).
func expandLabel(secret []byte, label string, size int) ([]byte, error) {
	label = "tls13 " + label
	info := append([]byte{byte(size >> 8), byte(size), byte(len(label))}, label...)
	return hkdf.Expand(sha256.New, secret, string(append(info, 0)), size)
}
