package vm

import "fmt"

// AppID names an app: all instances that run the same compose file. dstack
// makes it 40 hex digits; any lower-case LDH label without '-' is accepted,
// because it is the first part of a server name and '-' ends it there.
type AppID string

// InstanceID names one CVM of an app, in the same alphabet as AppID.
type InstanceID string

// ParseAppID folds s to lower case and checks its alphabet and length.
func ParseAppID(s string) (AppID, error) {
	l, ok := ParseLabel(s)
	if !ok {
		return "", fmt.Errorf("app id %q: %w", s, errLabel)
	}
	return AppID(l.String()), nil
}

// ParseInstanceID folds s to lower case and checks its alphabet and length.
func ParseInstanceID(s string) (InstanceID, error) {
	l, ok := ParseLabel(s)
	if !ok {
		return "", fmt.Errorf("instance id %q: %w", s, errLabel)
	}
	return InstanceID(l.String()), nil
}
