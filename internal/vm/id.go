package vm

import (
	"errors"
	"fmt"
)

// maxLabel is the longest DNS label (RFC 1035, 2.3.4).
const maxLabel = 63

// AppID names an app: all instances that run the same compose file. dstack
// makes it 40 hex digits; any lower-case LDH label without '-' is accepted,
// because it is the first part of a server name and '-' ends it there.
type AppID string

// InstanceID names one CVM of an app, in the same alphabet as AppID.
type InstanceID string

var errLabel = errors.New("want 1 to 63 of a-z, 0-9 (upper case is folded)")

// ParseAppID folds s to lower case and checks its alphabet and length.
func ParseAppID(s string) (AppID, error) {
	l, err := parseLabel(s)
	if err != nil {
		return "", fmt.Errorf("app id %q: %w", s, err)
	}
	return AppID(l), nil
}

// ParseInstanceID folds s to lower case and checks its alphabet and length.
func ParseInstanceID(s string) (InstanceID, error) {
	l, err := parseLabel(s)
	if err != nil {
		return "", fmt.Errorf("instance id %q: %w", s, err)
	}
	return InstanceID(l), nil
}

func parseLabel(s string) (string, error) {
	if s == "" || len(s) > maxLabel {
		return "", errLabel
	}
	b := []byte(s)
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z':
			b[i] = c + 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		default:
			return "", errLabel
		}
	}
	return string(b), nil
}
