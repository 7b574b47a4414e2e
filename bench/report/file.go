package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// maxFile bounds a file of results.
const maxFile = 64 << 20

// ReadJSON reads a file of results into one of the types of results.
func ReadJSON(r io.Reader, into any) error {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return err
	}
	if len(b) > maxFile {
		return fmt.Errorf("results are larger than %d bytes", maxFile)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("results: %w", err)
	}
	return nil
}

// WriteJSON writes the form that ReadJSON reads.
func WriteJSON(w io.Writer, results any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(results)
}
