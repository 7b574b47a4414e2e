// Package store keeps small values under keys, in numbered revisions. Store (store.go) is the
// contract. Bolt is the engine for one gateway, in one file:
//
//	bolt.go     the methods of Store, and the one writer
//	open.go     opening a file: its owner, its lock, its checks
//	file.go     the pairs in the file, each with its checksum
//	history.go  the latest changes, for watchers
//
// A damaged file is reported and left as it is. The package knows nothing of what the values
// mean.
package store
