# `make help` lists the targets. PYTHON=python3.12 chooses the interpreter; SECONDS=180 ends the demo by itself.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# pip would rather fail than take a version that nobody tried: constraints.txt pins them all
$(INSTALLED): pyproject.toml constraints.txt deploy/venv.sh
	@echo "setting up .venv (a minute, once)"
	@test -x $(BIN)/pip || PYTHON=$(PYTHON) deploy/venv.sh .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[stack,dev]'
	@touch $@

.PHONY: setup
setup: $(INSTALLED) ## Make the virtual environment with everything in it

.PHONY: demo
demo: $(INSTALLED) ## Run the whole line here and watch it (SECONDS=180: end by itself)
	@$(BIN)/jelmon demo $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: test
test: check ## Set up what is missing, then lint, types, imports, drift and all tests
	@$(BIN)/pytest -n 6 --dist worksteal

.PHONY: check
check: lint types imports drift ## Everything that `test` checks but the tests

.PHONY: lint
lint: $(INSTALLED) ## Style and common faults
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: make fmt"; exit 1; }

.PHONY: types
types: $(INSTALLED) ## Static types, strict
	@$(BIN)/mypy

.PHONY: imports
imports: $(INSTALLED) ## Imports point one way
	@$(BIN)/lint-imports --no-logo

.PHONY: drift
drift: $(INSTALLED) ## Generated files match their sources
	@$(BIN)/jelmon generate --check

.PHONY: rules
rules: $(INSTALLED) ## Compile rules/ and the dashboards
	@$(BIN)/jelmon generate

.PHONY: fmt
fmt: $(INSTALLED) ## Format the code
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format --quiet .

.PHONY: e2e
e2e: $(INSTALLED) ## Only the tests over the whole line
	@$(BIN)/pytest tests/e2e

.PHONY: golden
golden: $(INSTALLED) ## Rewrite the golden files of the tests
	@$(BIN)/pytest -q tests/generators --golden

.PHONY: bench
bench: $(INSTALLED) ## Speed, each beside the obvious alternative in the same run
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

bench-%: $(INSTALLED) ## One of them: bench-exporter, bench-client, bench-compiler, ...
	@$(BIN)/python benchmarks/bench_$*.py

.PHONY: coverage
coverage: $(INSTALLED) ## Tests with branch coverage
	@$(BIN)/coverage run -m pytest -q
	@$(BIN)/coverage report --skip-covered

.PHONY: clean
clean: ## Remove the virtual environment and what tools left
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage src/*.egg-info
