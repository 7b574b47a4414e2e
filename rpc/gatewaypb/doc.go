// Package gatewaypb holds the messages of the guests' API. gateway.proto is written by
// hand; `make generate` generates gateway.pb.go from it and needs neither protoc nor a
// plugin. A test fails if one was changed without the other.
package gatewaypb

//go:generate go run -C generate . ..
