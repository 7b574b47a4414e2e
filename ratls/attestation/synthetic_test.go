package attestation

import (
	"bytes"
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

// The test kit encodes on its own: what it packs is read, replays to the
// registers of its quote, and is written as the kit writes it.
func TestSyntheticMachinesAreReadAndWrittenAlike(t *testing.T) {
	world := tdxpki.New(1, time.Unix(1_800_000_000, 0))
	script := bytes.Repeat([]byte{7}, 32)
	for _, v2 := range []bool{false, true} {
		m := world.Guest(tdxpki.Guest{EventV2: v2, InitScripts: [][]byte{script, script}})
		stripped := m.Attestation.Strip()
		for name, b := range map[string][]byte{
			"whole V1": m.Attestation.V1(), "stripped V1": stripped.V1(), "V1 in bin": stripped.V1Bin(),
			"whole V0": m.Attestation.V0(), "stripped V0": stripped.V0(),
		} {
			a, err := Parse(b)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			rtmr := registers(m.Quote)
			if err := a.RuntimeEvents.Verify(rtmr[3]); (err == nil) != (a.Version == 1 || !v2) { // V0 loses the format
				t.Errorf("%s, V2 %t: %v", name, v2, err)
			}
			if got, err := ReplayBoot(a.Events, 1); len(a.Events) == len(m.Log) && (err != nil || got != rtmr[1]) {
				t.Errorf("%s: RTMR1 %x, %v, want %x", name, got, err, rtmr[1])
			}
			if a.ReportData != m.Attestation.ReportData || a.Config != m.Attestation.Config || !bytes.Equal(a.Quote, m.Quote) {
				t.Errorf("%s: quote, report data or config differ", name)
			}
			if got := a.RuntimeEvents.Payloads(EventInitScriptHash); len(got) != 2 || !bytes.Equal(got[1], script) {
				t.Errorf("%s: init scripts %x", name, got)
			}
			again := marshal(t, a)
			// The kit tells preimages and writes bin, which this package only reads.
			if name != "V1 in bin" && (name != "whole V1" || !v2) && !bytes.Equal(again, b) {
				t.Errorf("%s, V2 %t: written otherwise", name, v2)
			}
			if name == "whole V0" && !bytes.Equal(marshal(t, a.Strip()), stripped.V0()) {
				t.Error("stripped otherwise")
			}
		}
		a, err := Legacy(m.Quote, m.Attestation.ReportData, m.Log.JSON())
		if err != nil {
			t.Fatal(err)
		}
		if err := a.RuntimeEvents.Verify(registers(m.Quote)[3]); err != nil {
			t.Errorf("legacy, V2 %t: %v", v2, err)
		}
	}
}
