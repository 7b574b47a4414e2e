// Package dstackagent asks the dstack guest agent of the confidential VM that this
// process runs in: for keys with certificates, for quotes, for what the VM is. It
// is HTTP over a Unix socket, POST /<Method>?json; byte fields are hex.
//
// It checks the form and the size of an answer and nothing else: it judges no
// certificate and no quote, and it tries a call once.
//
// client.go has the call, messages.go the methods.
package dstackagent
