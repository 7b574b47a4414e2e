package pbjson

import (
	"encoding/hex"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Marshal is the JSON object of m: every field, in the order of the .proto
// file, without white space. Equal messages give equal bytes. It fails only for
// a kind of field that the API does not use.
func Marshal(m proto.Message) ([]byte, error) {
	return appendMessage(nil, m.ProtoReflect())
}

func appendMessage(b []byte, m protoreflect.Message) ([]byte, error) {
	fields := m.Descriptor().Fields()
	b = append(b, '{')
	for i := range fields.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		f := fields.Get(i)
		b = appendString(b, string(f.Name()))
		b = append(b, ':')
		var err error
		if b, err = appendField(b, m, f); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, m protoreflect.Message, f protoreflect.FieldDescriptor) ([]byte, error) {
	switch {
	case f.IsMap():
		return nil, errKind(f)
	case f.IsList():
		return appendList(b, m.Get(f).List(), f)
	case f.HasPresence() && !m.Has(f):
		return append(b, "null"...), nil
	}
	return appendValue(b, m.Get(f), f)
}

func appendList(b []byte, l protoreflect.List, f protoreflect.FieldDescriptor) (_ []byte, err error) {
	b = append(b, '[')
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, l.Get(i), f); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendValue(b []byte, v protoreflect.Value, f protoreflect.FieldDescriptor) ([]byte, error) {
	switch f.Kind() {
	case protoreflect.MessageKind:
		return appendMessage(b, v.Message())
	case protoreflect.StringKind:
		return appendString(b, v.String()), nil
	case protoreflect.BytesKind:
		b = append(b, '"')
		b = hex.AppendEncode(b, v.Bytes())
		return append(b, '"'), nil
	case protoreflect.BoolKind:
		return strconv.AppendBool(b, v.Bool()), nil
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return strconv.AppendUint(b, v.Uint(), 10), nil
	case protoreflect.Int32Kind, protoreflect.Int64Kind:
		return strconv.AppendInt(b, v.Int(), 10), nil
	default:
		return nil, errKind(f)
	}
}

// appendString writes s with the escapes that JSON demands and no others: those
// that encoding/json adds for HTML would make the text differ from the
// reference's.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < ' ':
			const digits = "0123456789abcdef"
			b = append(b, '\\', 'u', '0', '0', digits[r>>4], digits[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
