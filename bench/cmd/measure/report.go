package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/bench/hostile"
	"sallyport/bench/report"
	"sallyport/internal/oneline"
	"sallyport/internal/regularfile"
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

// maxResults bounds a file of results in bytes, as its readers do.
const maxResults = 64 << 20

// readResults reads results of any kind: each refuses the other's.
func readResults(file string) (figures, error) {
	data, _, err := regularfile.Read(file, maxResults)
	if err != nil {
		return nil, err
	}
	compared, err := report.Read(bytes.NewReader(data))
	if err == nil {
		return compared, nil
	}
	attacked, other := hostile.Read(bytes.NewReader(data))
	if other == nil {
		return attacked, nil
	}
	return nil, oneline.Join(err, other)
}
