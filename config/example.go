package config

import _ "embed"

// Example is a complete configuration file with every key explained. A key
// that is commented out shows its default.
//
//go:embed gateway.example.toml
var Example string
