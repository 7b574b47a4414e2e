package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/bench/hostile"
	"sallyport/bench/report"
)

func newReport() *cobra.Command {
	return &cobra.Command{
		Use:   "report RESULTS.json...",
		Short: "Render results again",
		Long: `report writes the table beside each file of results again, and the chart where there is
one, from the rounds in it alone, and prints the table.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, file := range files {
				results, err := readResults(file)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				name := strings.TrimSuffix(filepath.Base(file), ".json")
				if err := render(filepath.Dir(file), name, results); err != nil {
					return err
				}
				results.WriteMarkdown(cmd.OutOrStdout())
			}
			return nil
		},
	}
}

// readResults reads results of any kind: each refuses the other's.
func readResults(file string) (figures, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	compared, err := report.Read(f)
	if err == nil {
		return compared, nil
	}
	if _, again := f.Seek(0, io.SeekStart); again != nil {
		return nil, again
	}
	attacked, other := hostile.Read(f)
	if other == nil {
		return attacked, nil
	}
	return nil, errors.Join(err, other)
}
