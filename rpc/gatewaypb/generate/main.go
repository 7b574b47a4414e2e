// Command generate writes rpc/gatewaypb/gateway.pb.go from the gateway.proto of the
// folder in its argument. protocompile parses the source instead of protoc, and then the
// generator of protoc-gen-go runs in this process.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

const source = "gateway.proto"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: generate <folder of " + source + ">")
	}
	if err := generate(os.Args[1]); err != nil {
		log.Fatal("generate: ", err)
	}
}

func generate(dir string) error {
	file, err := compile(dir)
	if err != nil {
		return err
	}
	gen, err := protogen.Options{}.New(&pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{source},
		ProtoFile:      []*descriptorpb.FileDescriptorProto{file},
		Parameter:      proto.String("paths=source_relative"),
	})
	if err != nil {
		return err
	}
	for _, f := range gen.Files {
		internal_gengo.GenerateFile(gen, f)
	}
	answer := gen.Response()
	if answer.Error != nil || len(answer.File) != 1 {
		return fmt.Errorf("protoc-gen-go: %s (%d files)", answer.GetError(), len(answer.File))
	}
	return write(dir, answer.File[0].GetContent())
}

func compile(dir string) (*descriptorpb.FileDescriptorProto, error) {
	c := protocompile.Compiler{
		Resolver:       &protocompile.SourceResolver{ImportPaths: []string{dir}},
		SourceInfoMode: protocompile.SourceInfoStandard, // the comments
	}
	files, err := c.Compile(context.Background(), source)
	if err != nil {
		return nil, err
	}
	return protoutil.ProtoFromFileDescriptor(files[0]), nil
}

// write ends the code with the hash of its source, by which a test sees without
// this program, and without a network, that both belong together.
func write(dir, code string) error {
	text, err := os.ReadFile(filepath.Join(dir, source))
	if err != nil {
		return err
	}
	code += fmt.Sprintf("\n// SHA-256 of %s: %x\n", source, sha256.Sum256(text))
	return os.WriteFile(filepath.Join(dir, "gateway.pb.go"), []byte(code), 0o644)
}
