package attestation

import "slices"

// typeACPI is the TCG's EV_PLATFORM_CONFIG_FLAGS, under which firmware measures
// the tables that its host gave it.
const typeACPI = 10

// Names of those events.
var acpiEvents = []string{"acpi-loader", "acpi-rsdp", "acpi-tables"}

// strippedPayload takes the place of ACPI tables of many kB.
const strippedPayload = "ACPI DATA"

// Strip returns the attestation as it goes into a certificate: of the platform's
// log it keeps dstack's own events, without the digests, which can be recomputed,
// and the digests of the three named ACPI events. RTMR0–2 cannot be replayed from
// it; RuntimeEvents are whole. The result shares memory with a.
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
