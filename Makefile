# Run `make` to see what there is. Go, git and a C compiler are all it needs: what
# else it uses is built from source at a pinned version.

# A development build is named after its commit; a copy without git has no name.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  = $(shell git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
LDFLAGS = -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The race detector needs cgo.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),$(if $(shell command -v $$(go env CC)),-race))

# Every folder with a go.mod, and those of them with code.
MODULES      = . e2e e2e/kubernetes internal/tools
CODE_MODULES = . e2e

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build run test test-unit e2e lint fmt clean golangci-lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-10s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/webhook
	@echo '==> Building bin/webhook. The first time it downloads and compiles what it depends on: minutes.'
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/webhook ./cmd/webhook

run: build ## Try it: the webhook beside demo issuers, every acceptance case reviewed, then serving. ONCE=1 exits instead
	@echo '==> Building bin/demo'
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/demo ./internal/demo
	@bin/demo --webhook bin/webhook $(if $(filter-out 0,$(ONCE)),--once)

test: test-unit e2e ## Run every test, those with the real API server included

test-unit: ## Run the tests that need nothing but Go
	@echo '==> Testing the webhook$(if $(RACE),, without the race detector: it needs cgo and a C compiler)'
	go test $(RACE) ./...

e2e: ## Run the tests with a real kube-apiserver. Building it takes about five minutes, once
	@echo '==> Building kube-apiserver, kubectl and etcd, unless an earlier run has'
	cd e2e && go run ./cmd/binaries
	@echo '==> Testing the webhook with a real kube-apiserver'
	cd e2e && go test -v -count=1 -timeout=30m ./...

lint: golangci-lint ## Check formatting, vet, lint, and that every go.mod is tidy
	@echo '==> gofmt'
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run make fmt:"; echo "$$files"; exit 1; fi
	@set -e; for module in $(MODULES); do echo "==> go vet in $$module"; (cd $$module && go vet ./...); done
	@set -e; for module in $(CODE_MODULES); do echo "==> golangci-lint in $$module"; \
		(cd $$module && "$(CURDIR)/bin/golangci-lint" run --allow-serial-runners ./...); done
	@set -e; for module in $(MODULES); do echo "==> go mod tidy -diff in $$module"; (cd $$module && go mod tidy -diff); done

golangci-lint:
	@echo '==> Building bin/golangci-lint, the first time in about two minutes'
	cd internal/tools && CGO_ENABLED=0 go build -buildvcs=false -o "$(CURDIR)/bin/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint

fmt: ## Format all Go files
	gofmt -w .

clean: ## Remove what make built, and the demo's folder. Certificates stay: make run goes on with them
	rm -rf bin .run
