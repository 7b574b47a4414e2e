package cli

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"sallyport/config"
)

// A UsageError is an error of the command line.
type UsageError struct{ Err error }

// Usage marks err as an error of the command line.
func Usage(err error) error { return UsageError{err} }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// UsageArgs makes wrong arguments an error of usage.
func UsageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return Usage(err)
		}
		return nil
	}
}

// ConfigFlag adds the flag for the configuration file.
func ConfigFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVar(file, "config", "/etc/gateway/gateway.toml", "configuration file")
}

// LoadConfig reads a configuration file. It prints the problems of the file to w; the error
// is then ErrReported.
func LoadConfig(w io.Writer, file string) (*config.Config, error) {
	cfg, err := config.Load(file)
	if problems := config.Errors(nil); errors.As(err, &problems) {
		fmt.Fprintln(w, problems)
		return nil, ErrReported
	}
	return cfg, err
}
