package tdxpki

import (
	"encoding/json"
	"net"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/dstackagent"
)

// Agent is the guest agent of a simulated CVM: it makes the quotes that it is asked for.
type Agent struct {
	Socket string
	World  *PKI
	Broken atomic.Bool  // it refuses
	Quotes atomic.Int64 // that it has made
}

// NewAgent starts an agent that answers until the test ends.
func NewAgent(t testing.TB) *Agent {
	t.Helper()
	a := &Agent{Socket: filepath.Join(t.TempDir(), "dstack.sock"), World: New(1, time.Now())}
	l, err := net.Listen("unix", a.Socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(a.answer), ReadHeaderTimeout: time.Minute}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = srv.Serve(l) // until it is closed
	}()
	t.Cleanup(func() {
		_ = srv.Close()
		<-ended
	})
	return a
}

func (a *Agent) answer(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ReportData dstackagent.Hex `json:"report_data"`
	}
	if a.Broken.Load() || r.URL.Path != "/GetQuote" || json.NewDecoder(r.Body).Decode(&in) != nil {
		http.Error(w, "out of quotes", http.StatusInternalServerError)
		return
	}
	m := a.World.Guest(Guest{ChangeQuote: func(q *Quote) { copy(q.TD.ReportData[:], in.ReportData) }})
	_ = json.NewEncoder(w).Encode(map[string]any{ // the client may have left
		"quote": dstackagent.Hex(m.Quote), "event_log": string(m.Log.JSON()), "report_data": in.ReportData,
		"vm_config": "", "attestation": dstackagent.Hex(m.Attestation.V0()),
	})
	a.Quotes.Add(1)
}
