# Run `make` to see what there is. Go, git, a C compiler and, for `make test`, Prometheus, jq, curl
# and podman are all it needs: what else it uses is built from source at a pinned version.

# A development build is named after its commit; a copy without git has no name.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  = $(shell git rev-parse --verify --quiet HEAD 2>/dev/null || echo unknown)
LDFLAGS = -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# The image is made for these. Its files are as old as the commit, so that who builds it again gets the same.
PLATFORMS          = linux/amd64 linux/arm64
IMAGE             ?= localhost/tokenreview-webhook:$(VERSION)
ARCHIVE           ?= bin/tokenreview-webhook.oci.tar
IMAGE_CONTEXT     ?= bin/image
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# The race detector needs cgo.
RACE = $(if $(filter 1,$(shell go env CGO_ENABLED)),$(if $(shell command -v $$(go env CC)),-race))

# Every folder with a go.mod, and those of them with code.
MODULES      = . e2e e2e/certmanager e2e/kubernetes e2e/talos internal/tools
CODE_MODULES = . e2e e2e/talos internal/tools

# How long make chaos has each fault last, at least.
DURATION = 30s

# How long `make fuzz` stays with each target: a time, or a count such as 100000x.
FUZZTIME ?= 1m

# Fuzz targets are found, so that none can be forgotten: first the packages that have any.
FUZZ_PACKAGES = $(shell grep -rl --include='*_test.go' '^func Fuzz' cmd internal pkg | xargs -n 1 dirname | sort -u)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build image image-context image-certificates podman run test test-unit monitoring fuzz-briefly fuzz e2e chaos bench lint vulncheck fmt clean golangci-lint

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "make %-10s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build bin/webhook
	@echo '==> Building bin/webhook. The first time it downloads and compiles what it depends on: minutes.'
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)' -o bin/webhook ./cmd/webhook

# One platform after the other: podman puts those of one build into the index in any order.
# Not in TMPDIR: podman takes no path of more than 50 characters.
image: podman image-context ## Build the image for amd64 and arm64, as an OCI archive and without a registry. Needs podman
	@echo '==> Building $(ARCHIVE): $(IMAGE)'
	@set -e; storage=$$(mktemp -d /tmp/tokenreview-image.XXXXXX); trap 'rm -rf "$$storage"' EXIT; \
		podman="podman --root $$storage/root --runroot $$storage/run --storage-driver vfs"; \
		for platform in $(PLATFORMS); do \
			$$podman build --quiet --file Dockerfile --manifest '$(IMAGE)' --platform $$platform \
				--isolation chroot --no-cache --layers=false --identity-label=false --timestamp $(SOURCE_DATE_EPOCH) \
				--build-arg VERSION='$(VERSION)' --build-arg COMMIT='$(COMMIT)' '$(IMAGE_CONTEXT)' >/dev/null; \
		done; \
		$$podman manifest push --quiet --all --format oci '$(IMAGE)' "oci:$$storage/image:$(IMAGE)"; \
		tar --create --file '$(ARCHIVE)' --directory "$$storage/image" --format ustar --sort name --mtime @$(SOURCE_DATE_EPOCH) \
			--owner 0 --group 0 --numeric-owner --mode u=rwX,go=rX oci-layout index.json blobs
	@sha256sum '$(ARCHIVE)'

# Nothing in the image is built by a container, so nothing is emulated: Go compiles for any platform.
image-context: image-certificates
	@set -e; for platform in $(PLATFORMS); do echo "==> Building $(IMAGE_CONTEXT)/$$platform/webhook"; \
		CGO_ENABLED=0 GOOS=$${platform%/*} GOARCH=$${platform#*/} go build -trimpath -buildvcs=false -ldflags '-s -w $(LDFLAGS)' \
			-o '$(IMAGE_CONTEXT)'/$$platform/webhook ./cmd/webhook; done

image-certificates:
	@mkdir -p '$(IMAGE_CONTEXT)'
	@go run -C internal/tools ./cacertificates > '$(IMAGE_CONTEXT)/ca-certificates.crt'

podman:
	@command -v podman >/dev/null || { echo >&2 \
		'podman is missing (Debian, Ubuntu: apt-get install --no-install-recommends podman runc)'; exit 1; }

run: build ## Try it: the webhook beside demo issuers, every acceptance case reviewed, then serving. ONCE=1 exits instead
	@echo '==> Building bin/demo'
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/demo ./internal/demo
	@bin/demo --webhook bin/webhook $(if $(filter-out 0,$(ONCE)),--once)

test: test-unit monitoring e2e ## Run every test, those with the real API server and Prometheus included

test-unit: ## Run the tests that need nothing but Go
	@echo '==> Testing the webhook$(if $(RACE),, without the race detector: it needs cgo and a C compiler)'
	go test $(RACE) ./...
	go test -C internal/tools ./...
	@echo '==> Fuzzing each target briefly'
	@$(MAKE) --no-print-directory fuzz-briefly

