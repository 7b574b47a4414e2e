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

// UnmarshalQuery sets m to the arguments of a GET request, where brackets nest:
// port_policy[ports][0][port]=80. Keys that name no field are ignored. A list
// index must be below the number of arguments, so that no index buys memory.
func UnmarshalQuery(query url.Values, m proto.Message) error {
	proto.Reset(m)
	for key, values := range query {
		path, ok := splitKey(key)
		if !ok || m.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(path[0])) == nil {
			continue
		}
		err := errors.New("is there twice")
		if len(values) == 1 {
			q := queryDecoder{value: values[0], limit: len(query)}
			err = q.message(path, m.ProtoReflect())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// splitKey is the path a, b, c of a[b][c].
func splitKey(key string) (path []string, ok bool) {
	path = strings.Split(key, "[")
	for i, p := range path[1:] {
		if path[i+1], ok = strings.CutSuffix(p, "]"); !ok {
			return nil, false
		}
	}
	return path, true
}

// queryDecoder sets one value.
type queryDecoder struct {
	value string
	limit int // of a list's length
}

// message sets what path names in m.
func (q *queryDecoder) message(path []string, m protoreflect.Message) error {
	if len(path) == 0 {
		return errors.New("want the name of a field in brackets")
	}
	f := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	rest := path[1:]
	switch {
	case f == nil:
		return nil
	case f.IsMap():
		return errKind(f)
	case f.IsList():
		return q.element(rest, m.Mutable(f).List(), f)
	case f.Message() != nil:
		return q.message(rest, m.Mutable(f).Message())
	case len(rest) > 0:
		return errors.New("has no fields")
	}
	v, err := scalar(q.token(f), f)
	if err == nil {
		m.Set(f, v)
	}
	return err
}

// element sets what path names in an element of l.
func (q *queryDecoder) element(path []string, l protoreflect.List, f protoreflect.FieldDescriptor) error {
	if len(path) == 0 {
		return errors.New("want an index in brackets")
	}
	i, err := strconv.Atoi(path[0])
	if err != nil || i < 0 || i >= q.limit {
		return fmt.Errorf("index %q: want 0, 1, 2 …", path[0])
	}
	for l.Len() <= i {
		l.Append(l.NewElement())
	}
	if f.Message() != nil {
		return q.message(path[1:], l.Get(i).Message())
	}
	v, err := scalar(q.token(f), f)
	if err == nil {
		l.Set(i, v)
	}
	return err
}

// token is the value as JSON would have it.
func (q *queryDecoder) token(f protoreflect.FieldDescriptor) json.Token {
	switch f.Kind() {
	case protoreflect.StringKind, protoreflect.BytesKind:
		return q.value
	case protoreflect.BoolKind:
		if b, err := strconv.ParseBool(q.value); err == nil {
			return b
		}
		return q.value
	default:
		return json.Number(q.value)
	}
}
