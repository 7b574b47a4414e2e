package pbjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// UnmarshalQuery sets m to the arguments of a GET request, one for each field. Only
// strings, bytes, integers and booleans fit in: that is all that guests and scripts ask
// by GET. Keys that name no field are ignored, but a field that does not fit is an
// error: a port policy must not get lost.
func UnmarshalQuery(query url.Values, m proto.Message) error {
	proto.Reset(m)
	fields := m.ProtoReflect().Descriptor().Fields()
	for key, values := range query {
		name, _, nested := strings.Cut(key, "[") // dstack nests by brackets
		f := fields.ByName(protoreflect.Name(name))
		if f == nil {
			continue
		}
		if err := setArgument(m.ProtoReflect(), f, nested, values); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func setArgument(m protoreflect.Message, f protoreflect.FieldDescriptor, nested bool, values []string) error {
	switch {
	case nested || f.IsList() || f.Message() != nil:
		return errors.New("cannot be an argument of GET: send JSON by POST")
	case len(values) != 1:
		return errors.New("appears twice")
	}
	v, err := scalar(token(f, values[0]), f)
	if err == nil {
		m.Set(f, v)
	}
	return err
}

// token returns the token of JSON that stands for an argument.
func token(f protoreflect.FieldDescriptor, value string) json.Token {
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return value
	case protoreflect.BoolKind:
		if b, err := strconv.ParseBool(value); err == nil {
			return b
		}
		return value
	default:
		return json.Number(value)
	}
}
