// Package msgpack reads and writes the part of MessagePack
// (github.com/msgpack/msgpack, spec.md) that dstack's certificates use: nil,
// unsigned integers, byte and text strings, arrays, and maps with text keys.
//
// What is read was written by a stranger. A count or length in it is compared
// with the bytes that are left before anything is made of it: an element takes at
// least one byte, so no head can ask for more memory than its input has bytes.
// Nothing here recurses: how deep a value goes is up to the code that reads it.
//
// It knows no floats, signed integers, times or extensions, and skips nothing: a
// value that nobody asked for is an error.
//
// Read reader.go first, then count.go for the heads and append.go for writing.
package msgpack
