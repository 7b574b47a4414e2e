package hello

import "bytes"

// LooksLikeHTTP reports whether stream begins like a plain HTTP/1 request or
// the HTTP/2 preface: a method and a space. It shows a caller that got
// [ErrNotTLS] that a 400 will be understood. A client that sends less than the
// method in its first segment is not recognised; that costs it only the reply.
func LooksLikeHTTP(stream []byte) bool {
	method, _, ok := bytes.Cut(stream[:min(len(stream), len("OPTIONS "))], []byte(" "))
	if !ok {
		return false
	}
	switch string(method) {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PRI":
		return true
	}
	return false
}
