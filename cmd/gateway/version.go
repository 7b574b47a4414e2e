package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"sallyport/internal/buildinfo"
)

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version, commit and Go version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version())
			return err
		},
	}
}

// version returns the line that gateway version prints, and gateway --version.
func version() string {
	return fmt.Sprintf("gateway %s commit %s %s %s/%s", buildinfo.Version(), buildinfo.Commit(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
