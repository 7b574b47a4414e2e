// Package dstackagent asks the dstack guest agent of the CVM that this process runs in for
// keys with certificates, for quotes, and for information about the CVM. The protocol is
// HTTP over a Unix socket, POST /<Method>?json; byte fields are hex.
//
// The package checks only the form and the size of an answer. It judges no certificate and
// no quote, and tries each call once.
//
// Read client.go for the call and messages.go for the methods.
package dstackagent
