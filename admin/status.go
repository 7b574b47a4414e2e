package admin

import (
	"encoding/json"
	"net/http"
	"time"
)

// Status is what an operator sees of a gateway. Its JSON form is part of the API:
// fields are added, never renamed. Durations are in seconds.
type Status struct {
	Version      string        `json:"version"`
	Started      time.Time     `json:"started"`
	Draining     bool          `json:"draining"`
	Tunnel       string        `json:"tunnel"`                 // mode and interface
	TunnelFault  string        `json:"tunnel_fault,omitempty"` // why nothing goes through it; absent: it is ready
	PublicKey    string        `json:"public_key"`
	Instances    []Instance    `json:"instances"`
	Certificates []Certificate `json:"certificates"`
	Loops        []Loop        `json:"loops"`
}

// Instance is one CVM.
type Instance struct {
	App         string   `json:"app"`
	ID          string   `json:"id"`
	Address     string   `json:"address"`
	Health      string   `json:"health"`
	Reason      string   `json:"reason"`
	Since       float64  `json:"since"`                   // seconds in this state
	Handshake   *float64 `json:"handshake_age,omitempty"` // absent: none, or handshakes are not watched
	Weight      int      `json:"weight"`
	Connections int      `json:"connections"`
	Failures    int      `json:"failures"` // dials in a row

	// UndecidedUntil is until when it is served although its evidence cannot be judged
	// again. Absent: it can, or it has shown none.
	UndecidedUntil time.Time `json:"undecided_until,omitzero"`

	// RefusedFrom is from when it is refused unless it registers again: what let it in has
	// ended, and the reason says how. Absent: it has not.
	RefusedFrom time.Time `json:"refused_from,omitzero"`
}

// Certificate is what a domain serves. NotAfter is zero while there is none.
type Certificate struct {
	Domain   string    `json:"domain"`
	NotAfter time.Time `json:"not_after"`
	Serial   string    `json:"serial"`
	Issuer   string    `json:"issuer"`
	Name     string    `json:"name"` // what clients ask for: *.Domain, or Domain itself

	// What its issuer is up to: when it gets the next one, and why it did not at the
	// last try, which was at FailedAt. Absent where the gateway gets no certificates.
	NextTry   time.Time `json:"next_try,omitzero"`
	LastError string    `json:"last_error,omitempty"`
	FailedAt  time.Time `json:"failed_at,omitzero"`
	Failures  int       `json:"failures,omitempty"` // in a row
}

// Loop is one event loop.
type Loop struct {
	Connections int     `json:"connections"`
	Pipes       int     `json:"pipes"`
	Busy        float64 `json:"busy"` // seconds of work since it began
}

func statusHandler(status func() Status) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// It can fail only because the reader has gone.
		_ = json.NewEncoder(w).Encode(status())
	})
}
