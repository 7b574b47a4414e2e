package config

import (
	"fmt"
	"path/filepath"

	"sallyport/internal/regularfile"
)

// MaxSize bounds a configuration file in bytes, and with it all that is made
// from it.
const MaxSize = 1 << 20

// Load reads and checks the file at path. The error is Errors, unless the file
// cannot be read.
func Load(path string) (*Config, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data)
}

// Parse checks the text of a file; file is its name, for errors and relative
// paths. It touches no disk. The error is Errors: all problems of the file at
// once, or the first place where it is not TOML, since nothing after it can be
// read.
func Parse(file string, data []byte) (*Config, error) {
	return parseWith(file, data, func(root table) *Config {
		c := readConfig(root, filepath.Dir(file))
		root.reportUnknown()
		return c
	})
}

// loadFile is Load for files of another schema.
func loadFile[T any](path string, schema func(root table) *T) (*T, error) {
	data, err := read(path)
	if err != nil {
		return nil, err
	}
	return parseWith(path, data, schema)
}

func read(path string) ([]byte, error) {
	data, _, err := regularfile.Read(path, MaxSize)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return data, nil
}

func parseWith[T any](file string, data []byte, schema func(root table) *T) (*T, error) {
	r := &report{file: file}
	if len(data) > MaxSize {
		r.add(position{1, 1}, "", "the file is larger than %d bytes", MaxSize)
		return nil, r.err()
	}
	root := parseTree(data, r)
	if root == nil {
		return nil, r.err()
	}
	read := schema(newRoot(root, r))
	if err := r.err(); err != nil {
		return nil, err
	}
	return read, nil
}
