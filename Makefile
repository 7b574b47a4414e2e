# Everything a developer or a pipeline runs. `make demo` and `make test` need
# Go, make and git; what else the tests use, .ci/packages.sh installs (as root).

GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X sallyport/internal/buildinfo.version=$(VERSION) -X sallyport/internal/buildinfo.commit=$(COMMIT)

FUZZTIME ?= 30s
IMAGE    = sallyport-gateway

.PHONY: build demo test test-kernel lint generate fuzz bench bench-quick bench-packages soak image clean

build:  ## one static file: bin/gateway
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/gateway ./cmd/gateway

demo: build  ## a gateway and two CVMs in one process, without root
	bin/gateway demo

test:  ## every test; names those that this machine cannot run
	bash .ci/test.sh ./...

test-kernel:  ## tunnel and isolation on kernels in virtual machines: KERNEL=6.12 for another than Debian's default
	bash .ci/kernel.sh $(KERNEL)

lint:  ## format, vet, tidy, linters, generated code
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted; exit 1; }
	go vet ./...
	go mod tidy -diff
	go run $(GOLANGCI) run ./...
	$(MAKE) generate
	git diff --exit-code -- rpc/gatewaypb || { echo "commit what make generate has changed"; exit 1; }

fuzz:  ## each fuzz target for $(FUZZTIME)
	FUZZTIME=$(FUZZTIME) bash .ci/fuzz.sh

bench: build  ## the gateway beside HAProxy and nginx: some 45 minutes with growth, tunnel and attacks, as root
	go run ./bench/cmd/measure compare --out bench/results
	go run ./bench/cmd/measure growth --out bench/results
	go run ./bench/cmd/measure tunnel --out bench/results
	go run ./bench/cmd/measure hostile --out bench/results

bench-quick: build  ## the same in less than a minute: a first look
	go run ./bench/cmd/measure compare --quick

bench-packages:  ## the packages' own benchmarks
	go test -run '^$$' -bench . -benchmem ./...

soak:  ## the long tests: GATEWAY_SOAK=30m each, and a thousand kills of a registry
	REGISTRY_KILLS=1000 bash .ci/test.sh -run Kill ./registry
	bash .ci/test.sh -tags soak -run Soak -timeout 2h ./e2e ./cmd/gateway ./acme/nameserver ./rpc

image:  ## the container image (needs docker)
	docker build --build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) -t $(IMAGE):$(VERSION) .

clean:
	rm -rf bin

generate:  ## code from .proto files, without protoc
	go generate ./rpc/gatewaypb
