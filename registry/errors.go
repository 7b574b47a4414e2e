package registry

import "errors"

// Why a registration is refused. Guests and their operators read these texts; dstack's guests
// know the first two.
var (
	ErrKeyTaken  = errors.New("WireGuard public key is already registered to another instance")
	ErrOtherApp  = errors.New("instance_id is already registered to a different app")
	ErrOwnKey    = errors.New("WireGuard public key is the gateway's own key: create another one")
	ErrStatic    = errors.New("instance_id is used by a static instance in the gateway's configuration")
	ErrName      = errors.New("app_id or instance_id is already used for something else on this gateway")
	ErrExhausted = errors.New("the gateway's address pool is exhausted: enlarge wireguard.pool, or use another gateway")
	ErrAppFull   = errors.New("the app has reached the limit of instances per app on this gateway (registry.max_instances_per_app)")
	ErrAppShare  = errors.New("the app has reached its share of this gateway's addresses (registry.max_pool_share_per_app)")
	ErrTooOften  = errors.New("the instance changes its registration too often")
	ErrDown      = errors.New("this gateway is marked as down: register with another gateway")
	ErrDenied    = errors.New("registration is not authorized")
	ErrInvalid   = errors.New("invalid registration")

	// ErrNoEvidence has the text of dstack's protocol: a guest (0.5.6 and newer) that reads it
	// registers again at once with the certificate that has evidence.
	ErrNoEvidence = errors.New("no attestation provided")
	ErrEvidence   = errors.New("attestation is not accepted")
)

// What fails on the gateway's side: the guest may try again. The errors that they wrap are for
// the gateway's log, since they name files and devices.
var (
	ErrStore = errors.New("cannot store the registration at the moment")
	ErrPeer  = errors.New("the registration is stored, but its tunnel cannot be set up yet")

	// ErrAuthorizer wraps what Options.Authorize returns, except ErrDenied.
	ErrAuthorizer = errors.New("cannot check at the moment whether the registration is authorized")

	// ErrUndecided is for Options.Appraise to return, wrapped or not.
	ErrUndecided = errors.New("cannot appraise the attestation at the moment")
)

// ErrUnknown means that no such instance is registered.
var ErrUnknown = errors.New("no such instance is registered")

// results returns the labels under which registrations are counted.
func results() map[error]string {
	return map[error]string{
		ErrKeyTaken: "key_taken", ErrOtherApp: "other_app", ErrOwnKey: "own_key", ErrStatic: "static", ErrName: "name_taken",
		ErrExhausted: "exhausted", ErrAppFull: "app_full", ErrAppShare: "app_share", ErrTooOften: "too_often",
		ErrDown: "down", ErrDenied: "denied", ErrAuthorizer: "authorizer_failed", ErrInvalid: "invalid",
		ErrNoEvidence: "no_evidence", ErrEvidence: "evidence_refused", ErrUndecided: "evidence_undecided",
		ErrStore: "store_failed", ErrPeer: "peer_failed",
	}
}
