package qvl

import (
	"encoding/json"
	"fmt"
	"testing"
)

// What is refused comes with nothing; what is read can be used without a panic.

func FuzzParseCollateral(f *testing.F) {
	w := newWorld()
	f.Add(w.docs.Sign().File())
	f.Add([]byte(`{"root_ca_crl":"30","tcb_info":"\ud800"}`))
	quote := w.signedQuote(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ParseCollateral(file)
		if err != nil {
			if c != nil {
				t.Fatalf("%+v with error %v", c, err)
			}
			return
		}
		written, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseCollateral(written)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
			t.Fatalf("%+v, then %+v, %v", c, again, err)
		}
		if r, err := Verify(quote, c, w.at, w.root); err == nil && r.Status != UpToDate {
			t.Fatalf("collateral that nobody signed: %s", r.Status)
		}
	})
}

func FuzzParseTCBInfo(f *testing.F) {
	w := newWorld()
	f.Add(w.docs.Sign().TCBInfo)
	f.Add([]byte(`{"id":"TDX","version":3,"tcbType":0,"tcbLevels":[{}]}`))
	p, err := Prepare(w.collateral(), w.root)
	if err != nil {
		f.Fatal(err)
	}
	quote := w.signedQuote(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		info, err := parseTCBInfo(doc)
		if err != nil {
			if info != nil {
				t.Fatalf("%+v with error %v", info, err)
			}
			return
		}
		for i := range info.levels[1:] {
			if info.levels[i].compare(info.levels[i+1]) <= 0 {
				t.Fatalf("level %d is not above the next", i)
			}
		}
		other := *p
		other.tcb = info
		r, err := other.Verify(quote, w.at)
		if err == nil && (r.Platform.Status == 0 || r.Module.Status == 0 || r.Status < r.Platform.Status) {
			t.Fatalf("%+v", r)
		}
	})
}

func FuzzParseQEIdentity(f *testing.F) {
	w := newWorld()
	f.Add(w.docs.Sign().QEIdentity)
	f.Add([]byte(`{"id":"TD_QE","version":2,"tcbLevels":[{"tcb":{"isvsvn":1}}]}`))
	p, err := Prepare(w.collateral(), w.root)
	if err != nil {
		f.Fatal(err)
	}
	quote := w.signedQuote(f)
	f.Fuzz(func(t *testing.T, doc []byte) {
		id, err := parseQEIdentity(doc)
		if err != nil {
			if id != nil {
				t.Fatalf("%+v with error %v", id, err)
			}
			return
		}
		other := *p
		other.qe = id
		r, err := other.Verify(quote, w.at)
		if err == nil && (r.QE.Status == 0 || r.Status < r.QE.Status || quote.QE.MRSigner != id.mrSigner) {
			t.Fatalf("%+v", r)
		}
	})
}
