package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/config"
)

// A UsageError is an error of the command line.
type UsageError struct{ Err error }

// Usage marks err as an error of the command line.
func Usage(err error) error { return UsageError{err} }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Root makes cmd the root of a program: Group, and every error of the command line is a
// UsageError, which Main alone prints.
func Root(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetVersionTemplate("{{.Version}}\n") // of --version, if cmd has a version
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return Usage(err) })
	return Group(cmd, commands...)
}

// Group adds commands to cmd, which alone does nothing: it prints its help and fails.
func Group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	var names []string
	for _, c := range commands {
		c.Args = usageArgs(c.Args)
		names = append(names, c.Name())
	}
	cmd.Args = usageArgs(cobra.NoArgs)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		_ = cmd.Help()
		return Usage(errors.New("a command is needed: " + strings.Join(names, ", ")))
	}
	cmd.AddCommand(commands...)
	return cmd
}

// usageArgs makes wrong arguments an error of usage.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
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
