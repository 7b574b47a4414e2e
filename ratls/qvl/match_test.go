package qvl

import (
	"testing"
	"time"

	"sallyport/internal/gwtest/tdxpki"
)

func TestQEThatIsNotIntelsIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"MRSIGNER", "QE MRSIGNER", "want dc9e2a7c", func(w *world) { w.quote.QE.MRSigner[31] ^= 1 }},
		{"ISVPRODID", "QE ISVPRODID", "is 1, want 2", func(w *world) { w.quote.QE.ISVProdID = 1 }},
		{"MISCSELECT", "QE MISCSELECT", "is 00000100", func(w *world) { w.quote.QE.MiscSelect = 0x100 }},
		{"MISCSELECT, low byte first", "QE MISCSELECT", "want 04030201", func(w *world) {
			w.docs.QEIdentity.MiscSelect = tdxpki.Hex{1, 2, 3, 4}
		}},
		{"ATTRIBUTES", "QE ATTRIBUTES", "byte 0 is 31", func(w *world) { w.quote.QE.Attributes[0] |= 0x20 }},
		{"ATTRIBUTES, last byte under the mask", "QE ATTRIBUTES", "byte 7 is 80", func(w *world) { w.quote.QE.Attributes[7] = 0x80 }},
		{"not initialised", "QE ATTRIBUTES", "byte 0 is 10", func(w *world) { w.quote.QE.Attributes[0] &^= 1 }},
		{"debug", "QE ATTRIBUTES", "debug", func(w *world) { w.quote.QE.Attributes[0] |= 2 }},
		{"debug that the identity does not look at", "QE ATTRIBUTES", "debug", func(w *world) {
			w.quote.QE.Attributes[0] |= 2
			w.docs.QEIdentity.Attributes[0], w.docs.QEIdentity.AttributesMask[0] = 0, 0
		}},
		{"below every level", "QE TCB", "ISVSVN 0 is below", func(w *world) { w.quote.QE.ISVSVN = 0 }},
	})
}

func TestQEMayDifferOutsideTheMasks(t *testing.T) {
	w := newWorld()
	w.quote.QE.Attributes[0] |= 4  // MODE64BIT, not in the mask
	w.quote.QE.Attributes[8] ^= 16 // XFRM, not in the mask
	w.quote.QE.MiscSelect = 1
	w.docs.QEIdentity.MiscSelectMask[0] = 0xfe
	if _, err := w.verify(t); err != nil {
		t.Error(err)
	}
}

func TestPlatformThatIsNotTheOneDescribedIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"another FMSPC", "FMSPC", "is 91c06f000000, want 90c06f000000", func(w *world) {
			w.recertify(func(p *tdxpki.PCK) { p.FMSPC[0] = 0x91 })
		}},
		{"another PCE id", "PCE id", "is 0001, want 0000", func(w *world) { w.recertify(func(p *tdxpki.PCK) { p.PCEID[1] = 1 }) }},
		{"a component below every level", "platform TCB", "no TCB level", func(w *world) {
			w.recertify(func(p *tdxpki.PCK) { p.Components[0] = 0 })
		}},
		{"the last component below every level", "platform TCB", "no TCB level", func(w *world) {
			for i := range w.docs.TCBInfo.TCBLevels {
				w.docs.TCBInfo.TCBLevels[i].TCB.SGX[15].SVN = 1
			}
		}},
		{"PCESVN below every level", "platform TCB", "no TCB level", func(w *world) {
			w.recertify(func(p *tdxpki.PCK) { p.PCESVN = 10 })
		}},
		{"TDX component below every level", "platform TCB", "no TCB level", func(w *world) { w.quote.TD.TEETCBSVN[2] = 2 }},
		{"module of TDX 1.0 below every level", "platform TCB", "no TCB level", func(w *world) {
			w.quote.TD.TEETCBSVN[0], w.quote.TD.TEETCBSVN[1] = 0, 0
		}},
	})
}

func TestModuleThatIsNotIntelsIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"unknown number", "TDX module", "no identity of TDX_02", func(w *world) { w.quote.TD.TEETCBSVN[1] = 2 }},
		{"no identities at all", "TDX module", "no identity of TDX_01", func(w *world) { w.docs.TCBInfo.TDXModuleIdentities = nil }},
		{"ISVSVN below every level", "TDX module TCB", "ISVSVN 0 is below", func(w *world) { w.quote.TD.TEETCBSVN[0] = 0 }},
		{"signer", "trust domain; TDX module MRSIGNER", "MRSIGNERSEAM", func(w *world) { w.quote.TD.MRSignerSeam[47] = 1 }},
		{"signer by its identity", "TDX module MRSIGNER", "", func(w *world) {
			w.docs.TCBInfo.TDXModuleIdentities[1].MRSigner[0] = 1
		}},
		{"signer of TDX 1.0", "TDX module MRSIGNER", "", func(w *world) {
			w.quote.TD.TEETCBSVN[1] = 0
			w.docs.TCBInfo.TDXModule.MRSigner[0] = 1
		}},
		{"attributes", "TDX module attributes", "want 0000000000000000", func(w *world) { w.quote.TD.SeamAttributes[7] = 0x80 }},
		{"attributes outside the mask", "TDX module attributes", "zeros elsewhere", func(w *world) {
			w.quote.TD.SeamAttributes[0] = 1
			w.docs.TCBInfo.TDXModuleIdentities[1].AttributesMask[0] = 0xfe
		}},
		{"attributes that are missing", "TDX module attributes", "want 0000000000000100", func(w *world) {
			w.docs.TCBInfo.TDXModuleIdentities[1].Attributes[1] = 1
		}},
		{"attributes of TDX 1.0", "TDX module attributes", "", func(w *world) {
			w.quote.TD.TEETCBSVN[1] = 0
			w.docs.TCBInfo.TDXModule.Attributes[0] = 1
		}},
	})
}

func TestTDThatIsOpenToItsHostIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"debug", "trust domain", "debug", func(w *world) { w.quote.TD.TDAttributes |= 1 }},
		{"profiling", "trust domain", "profile", func(w *world) { w.quote.TD.TDAttributes |= 1 << 4 }},
		{"reserved bit", "trust domain", "reserved", func(w *world) { w.quote.TD.TDAttributes |= 1 << 40 }},
		{"#VE", "trust domain", "SEPT_VE_DISABLE", func(w *world) { w.quote.TD.TDAttributes = 0 }},
		{"service TD", "trust domain", "MRSERVICETD", func(w *world) {
			w.quote = w.QuoteV5()
			w.quote.TD.MRServiceTD[0] = 1
		}},
	})
}

func TestDocumentOutsideItsWindowIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"TCB info has expired", "TCB info window", "has expired", func(w *world) { w.docs.TCBInfo.NextUpdate = w.at.Add(-time.Second) }},
		{"TCB info is of the future", "TCB info window", "not valid yet", func(w *world) { w.docs.TCBInfo.IssueDate = w.at.Add(time.Second) }},
		{"QE identity has expired", "QE identity window", "has expired", func(w *world) { w.docs.QEIdentity.NextUpdate = w.at.Add(-time.Second) }},
		{"QE identity is of the future", "QE identity window", "not valid yet", func(w *world) { w.docs.QEIdentity.IssueDate = w.at.Add(time.Second) }},
	})
}

func TestBothEndsOfAWindowCount(t *testing.T) {
	w := newWorld()
	w.docs.TCBInfo.IssueDate, w.docs.TCBInfo.NextUpdate = w.at, w.at
	w.docs.PCKCRL.ThisUpdate, w.docs.PCKCRL.NextUpdate = w.at, w.at
	if _, err := w.verify(t); err != nil {
		t.Error(err)
	}
}
