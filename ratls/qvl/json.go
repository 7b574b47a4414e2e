package qvl

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Documents are JSON of others. Of two members with one name, in any case, encoding/json
// takes the last and other readers the first: they would see two documents below one
// signature. So an object with a repeated name is refused, and so are unusual depth and
// length. Unknown members are accepted: Intel adds some without a new version.

const (
	maxDocument = 1 << 20 // bytes of one document; Intel's have 5 to 30 kB
	maxDepth    = 16
	maxMembers  = 1024 // of one array or object
)

// unmarshal reads a single JSON value into v.
func unmarshal(b []byte, limit int, v any) error {
	switch {
	case len(b) > limit:
		return fmt.Errorf("%d bytes, more than %d", len(b), limit)
	case !utf8.Valid(b):
		return errors.New("is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := walk(d, maxDepth); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return json.Unmarshal(b, v)
}

// walk checks the next value of d.
func walk(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	open, nested := t.(json.Delim)
	switch {
	case !nested:
		return nil
	case depth == 0:
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	names := map[string]bool{}
	for n := 0; d.More(); n++ {
		if n == maxMembers {
			return fmt.Errorf("more than %d members in one place", maxMembers)
		}
		if open == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			s, _ := name.(string)                                  // between members a decoder returns nothing else
			if s = strings.ToLower(strings.ToUpper(s)); names[s] { // "ſ" is an s to encoding/json
				return fmt.Errorf("member %.40q appears twice", s)
			}
			names[s] = true
		}
		if err := walk(d, depth-1); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

// parseHex fills dst from exactly as many hex digits.
func parseHex(name string, dst []byte, s string) error {
	if len(s) != hex.EncodedLen(len(dst)) {
		return fmt.Errorf("%s: %d characters, want %d hex digits", name, len(s), hex.EncodedLen(len(dst)))
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("%s: not hex", name)
	}
	return nil
}
