package asguest

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
	"sallyport/internal/vm"
	"sallyport/rpc"
)

// If all gateways fail, guests report the first: it is the one that ought to answer.
func TestGatewaysAreAskedInOrderAndTheFirstErrorIsReturned(t *testing.T) {
	ca := gwtest.NewCA(t)
	var asked []string
	gateway := func(name string) *rpc.Client {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked = append(asked, name)
			http.Error(w, name+" refuses", http.StatusForbidden)
		}))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Server(t, "localhost")}}
		srv.StartTLS()
		t.Cleanup(srv.Close)
		_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
		return &rpc.Client{
			URL: "https://localhost:" + port, Certificate: ca.Client(t, "guest"), Roots: ca.Pool(),
			CheckServer: func(*x509.Certificate) error { return nil },
		}
	}
	list := []*rpc.Client{gateway("first"), gateway("second")}
	_, err := register(t.Context(), list, rpc.Registration{Key: vm.WGKey{1}, Policy: vm.OpenPolicy()})
	if !slices.Equal(asked, []string{"first", "second"}) || err == nil || !strings.Contains(err.Error(), list[0].URL) {
		t.Errorf("asked %v: %v", asked, err)
	}
}
