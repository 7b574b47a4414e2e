package pbjson

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalar is the value of one token for a field of f's kind.
func scalar(t json.Token, f protoreflect.FieldDescriptor) (protoreflect.Value, error) {
	switch f.Kind() {
	case protoreflect.StringKind:
		if s, ok := t.(string); ok {
			return protoreflect.ValueOfString(s), nil
		}
		return protoreflect.Value{}, errors.New("want a string")
	case protoreflect.BoolKind:
		if b, ok := t.(bool); ok {
			return protoreflect.ValueOfBool(b), nil
		}
		return protoreflect.Value{}, errors.New("want true or false")
	case protoreflect.BytesKind:
		return hexBytes(t)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Int32Kind, protoreflect.Int64Kind:
		return integer(t, f.Kind())
	default:
		return protoreflect.Value{}, errKind(f)
	}
}

func hexBytes(t json.Token) (protoreflect.Value, error) {
	s, ok := t.(string)
	if !ok {
		return protoreflect.Value{}, errors.New("want a string of hex digits")
	}
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		return protoreflect.Value{}, errors.New("want an even number of hex digits")
	}
	return protoreflect.ValueOfBytes(b), nil
}

// integer takes whole numbers without fraction and exponent, as serde_json does.
func integer(t json.Token, kind protoreflect.Kind) (v protoreflect.Value, err error) {
	n, ok := t.(json.Number)
	if !ok {
		return v, errors.New("want a number")
	}
	var u uint64
	var i int64
	switch kind {
	case protoreflect.Uint32Kind:
		u, err = strconv.ParseUint(n.String(), 10, 32)
		v = protoreflect.ValueOfUint32(uint32(u))
	case protoreflect.Uint64Kind:
		u, err = strconv.ParseUint(n.String(), 10, 64)
		v = protoreflect.ValueOfUint64(u)
	case protoreflect.Int32Kind:
		i, err = strconv.ParseInt(n.String(), 10, 32)
		v = protoreflect.ValueOfInt32(int32(i))
	default:
		i, err = strconv.ParseInt(n.String(), 10, 64)
		v = protoreflect.ValueOfInt64(i)
	}
	if err != nil {
		return protoreflect.Value{}, fmt.Errorf("want a whole number in the range of %s", kind)
	}
	return v, nil
}

func errKind(f protoreflect.FieldDescriptor) error {
	return fmt.Errorf("field %s: the JSON form of its kind is not defined", f.FullName())
}
