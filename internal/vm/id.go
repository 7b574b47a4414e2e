package vm

import "fmt"

// AppID names an app: all instances that run the same compose file. dstack
// makes it 40 hex digits; any lower-case LDH label without '-' is accepted,
// because it is the first part of a server name and '-' ends it there.
type AppID string

// InstanceID names one CVM of an app, in the same alphabet as AppID.
type InstanceID string

// The names that are the gateway's own under each domain, as dstack's clients and
// monitors know them.
const (
	OwnName    = "gateway"
	HealthName = "health" // deprecated there: answers / alone
)

// CheckReserved refuses an id that would be one of the gateway's own names. dstack's ids
// are hexadecimal, so that none of them is.
func CheckReserved[T AppID | InstanceID](id T) error {
	if id == OwnName || id == HealthName {
		return fmt.Errorf("%q is reserved: it is a name of the gateway's own site: choose another", string(id))
	}
	return nil
}

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
