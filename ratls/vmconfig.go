package ratls

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// A vmConfig is the statement of a host about the virtual machine that it started. No
// measurement covers it: a value counts only if something measured agrees.
type vmConfig struct {
	OSImageHash Hash
	// MRConfig is the document behind form 3 of mr_config_id, byte for byte.
	MRConfig string
}

// maxVMConfig bounds the text; real ones have about 1 kB.
const maxVMConfig = 64 << 10

// parseVMConfig reads the config of an attestation. It is a JSON object: that of the CVM,
// or that of its host, which has the former as text in its member vm_config. The empty text
// is an empty config: old guests send none. Unknown members are ignored.
func parseVMConfig(text string) (vmConfig, error) {
	c, err := readVMConfig(text)
	if err != nil {
		return vmConfig{}, fmt.Errorf("vm config: %w", err)
	}
	return c, nil
}

func readVMConfig(text string) (vmConfig, error) {
	switch {
	case text == "":
		return vmConfig{}, nil
	case len(text) > maxVMConfig:
		return vmConfig{}, fmt.Errorf("%d bytes, want at most %d", len(text), maxVMConfig)
	}
	m, err := members(text, "vm_config", "os_image_hash", "mr_config")
	if err != nil {
		return vmConfig{}, err
	}
	if inner, ok := m["vm_config"]; ok {
		if len(m) > 1 { // which of the two would count?
			return vmConfig{}, errors.New("vm_config beside the values it should contain")
		}
		if m, err = members(inner, "os_image_hash", "mr_config"); err != nil {
			return vmConfig{}, fmt.Errorf("vm_config: %w", err)
		}
	}
	c := vmConfig{MRConfig: m["mr_config"]}
	if s := m["os_image_hash"]; s != "" {
		if err := parseHex(c.OSImageHash[:], s); err != nil {
			return vmConfig{}, fmt.Errorf("os_image_hash: %w", err)
		}
	}
	return c, nil
}

// members returns the members of a JSON object that have exactly one of the names
// (encoding/json would ignore the case). They must be strings or null, which counts as
// missing, and must not appear twice.
func members(text string, names ...string) (map[string]string, error) {
	d := json.NewDecoder(strings.NewReader(text))
	if first, err := d.Token(); err != nil {
		return nil, jsonError(err)
	} else if first != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	wanted := make(map[string]string, len(names))
	seen := make(map[string]bool, len(names))
	var value json.RawMessage
	for d.More() {
		name, err := d.Token()
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, jsonError(err)
		}
		key, _ := name.(string)
		if !slices.Contains(names, key) {
			continue
		}
		if seen[key] {
			return nil, fmt.Errorf("%s: appears twice", key)
		}
		seen[key] = true
		var s *string
		if err := json.Unmarshal(value, &s); err != nil {
			return nil, fmt.Errorf("%s: not a string", key)
		}
		if s != nil {
			wanted[key] = *s
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, jsonError(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes after the end")
	}
	return wanted, nil
}

func jsonError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("ends too early")
	}
	return fmt.Errorf("not JSON: %w", err)
}
