package attestation

import "slices"

// typeACPI is the TCG's EV_PLATFORM_CONFIG_FLAGS. With it firmware measures the tables from
// its host.
const typeACPI = 10

// Names of those events.
var acpiEvents = []string{"acpi-loader", "acpi-rsdp", "acpi-tables"}

// strippedPayload replaces ACPI tables of many kB.
const strippedPayload = "ACPI DATA"

// Strip returns the attestation in the form for a certificate. Of the platform's log it keeps
// dstack's own events, without their digests, which can be computed, and the digests of the
// three ACPI events. RTMR0 to RTMR2 cannot be replayed from it; RuntimeEvents are complete.
// The result shares memory with a.
func (a *Attestation) Strip() *Attestation {
	stripped := *a
	stripped.Events = nil
	for _, e := range a.Events {
		switch {
		case e.IMR == runtimeIMR:
			e.Digest = nil
		case e.IMR == 0 && e.Type == typeACPI && slices.Contains(acpiEvents, e.Name):
			e.Payload = []byte(strippedPayload)
		default:
			continue
		}
		stripped.Events = append(stripped.Events, e)
	}
	return &stripped
}
