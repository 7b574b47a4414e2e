package registry

import "errors"

// Why a registration is refused. The texts are what guests and their operators read;
// those of the first two are the protocol's.
var (
	ErrKeyTaken  = errors.New("WireGuard public key is already registered to another instance")
	ErrOtherApp  = errors.New("instance_id is already registered to a different app")
	ErrOwnKey    = errors.New("WireGuard public key is the gateway's own")
	ErrStatic    = errors.New("instance_id belongs to a static instance of the gateway's configuration")
	ErrName      = errors.New("app_id or instance_id already names something else on this gateway")
	ErrExhausted = errors.New("the gateway's address pool is exhausted")
	ErrAppFull   = errors.New("the app has as many instances as one app may have on this gateway (registry.max_instances_per_app)")
	ErrAppShare  = errors.New("the app has its share of this gateway's addresses (registry.max_pool_share_per_app)")
	ErrTooOften  = errors.New("the instance changes its registration too often")
	ErrDown      = errors.New("this gateway node is marked as down: register with another one")
	ErrDenied    = errors.New("registration is not authorized")
	ErrInvalid   = errors.New("invalid registration")

	// ErrNoEvidence's text is a protocol: a dstack guest (0.5.6 and newer) that reads it
	// comes back at once with the certificate that has evidence.
	ErrNoEvidence = errors.New("no attestation provided")
	ErrEvidence   = errors.New("attestation is not accepted")
)

// What goes wrong on the gateway's side: the guest may come again. What they wrap is for
// the gateway's log: it names files and devices.
var (
	ErrStore = errors.New("the registration cannot be stored")
	ErrPeer  = errors.New("the registration is stored, but its tunnel cannot be set up yet")

	// ErrAuthorizer wraps what Options.Authorize returns besides ErrDenied.
	ErrAuthorizer = errors.New("whether the registration is authorized cannot be told at the moment")

	// ErrUndecided is for Options.Appraise to return, wrapped or not.
	ErrUndecided = errors.New("the attestation cannot be judged at the moment")
)

// ErrUnknown means that no such instance is registered.
var ErrUnknown = errors.New("no such instance is registered")

// results are the labels under which registrations are counted.
func results() map[error]string {
	return map[error]string{
		ErrKeyTaken: "key_taken", ErrOtherApp: "other_app", ErrOwnKey: "own_key", ErrStatic: "static", ErrName: "name_taken",
		ErrExhausted: "exhausted", ErrAppFull: "app_full", ErrAppShare: "app_share", ErrTooOften: "too_often",
		ErrDown: "down", ErrDenied: "denied", ErrAuthorizer: "authorizer_failed", ErrInvalid: "invalid",
		ErrNoEvidence: "no_evidence", ErrEvidence: "evidence_refused", ErrUndecided: "evidence_undecided",
		ErrStore: "store_failed", ErrPeer: "peer_failed",
	}
}
