# A list of shortcuts; what the checks do is written in .ci/run.
.DEFAULT_GOAL := help
.PHONY: help check check-20 test race lint fuzz cross e2e bench bench-go fmt

help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: ## what CI runs, without installing packages and without nginx
	bash .ci/run test format lint imports modules cross race repeat fuzz realservers

check-20: ## part of check: the tests of the library and the command, 20 times in a row
	REPEAT_COUNT=20 bash .ci/run repeat

test: ## all tests
	go test ./...

race: ## all tests with the race detector; they must leave nothing behind
	bash .ci/run race

lint: ## gofmt, gofumpt, go vet, staticcheck, the import rule, go.mod
	bash .ci/run format lint imports modules

fuzz: ## each fuzz target for some seconds (FUZZ_EACH=4 FUZZ_ALL=60)
	bash .ci/run fuzz

cross: ## build and vet for every system that is promised
	bash .ci/run cross

e2e: ## the library against real servers, and the built command against nginx (needs nginx, curl, openssl, jq)
	bash .ci/run realservers e2e

bench: ## against other tools (needs nginx; ARGS='-only plain -runs 3', see docs/benchmarks.md)
	cd bench && go run . $(ARGS)

bench-go: ## the benchmarks in the code, compared with bench/results/go.txt
	bash .ci/bench-go

fmt: ## format all Go files
	go tool -modfile=tools/go.mod gofumpt -w .