monitoring: ## Check the rules for Prometheus, and test what the alerts fire for. Needs promtool
	@command -v promtool >/dev/null || { echo >&2 \
		'promtool is missing: install Prometheus 2.40 or later (Debian, Ubuntu: apt-get install --no-install-recommends prometheus)'; exit 1; }
	@echo '==> Testing the rules for Prometheus'
	promtool check rules manifests/monitoring/prometheus-rules.yaml
	promtool test rules manifests/monitoring/*.test.yaml

# It goes without coverage, which would have everything compiled anew, and by count: a
# time that is up is sometimes reported as a failure (go.dev/issue/75804).
fuzz-briefly:
	@mkdir -p bin/fuzz
	@go test $(RACE) -c -o bin/fuzz/ $(addprefix ./,$(FUZZ_PACKAGES))
	@set -e; for package in $(FUZZ_PACKAGES); do \
		cd "$(CURDIR)/$$package"; binary="$(CURDIR)/bin/fuzz/$${package##*/}.test"; \
		for target in $$("$$binary" -test.list '^Fuzz'); do \
			said=$$("$$binary" -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime 1000x -test.fuzzcachedir "$(CURDIR)/bin/fuzz" 2>&1) \
				|| { echo "$$said"; exit 1; }; \
			echo "ok  	$$package $$target"; \
		done; \
	done

# Where no more than "context deadline exceeded" is said, nothing is found: see above.
fuzz: ## Look for inputs that break what must hold for any, with each fuzz target for FUZZTIME=1m
	@echo '==> Fuzzing. The first time it compiles everything anew, with coverage: minutes'
	@set -e; for package in $(FUZZ_PACKAGES); do \
		for target in $$(go test -list '^Fuzz' "./$$package" | grep '^Fuzz'); do \
			echo "==> $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$package"; \
		done; \
	done

e2e: ## Run the tests with a real kube-apiserver, built once in about five minutes, Prometheus and, where it runs, podman
	@echo '==> Building kube-apiserver, kubectl and etcd, unless an earlier run has'
	cd e2e && go run ./cmd/binaries
	@echo '==> Testing the webhook with a real kube-apiserver, Prometheus and podman'
	cd e2e && go test -v -count=1 -timeout=30m -p 1 ./...

chaos: ## Break issuers, files and the webhook under load, each fault for DURATION=30s. REPORT=1 writes docs/reliability.md
	@echo '==> Breaking things under load, for $(DURATION) each: some minutes'
	cd e2e && go test -v -count=1 -timeout=2h ./chaos -duration=$(DURATION) -pace=10ms \
		$(if $(filter-out 0,$(REPORT)),-report='$(CURDIR)/docs/reliability.md')

# Its exit code is 1 if what must be reached is not, and the report is written all the same.
bench: build ## Measure how fast it is, beside the signature, kube-apiserver's authenticator and an idle server. Writes docs/performance.md
	@echo '==> Building bin/bench'
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -o bin/bench ./bench
	@echo '==> Measuring: some twenty minutes, in which the machine should do nothing else'
	@bin/bench -webhook bin/webhook -out docs/performance.md

lint: golangci-lint ## Check formatting, vet, lint, that every go.mod is tidy, and known vulnerabilities if their database can be reached
	@echo '==> gofmt'
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "not formatted, run make fmt:"; echo "$$files"; exit 1; fi
	@set -e; for module in $(MODULES); do echo "==> go vet in $$module"; (cd $$module && go vet ./...); done
	@set -e; for module in $(CODE_MODULES); do echo "==> golangci-lint in $$module"; \
		(cd $$module && "$(CURDIR)/bin/golangci-lint" run --allow-serial-runners ./...); done
	@set -e; for module in $(MODULES); do echo "==> go mod tidy -diff in $$module"; (cd $$module && go mod tidy -diff); done
	@echo '==> go mod tidy -diff in e2e/talos, talos-1.13.mod'
	@cd e2e/talos && go mod tidy -diff -modfile=talos-1.13.mod
	@$(MAKE) --no-print-directory vulncheck UNREACHABLE_DB_IS_FINE=1

vulncheck: ## Look for known vulnerabilities in what is compiled in. VULNDB=URL for a mirror of the database
	@echo '==> Building bin/govulncheck'
	@cd internal/tools && CGO_ENABLED=0 go build -buildvcs=false -o "$(CURDIR)/bin/govulncheck" golang.org/x/vuln/cmd/govulncheck
	@echo '==> govulncheck'
	@out=$$(bin/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... 2>&1); code=$$?; echo "$$out"; \
		case "$$out" in *'fetching vulnerabilities'*) \
			if [ -n '$(UNREACHABLE_DB_IS_FINE)' ]; then echo 'Known vulnerabilities were not looked for.'; code=0; fi;; esac; \
		exit $$code

golangci-lint:
	@echo '==> Building bin/golangci-lint, the first time in about two minutes'
	cd internal/tools && CGO_ENABLED=0 go build -buildvcs=false -o "$(CURDIR)/bin/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint

fmt: ## Format all Go files
	gofmt -w .

clean: ## Remove what make built, and the demo's folder. Certificates stay: make run goes on with them
	rm -rf bin .run
