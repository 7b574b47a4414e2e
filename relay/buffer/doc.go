// Package buffer holds the bytes that are between the two sides of a connection: pooled
// memory for a copy ([Chunk]) and kernel pipes for a splice ([Pipe]). A connection holds
// one only while there are bytes in it.
//
// A pool belongs to one loop, and only that loop's thread uses it.
package buffer
