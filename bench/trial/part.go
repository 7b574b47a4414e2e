package trial

import "encoding/json"

// Part returns the arguments by which a program that measures starts a part of itself, in a
// process of its own: the part's name and its options as JSON.
func Part(name string, options any) ([]string, error) {
	b, err := json.Marshal(options)
	return []string{name, string(b)}, err
}
