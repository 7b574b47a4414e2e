// Package pbjson is the JSON form of the guests' API: protobuf messages as serde_json
// writes and reads them in dstack. It differs from protojson in every point of this list:
//
//   - a field has its name in the .proto file, and all fields are written;
//   - bytes are lower-case hex, read with or without a leading 0x;
//   - integers of 64 bits are numbers;
//   - an absent message or optional field is null;
//   - a field that is missing in the input, or null, has its default, and an
//     unknown field is ignored.
//
// The caller bounds the size of the input. Memory is at most some 50 times that (messages
// that take three bytes each), and no input makes it recurse deeper than the message does.
// The package knows the kinds of field that the API uses and refuses all others (enums,
// floats, maps, groups), whose form is not known.
//
// Read decode.go, then encode.go. query.go is for arguments in a URL.
package pbjson
