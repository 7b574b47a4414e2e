package rpc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"google.golang.org/protobuf/proto"

	"sallyport/rpc/gatewaypb"
	"sallyport/rpc/internal/pbjson"
)

// encoding is how a request and its answer are written.
type encoding uint8

const (
	binary encoding = iota // protobuf
	text                   // JSON in a body
	query                  // arguments in the URL, the answer in JSON
)

// encodingOf chooses as prpc does. Guests send JSON without a content type: only
// ?json shows it.
func encodingOf(r *http.Request) encoding {
	if r.Method != http.MethodPost {
		return query
	}
	if values, ok := r.URL.Query()["json"]; ok {
		switch values[0] {
		case "", "1", "true":
			return text
		}
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "application/json" || kind == "text/json" {
		return text
	}
	return binary
}

// read sets m to the request, whose body may have up to limit bytes.
func (e encoding) read(w http.ResponseWriter, r *http.Request, limit int64, m proto.Message) error {
	if e == query {
		return wrap("invalid query", pbjson.UnmarshalQuery(r.URL.Query(), m))
	}
	body, err := readBody(w, r, limit)
	if err != nil {
		return err
	}
	return wrap("invalid request", e.decode(body, m))
}

func (e encoding) decode(body []byte, m proto.Message) error {
	if e == text {
		return pbjson.Unmarshal(body, m)
	}
	// No message of the API nests deeper than four levels.
	err := proto.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: 16}.Unmarshal(body, m)
	if err != nil { // proto's own words change from build to build
		return errors.New("not the protobuf message of this method (JSON needs ?json)")
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := &statusError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", limit)}
	if r.ContentLength > limit {
		w.Header().Set("Connection", "close") // it will not be read
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	return body, wrap("read the body", err)
}

// write answers with m and returns the status.
func (e encoding) write(w http.ResponseWriter, m proto.Message) int {
	body, err := e.marshal(m)
	if err != nil { // a string that is not UTF-8, made on this side
		return e.writeError(w, &statusError{http.StatusInternalServerError, err.Error()})
	}
	return e.send(w, http.StatusOK, body)
}

// marshal encodes m, unless it is encoded already.
func (e encoding) marshal(m proto.Message) ([]byte, error) {
	done, ok := m.(*acmeAnswer)
	switch {
	case ok && e == binary:
		return done.binary, nil
	case ok:
		return done.json, nil
	case e == binary:
		return proto.Marshal(m)
	}
	return pbjson.Marshal(m)
}

// writeError answers with err's text and returns the status: 400 unless err says
// otherwise.
func (e encoding) writeError(w http.ResponseWriter, err error) int {
	code := http.StatusBadRequest
	if status, ok := errors.AsType[*statusError](err); ok {
		code = status.code
	}
	body := errorJSON(err.Error())
	if e == binary {
		body, _ = proto.Marshal(&gatewaypb.Error{Message: valid(err.Error())})
	}
	return e.send(w, code, body)
}

func (e encoding) send(w http.ResponseWriter, code int, body []byte) int {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if e == binary {
		h.Set("Content-Type", "application/octet-stream")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // the guest may have left
	return code
}

// errorJSON is laid out as the reference does. Quotes and the like stay as they
// are: guests print the text.
func errorJSON(message string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(struct { // strings cannot fail
		Error string `json:"error"`
	}{message})
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// valid is s in UTF-8, which protobuf demands of a string.
func valid(s string) string { return string(bytes.ToValidUTF8([]byte(s), []byte("\uFFFD"))) }

// wrap puts the operation in front of an error.
func wrap(operation string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", operation, err)
}
