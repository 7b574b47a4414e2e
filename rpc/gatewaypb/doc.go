// Package gatewaypb holds the messages of the guests' API. gateway.proto is
// written by hand, gateway.pb.go is generated from it by `make generate`, which
// needs neither protoc nor a plugin. A test tells when one was changed without
// the other.
package gatewaypb

//go:generate go run -C generate . ..
