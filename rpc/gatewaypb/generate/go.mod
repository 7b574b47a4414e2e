// The generator is a module of its own, so that its compiler for .proto files
// stays out of the gateway's dependencies.
module sallyport/rpc/gatewaypb/generate

go 1.26.0

require (
	github.com/bufbuild/protocompile v0.14.1
	google.golang.org/protobuf v1.36.12
)

require golang.org/x/sync v0.8.0 // indirect
