package pbjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Unmarshal sets m to the JSON object in data. Empty data and null are the
// message with nothing set. The same name twice in one object is an error where
// the name is known: two readers could take different ones. After an error m
// holds some of the fields.
func Unmarshal(data []byte, m proto.Message) error {
	proto.Reset(m)
	data = bytes.TrimSpace(data)
	if len(data) == 0 || string(data) == "null" {
		return nil
	}
	if !utf8.Valid(data) { // encoding/json would replace invalid bytes
		return errors.New("invalid UTF-8")
	}
	d := decoder{json: json.NewDecoder(bytes.NewReader(data))}
	d.json.UseNumber()
	t, err := d.token()
	if err != nil {
		return err
	}
	if err := d.message(t, m.ProtoReflect()); err != nil {
		return err
	}
	if _, err := d.json.Token(); !errors.Is(err, io.EOF) {
		return errors.New("want the end after the object")
	}
	return nil
}

// decoder reads tokens, each value with its first token already taken. It goes as
// deep as the message does. What is skipped may be deeper: encoding/json has its
// own limit for that (10,000) and does not recurse there.
type decoder struct {
	json *json.Decoder
}

// message reads an object into m.
func (d *decoder) message(first json.Token, m protoreflect.Message) error {
	if first != json.Delim('{') {
		return errors.New("want an object")
	}
	fields := m.Descriptor().Fields()
	seen := make([]bool, fields.Len())
	for d.json.More() {
		t, err := d.token()
		if err != nil {
			return err
		}
		name, _ := t.(string) // the decoder takes no other name
		f := fields.ByName(protoreflect.Name(name))
		switch {
		case f == nil:
			err = d.skip()
		case seen[f.Index()]:
			err = fmt.Errorf("%s: appears twice", name)
		default:
			seen[f.Index()] = true
			err = named(name, d.field(m, f))
		}
		if err != nil {
			return err
		}
	}
	_, err := d.token() // the end of the object
	return err
}

// field reads the value of f. Null leaves the default.
func (d *decoder) field(m protoreflect.Message, f protoreflect.FieldDescriptor) error {
	first, err := d.token()
	switch {
	case err != nil || first == nil:
		return err
	case f.IsMap():
		return errKind(f)
	case f.IsList():
		return d.list(first, m.Mutable(f).List(), f)
	case f.Message() != nil:
		return d.message(first, m.Mutable(f).Message())
	}
	v, err := scalar(first, f)
	if err == nil {
		m.Set(f, v)
	}
	return err
}

// list reads an array into l.
func (d *decoder) list(first json.Token, l protoreflect.List, f protoreflect.FieldDescriptor) error {
	if first != json.Delim('[') {
		return errors.New("want an array")
	}
	for n := 0; d.json.More(); n++ {
		if err := d.element(l, f); err != nil {
			return fmt.Errorf("element %d: %w", n, err)
		}
	}
	_, err := d.token() // the end of the array
	return err
}

func (d *decoder) element(l protoreflect.List, f protoreflect.FieldDescriptor) error {
	first, err := d.token()
	switch {
	case err != nil:
		return err
	case f.Message() != nil:
		return d.message(first, l.AppendMutable().Message())
	}
	v, err := scalar(first, f)
	if err == nil {
		l.Append(v)
	}
	return err
}

// skip reads a value that is not needed.
func (d *decoder) skip() error {
	var value json.RawMessage
	return named("invalid JSON", unexpected(d.json.Decode(&value)))
}

// token is the next token.
func (d *decoder) token() (json.Token, error) {
	t, err := d.json.Token()
	return t, named("invalid JSON", unexpected(err))
}

// unexpected makes the end of the input an error: it is never right where a token
// or a value is read.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// named puts a name in front of an error.
func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
