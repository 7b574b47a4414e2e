package qvl_test

import (
	"fmt"
	"time"

	"sallyport/internal/gwtest/tdxpki"
	"sallyport/ratls/qvl"
	"sallyport/ratls/tdx"
)

// Judges a quote by a file of collateral. In life the root is qvl.IntelRoot().
func Example() {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	platform := tdxpki.New(1, now)
	quote, file, root := platform.Quote().Build(), platform.Collateral().Sign().File(), platform.Root.Cert()

	q, err := tdx.Parse(quote)
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := qvl.ParseCollateral(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := qvl.Verify(q, c, now, root)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Status, "until", r.Expires.Format(time.DateOnly), "by", len(r.Steps), "rules")
	// Output: UpToDate until 2026-12-20 by 43 rules
}
