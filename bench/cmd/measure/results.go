package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"sallyport/internal/atomicfile"
	"sallyport/internal/oneline"
)

// figures is the results of a measurement; those with a chart have WriteSVG too.
type figures interface {
	WriteJSON(io.Writer) error
	WriteMarkdown(io.Writer)
	MadeBy(command string, quick bool)
	Incomplete() error
}

// keep prints the results of a measurement and, if it ended without an error, writes them
// to the files of --out.
func (f *flags) keep(cmd *cobra.Command, r figures, err error) error {
	r.MadeBy(f.command, f.quick)
	r.WriteMarkdown(cmd.OutOrStdout())
	if err != nil { // what there was is printed
		return err
	}
	if f.out != "" {
		if err := writeResults(f.out, cmd.Name(), r); err != nil {
			return err
		}
	}
	return r.Incomplete()
}

// writeResults writes every form, each whole or not at all.
func writeResults(dir, name string, r figures) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := writeFile(filepath.Join(dir, name+".json"), r.WriteJSON)
	return oneline.Join(err, render(dir, name, r))
}

// render writes what follows from the JSON form.
func render(dir, name string, r figures) error {
	whole := func(write func(io.Writer)) func(io.Writer) error {
		return func(w io.Writer) error {
			write(w)
			return nil
		}
	}
	err := writeFile(filepath.Join(dir, name+".md"), whole(r.WriteMarkdown))
	if chart, ok := r.(interface{ WriteSVG(io.Writer) }); ok {
		err = oneline.Join(err, writeFile(filepath.Join(dir, name+".svg"), whole(chart.WriteSVG)))
	}
	return err
}

func writeFile(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return atomicfile.Replace(path, b.Bytes(), 0o644)
}
