package tdx

import "testing"

func TestTDMustBeClosedToItsHost(t *testing.T) {
	good := Report{TDAttributes: AttributeSeptVEDisable}
	for _, c := range []struct {
		name   string
		change func(*Report)
		want   string // empty: good
	}{
		{"as dstack starts TDs", func(*Report) {}, ""},
		{"protection keys", func(r *Report) { r.TDAttributes |= AttributePKS }, ""},
		{"Key Locker", func(r *Report) { r.TDAttributes |= AttributeKL }, ""},
		{"performance counters", func(r *Report) { r.TDAttributes |= AttributePerfmon }, ""},
		{"debug", func(r *Report) { r.TDAttributes |= AttributeDebug }, "debug (bit 0) is set"},
		{"debug alone", func(r *Report) { r.TDAttributes = AttributeDebug }, "debug (bit 0) is set"},
		{"no attributes", func(r *Report) { r.TDAttributes = 0 }, "SEPT_VE_DISABLE (bit 28) is not set"},
		{"migratable", func(r *Report) { r.TDAttributes |= AttributeMigratable }, "migratable (bit 29) is set"},
		{"service TD", func(r *Report) { r.MRServiceTD[47] = 1 }, "MRSERVICETD: is 0000"},
		{"module of another signer", func(r *Report) { r.MRSignerSeam[0] = 1 }, "MRSIGNERSEAM: is 0100"},
	} {
		r := good
		c.change(&r)
		if err := r.CheckAttributes(); c.want != "" {
			wantError(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Bit by bit: the debug group is 0 to 7, and all but six others are reserved.
func TestEachBitOfAttributes(t *testing.T) {
	for bit := range 64 {
		want := "reserved bits"
		switch {
		case bit == 0:
			want = "debug (bit 0) is set"
		case bit < 8:
			want = "the host can profile the TD"
		case bit == 29:
			want = "migratable (bit 29) is set"
		case bit == 28 || bit == 30 || bit == 31 || bit == 63:
			want = ""
		}
		r := Report{TDAttributes: AttributeSeptVEDisable | 1<<bit}
		if err := r.CheckAttributes(); want != "" {
			wantError(t, err, want)
		} else if err != nil {
			t.Errorf("bit %d: %v", bit, err)
		}
	}
}
