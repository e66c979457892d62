# The commands of this project. `make help` lists them.
# On a fresh machine `make serve` and `make test` need Python 3.11 or later, cargo and a network; nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Arguments for the command: `make serve ARGS="--workers 4"`, `make test ARGS="-k ranges"`.
ARGS ?=
# Tests at once: most wait for servers, not for a processor.
JOBS ?= 3

# Clients and registries that the tests use where they are there, pinned. Go builds them into .tools.
CRANE := github.com/google/go-containerregistry/cmd/crane@v0.22.1
ORAS := oras.land/oras/cmd/oras@v1.3.6
REGCTL := github.com/regclient/regclient/cmd/regctl@v0.11.7
# These two are large: together some four minutes on two processors, the first time.
HELM := helm.sh/helm/v4/cmd/helm@v4.3.1
COSIGN := github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3
CONFORMANCE := github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111
REGISTRY := github.com/distribution/distribution/v3/cmd/registry@v3.1.1
TOOLS := $(CURDIR)/.tools/bin

# Stamps: each is newer than what it was made from, or it is made again.
INSTALLED := $(VENV)/.installed
EXTENSION := $(VENV)/.extension
RUST := Cargo.toml Cargo.lock pyproject.toml $(shell find rust -name '*.rs' -not -path '*/target/*') $(wildcard rust/*/Cargo.toml)

export PATH := $(CURDIR)/$(BIN):$(TOOLS):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup serve test conformance lint format bench bench-gate bench-gate-selftest bench-peers ci wheel docs lock tools clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(EXTENSION) ## Make .venv with everything locked, and build the extension where Rust sources changed

serve: setup ## Run the mirror on 127.0.0.1:5000 with its data in ./data
	$(BIN)/pyregistry serve $(ARGS)

test: setup tools ## Run the tests, Python and Rust
	cargo test --workspace --exclude pyregistry-native --quiet
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

lint: setup ## Check style, types, the extension's stub, and Rust
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest pyregistry._native
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings

format: setup ## Format Python and Rust
	$(BIN)/ruff check --fix --exit-zero --quiet
	$(BIN)/ruff format
	cargo fmt --all

conformance: setup tools ## Run the OCI conformance suite
	CI=true $(BIN)/python -m pytest tests/conformance $(ARGS)

bench: setup tools ## Run the benchmarks; SMOKE=1 runs each once, to see that it works
	$(BIN)/python -m pytest benches $(if $(SMOKE),--benchmark-disable,--benchmark-sort=name) $(ARGS)

bench-gate: setup ## Hold CPU time and instructions against those of the revision in benches/BASE
	$(BIN)/python -m benches.gate $(ARGS)

bench-gate-selftest: setup ## Prove that bench-gate sees slowdowns and passes equal things; takes an hour
	$(BIN)/python -m benches.gate --selftest $(ARGS)

bench-peers: setup tools ## Run pyregistry beside other registries that are here; writes docs/reference/benchmarks.md
	$(BIN)/python -m benches.peers $(ARGS)

ci: ## Do what CI does, from installing system packages on
	.ci/run

wheel: $(INSTALLED) ## Build the wheel into dist/
	$(BIN)/maturin build --release --locked --out dist

docs: setup ## Write the generated pages of docs/reference again
	$(BIN)/python -m pyregistry.config.reference > docs/reference/configuration.md

lock: ## Lock the newest dependencies that pyproject.toml allows (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --upgrade \
		--generate-hashes --no-header --no-annotate --quiet --output-file requirements-dev.lock

tools: ## Build the clients, registry and conformance suite that tests use into .tools, if Go is there
	@for tool in crane=$(CRANE) registry=$(REGISTRY) conformance=$(CONFORMANCE) \
		oras=$(ORAS) regctl=$(REGCTL) helm=$(HELM) cosign=$(COSIGN); do \
		if ! command -v "$${tool%%=*}" >/dev/null && command -v go >/dev/null; then \
			echo "go install $${tool#*=}"; \
			GOBIN=$(TOOLS) go install "$${tool#*=}" || echo "$${tool%%=*} is not installed: its tests are skipped"; \
		fi; \
	done
	@if ! command -v estargz >/dev/null && command -v go >/dev/null; then \
		echo 'go build tests/clients/estargz'; \
		go build -C tests/clients/estargz -o $(TOOLS)/estargz . || echo 'estargz is not built: its test is skipped'; \
	fi

clean: ## Remove what was built; ./data stays
	rm -rf $(VENV) .tools target dist build pyregistry/_native*.so

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): requirements-dev.lock | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Not `maturin develop`: it wants a pip newer than Python 3.11 brings. The build is the same, optimised.
$(EXTENSION): $(INSTALLED) $(RUST)
	@echo 'building the extension; the first time takes minutes'
	MATURIN_PEP517_ARGS=--locked $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation --editable .
	@touch $@
