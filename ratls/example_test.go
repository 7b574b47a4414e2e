package ratls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

// The program of the package comment. The CVM, its KMS and Intel are simulated: elsewhere
// pccs.Options{} and the zero VerifierOptions.Root are Intel's, and the root is a file.
func Example() {
	vm := startVM()
	defer vm.stop()

	collateral, err := pccs.New(vm.collateral)
	check(err)
	defer collateral.Close()
	verifier, err := ratls.NewVerifier(ratls.VerifierOptions{Collateral: collateral, Root: vm.intel})
	check(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(vm.kmsRoot)
	answer, err := verifier.HTTPClient(ratls.Peer{App: vm.app, Roots: roots}).Get(vm.url)
	check(err)
	defer answer.Body.Close()
	fmt.Println("attested, and it answers", answer.Status)
	// Output: attested, and it answers 404 Not Found
}

// A server for CVMs with a known system. The verifier appraises their certificates; the
// handshake proves that the client holds the key.
func ExampleVerifier_VerifyConnection() {
	collateral, err := pccs.New(pccs.Options{})
	check(err)
	defer collateral.Close()
	var firmware, kernel, rootfs [48]byte // from a reproducible build of the image
	verifier, err := ratls.NewVerifier(ratls.VerifierOptions{
		Collateral: collateral,
		Policy:     &ratls.Policy{Measurements: []ratls.Measurement{{MRTD: &firmware, RTMR1: &kernel, RTMR2: &rootfs}}, MaxAge: 24 * time.Hour},
	})
	check(err)
	_ = &tls.Config{
		ClientAuth:       tls.RequireAnyClientCert,
		VerifyConnection: verifier.VerifyConnection(ratls.Peer{}),
	}
}

// Each step of the verification of a quote from a file, without a network.
func ExampleVerifier_Examine() {
	quote, err := os.ReadFile("quote.bin")
	check(err)
	collateral, err := pccs.File("collateral.json", nil)
	check(err)
	verifier, err := ratls.NewVerifier(ratls.VerifierOptions{
		Collateral: collateral,
		Now:        func() time.Time { return time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC) },
	})
	check(err)
	report := verifier.Examine(context.Background(), ratls.Evidence{Quote: quote})
	for _, step := range report.Steps {
		fmt.Println(step.Name, step.Value, step.Err)
	}
	fmt.Println("refused because:", report.Err)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// A server that needs the identity of its clients.
func ExampleIdentify() {
	kmsRoot := x509.NewCertPool()
	config := &tls.Config{
		ClientAuth: tls.RequireAndVerifyClientCert,
		ClientCAs:  kmsRoot,
		VerifyConnection: func(state tls.ConnectionState) error {
			id, err := ratls.Identify(context.Background(), state.VerifiedChains[0], ratls.Options{})
			if err != nil {
				return err
			}
			fmt.Println("app", id.AppID, "instance", id.InstanceID)
			return nil
		},
	}
	_ = config
}

// A CVM's certificate without a KMS.
func ExampleAuthority() {
	ca, err := ratls.NewAuthority()
	if err != nil {
		fmt.Println(err)
		return
	}
	info := ratls.AppInfo{AppID: ratls.AppID{1}, InstanceID: ratls.InstanceID{2}}
	cert, err := ca.Issue(ratls.Request{
		AppID:   info.AppID,
		AppInfo: &info,
		Subject: "vm1",
		Client:  true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(cert.Leaf.Subject, "of", cert.Leaf.Issuer)
	// Output: CN=vm1 of CN=Dstack App CA,O=Dstack
}
