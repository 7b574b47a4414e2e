package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"sallyport/bench/report"
)

func newBenchReport() *cobra.Command {
	return &cobra.Command{
		Use:   "report RESULTS.json...",
		Short: "Render results again",
		Long: `report writes the table and the chart anew beside each file of results, from the
rounds in it alone, and prints the table.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, files []string) error {
			for _, file := range files {
				results, err := readResults(file)
				if err != nil {
					return err
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

func readResults(file string) (*report.Results, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return report.Read(f)
}
