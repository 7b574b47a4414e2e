package ratls

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/sha3"
)

// mr_config_id is a value of 48 bytes that the host gives a TD at its start and the quote
// repeats. dstack's host writes a byte for the form, and behind it
//
//	00  nothing: 48 zeros
//	01  compose_hash
//	02  Keccak-256(compose_hash ‖ app_id ‖ kind of key provider ‖ id of key provider)
//	03  SHA-256("dstack-mr-config-v3:" ‖ 00 ‖ document), the document being JSON
//
// and zeros to the end. It proves nothing alone: the host chooses it. But a CVM that was
// started as one app and measured another is refused.

// ErrMRConfigID refuses a CVM whose event log differs from what the host started it as.
var ErrMRConfigID = errors.New("mr_config_id does not match the event log")

// An mrConfigForm is the way in which the host bound the app to the TD. It determines what
// was compared with the event log.
type mrConfigForm byte

const (
	mrConfigUnset    mrConfigForm = 0 // nothing
	mrConfigCompose  mrConfigForm = 1 // the compose hash
	mrConfigKeccak   mrConfigForm = 2 // compose hash, app id, and key provider as in keyProviders
	mrConfigDocument mrConfigForm = 3 // compose hash, app id, instance id if it has one; nothing where the document is not there
)

const mrConfigDomain = "dstack-mr-config-v3:\x00"

// checkMRConfigID compares id with what the log proves. document is from the config. A
// guest that embeds no config has none, and then form 3 cannot be checked.
func checkMRConfigID(id [48]byte, info *AppInfo, document string) (mrConfigForm, error) {
	form, sum := mrConfigForm(id[0]), Hash(id[1:33])
	switch {
	case id == [48]byte{}:
		return mrConfigUnset, nil
	case [15]byte(id[33:]) != [15]byte{}:
		return 0, fmt.Errorf("%w: bytes after the hash are not zero", ErrMRConfigID)
	}
	var err error
	switch form {
	case mrConfigCompose:
		if sum != info.ComposeHash {
			err = fmt.Errorf("started with compose hash %s, but measured %s", sum, info.ComposeHash)
		}
	case mrConfigKeccak:
		err = checkMRConfigKeccak(sum, info)
	case mrConfigDocument:
		if document != "" {
			err = checkMRConfigDocument(sum, info, document)
		}
	default:
		err = fmt.Errorf("form %d is not known", form)
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMRConfigID, err)
	}
	return form, nil
}

// keyProviders are the numbers of form 2.
var keyProviders = map[string]byte{"none": 0, "local-sgx": 1, "kms": 2, "tpm": 3}

// checkMRConfigKeccak tries the id of the key provider that issued the keys, and none: an
// app need not name one. All else is fixed, so that each hash that passes was made for this
// compose file and this app.
func checkMRConfigKeccak(sum Hash, info *AppInfo) error {
	var provider struct{ Name, ID string }
	kind, id := keyProviders["none"], []byte(nil)
	if len(info.KeyProviderInfo) > 0 {
		if err := json.Unmarshal(info.KeyProviderInfo, &provider); err != nil {
			return fmt.Errorf("key provider is not JSON: %w", err)
		}
		var known bool
		if kind, known = keyProviders[provider.Name]; !known {
			return fmt.Errorf("key provider %q is not known", provider.Name)
		}
		var err error
		if id, err = hex.DecodeString(provider.ID); err != nil {
			return fmt.Errorf("id of the key provider: %w", err)
		}
	}
	named := mrConfigKeccakOf(info, kind, id)
	if sum != named && sum != mrConfigKeccakOf(info, kind, nil) {
		return fmt.Errorf("started with %s, but app, compose file and key provider give %s", sum, named)
	}
	return nil
}

func mrConfigKeccakOf(info *AppInfo, kind byte, id []byte) Hash {
	h := sha3.NewLegacyKeccak256()
	h.Write(slices.Concat(info.ComposeHash[:], info.AppID[:], []byte{kind}, id))
	return Hash(h.Sum(nil))
}

// checkMRConfigDocument checks that the host started the CVM with this document, and that
// it is about this app and instance.
func checkMRConfigDocument(sum Hash, info *AppInfo, document string) error {
	if got := Hash(sha256.Sum256([]byte(mrConfigDomain + document))); got != sum {
		return fmt.Errorf("started with document %s, but the config has %s", sum, got)
	}
	m, err := members(document, "compose_hash", "app_id", "instance_id")
	if err != nil {
		return fmt.Errorf("document: %w", err)
	}
	for _, want := range []struct{ name, value string }{
		{"compose_hash", info.ComposeHash.String()},
		{"app_id", info.AppID.String()},
		{"instance_id", info.InstanceID.String()},
	} {
		got, said := m[want.name]
		if got != want.value && (said || want.name != "instance_id") { // the guest may have made that one itself
			return fmt.Errorf("document: %s %q, measured %q", want.name, got, want.value)
		}
	}
	return nil
}
