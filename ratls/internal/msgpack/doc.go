// Package msgpack reads and writes the part of MessagePack
// (github.com/msgpack/msgpack, spec.md) that dstack's certificates use: nil, unsigned
// integers, byte and text strings, arrays, and maps with text keys.
//
// All input is hostile. A count or length is compared with the remaining bytes before
// anything is allocated: an element takes at least one byte, so no input can ask for more
// memory than it has bytes. Nothing here recurses: the calling code decides how deep a value
// goes.
//
// The package knows no floats, signed integers, times or extensions. It skips nothing: an
// unexpected value is an error.
//
// Read reader.go first, then count.go for the heads and append.go for writing.
package msgpack
