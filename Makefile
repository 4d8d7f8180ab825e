# vigil: streaming SQL for cyber defence. `make` lists the targets.
SHELL := /bin/bash
GO ?= go
export CGO_ENABLED ?= 0
PACKAGES ?= ./...
FUZZ_FOR ?= 30s
SOAK_FOR ?= 1h

.PHONY: help build test check race invariants fuzz bench demo golden crash soak faults kafka-jars clients docs clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/vigil
	$(GO) build -trimpath -o bin/vigil ./server/cmd/vigil

demo: build ## alerts on a simulated network under attack (LOG=FILE STREAM_FORMAT=json|evtx|zeek: on a real log)
	bin/vigil demo $(if $(LOG),--log "$(LOG)" --format "$(or $(STREAM_FORMAT),json)") $(DEMO_FLAGS)

test: ## everything that must pass; what needs more than Go is skipped by name where it is missing
	$(GO) test -shuffle=on $(PACKAGES)

check: ## format, vet, modules, then all tests
	@test -z "$$(gofmt -l .)" || { echo "gofmt is needed on:"; gofmt -l .; exit 1; }
	$(GO) vet $(PACKAGES)
	$(GO) mod tidy -diff
	$(GO) test -shuffle=on $(PACKAGES)

race: ## tests with the race detector (needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -short $(PACKAGES)

invariants: ## tests with every operator checked and its inputs poisoned after use
	$(GO) test -tags invariants ./executor/... ./tests/sim/...

fuzz: ## each fuzz test for FUZZ_FOR
	@for p in $$($(GO) list $(PACKAGES)); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ_FOR) $$p || exit 1; done; done

bench: ## the benchmarks, as ratios to baselines in the same run
	$(GO) test -run '^$$' -bench . -benchtime 1x ./tests/bench/

crash: ## kill -9 at random moments, ten times
	$(GO) test -count 10 -timeout 40m -v ./tests/crash/

soak: ## a mixed load for SOAK_FOR; a table of what the server holds, which must not grow
	$(GO) test -count 1 -timeout 0 -v -run TestSoak ./tests/soak/ -duration $(SOAK_FOR) -lines 60

faults: ## each call to the disk fails, the power goes at each; a day of simulation
	$(GO) test -count 1 -timeout 0 -v ./tests/faults/ -every -sim-hours 24 -sim-runs 10

golden: ## rewrite the golden files; read the diff before you commit it
	$(GO) test ./planner/... ./tests/sim/... ./tests/wire/... ./tests/slt/... -rewrite

kafka-jars: ## Apache Kafka for tests/kafka, by Maven
	mvn -q -B -f tests/kafka/pom.xml dependency:copy-dependencies -DoutputDirectory=target/jars

clients: ## the Postgres clients of tests/clients, by pip, npm, Maven and Go, at fixed versions
	test -x tests/clients/target/venv/bin/python || python3 -m venv tests/clients/target/venv
	tests/clients/target/venv/bin/python -m pip install -q --only-binary :all: -r tests/clients/python/requirements.txt
	npm ci --silent --no-fund --no-audit --prefix tests/clients/node
	mvn -q -B -f tests/clients/jdbc/pom.xml dependency:copy-dependencies -DoutputDirectory=target/jars
	cd tests/clients/libpq && $(GO) build -o ../target/libpq .

clean: ## remove what was built
	rm -rf bin tests/kafka/target tests/clients/target tests/clients/jdbc/target tests/clients/node/node_modules
