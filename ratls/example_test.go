package ratls_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"sallyport/ratls"
)

// A server that wants to know which machine calls.
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

// A machine's certificate without a KMS.
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
