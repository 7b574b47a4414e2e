package ratls

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"testing"

	"golang.org/x/crypto/sha3"
)

func mrConfigID(form byte, sum [32]byte) (id [48]byte) {
	id[0] = form
	copy(id[1:], sum[:])
	return id
}

func keccak(parts ...[]byte) [32]byte {
	h := sha3.NewLegacyKeccak256()
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}

func withProvider(text string) *AppInfo {
	info := testInfo()
	info.KeyProviderInfo = Bytes(text)
	return info
}

func TestKeccakIsNotSHA3(t *testing.T) {
	const empty = "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
	if got := keccak(); hex.EncodeToString(got[:]) != empty {
		t.Errorf("Keccak-256 of nothing is %x, want %s", got, empty)
	}
}

func TestMRConfigIDThatFits(t *testing.T) {
	info := testInfo()
	document := fmt.Sprintf(`{"app_id":"%s","compose_hash":"%s","instance_id":"%s","version":3}`, info.AppID, info.ComposeHash, info.InstanceID)
	noInstance := fmt.Sprintf(`{"app_id":"%s","compose_hash":"%s"}`, info.AppID, info.ComposeHash)
	sumOf := func(document string) [32]byte {
		return sha256.Sum256([]byte("dstack-mr-config-v3:\x00" + document))
	}
	kms := withProvider(`{"name":"kms","id":"0a0b"}`)
	for _, c := range []struct {
		why      string
		id       [48]byte
		info     *AppInfo
		document string
		want     mrConfigForm
	}{
		{"unset", [48]byte{}, info, "", mrConfigUnset},
		{"compose hash", mrConfigID(1, info.ComposeHash), info, "", mrConfigCompose},
		{"keccak, kms by id", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{2}, []byte{10, 11})), kms, "", mrConfigKeccak},
		{"keccak, any kms", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{2})), kms, "", mrConfigKeccak},
		{"keccak, local", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{1}, []byte{7})), withProvider(`{"name":"local-sgx","id":"07"}`), "", mrConfigKeccak},
		{"keccak, tpm", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{3})), withProvider(`{"name":"tpm","id":""}`), "", mrConfigKeccak},
		{"keccak, none", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{0})), withProvider(""), "", mrConfigKeccak},
		{"document", mrConfigID(3, sumOf(document)), info, document, mrConfigDocument},
		{"document without instance", mrConfigID(3, sumOf(noInstance)), info, noInstance, mrConfigDocument},
		{"document not there", mrConfigID(3, sumOf(document)), info, "", mrConfigDocument},
	} {
		if got, err := checkMRConfigID(c.id, c.info, c.document); err != nil || got != c.want {
			t.Errorf("%s: form %d, %v, want %d", c.why, got, err, c.want)
		}
	}
}

func TestMRConfigIDOfAnotherAppIsRefused(t *testing.T) {
	info := testInfo()
	kms := withProvider(`{"name":"kms","id":"0a0b"}`)
	doc := func(app AppID, compose Hash, instance InstanceID) (string, [48]byte) {
		d := fmt.Sprintf(`{"app_id":"%s","compose_hash":"%s","instance_id":"%s"}`, app, compose, instance)
		return d, mrConfigID(3, sha256.Sum256([]byte("dstack-mr-config-v3:\x00"+d)))
	}
	good, goodID := doc(info.AppID, info.ComposeHash, info.InstanceID)
	app, appID := doc(otherApp, info.ComposeHash, info.InstanceID)
	compose, composeID := doc(info.AppID, Hash{9}, info.InstanceID)
	instance, instanceID := doc(info.AppID, info.ComposeHash, InstanceID{9})
	array := mrConfigID(3, sha256.Sum256([]byte("dstack-mr-config-v3:\x00[]")))
	tail := mrConfigID(1, info.ComposeHash)
	tail[47] = 1
	for _, c := range []struct {
		why      string
		id       [48]byte
		info     *AppInfo
		document string
		want     string
	}{
		{"another compose hash", mrConfigID(1, Hash{9}), info, "", "started with compose hash 09"},
		{"something behind it", tail, info, "", "bytes after the hash are not zero"},
		{"sum without a form", mrConfigID(0, info.ComposeHash), info, "", "form 0 is not known"},
		{"form 4", mrConfigID(4, info.ComposeHash), info, "", "form 4 is not known"},
		{"keccak of another app", mrConfigID(2, keccak(info.ComposeHash[:], otherApp[:], []byte{2}, []byte{10, 11})), kms, "", "key provider give"},
		{"keccak of another kind", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{1}, []byte{10, 11})), kms, "", "key provider give"},
		{"keccak of another provider", mrConfigID(2, keccak(info.ComposeHash[:], info.AppID[:], []byte{2}, []byte{10})), kms, "", "key provider give"},
		{"provider is not JSON", mrConfigID(2, [32]byte{1}), withProvider("x"), "", "key provider is not JSON"},
		{"provider is not known", mrConfigID(2, [32]byte{1}), withProvider(`{"name":"x"}`), "", `key provider "x" is not known`},
		{"provider's id is not hex", mrConfigID(2, [32]byte{1}), withProvider(`{"name":"kms","id":"x"}`), "", "id of the key provider"},
		{"document of another start", goodID, info, good + " ", "started with document"},
		{"document of another app", appID, info, app, "document: app_id"},
		{"document of another compose file", composeID, info, compose, "document: compose_hash"},
		{"document of another instance", instanceID, info, instance, "document: instance_id"},
		{"document is an array", array, info, "[]", "document: not a JSON object"},
	} {
		_, err := checkMRConfigID(c.id, c.info, c.document)
		if !errors.Is(err, ErrMRConfigID) {
			t.Errorf("%s: %v, want %v", c.why, err, ErrMRConfigID)
			continue
		}
		wantError(t, err, c.want)
	}
}
