# `make help` lists the targets. PYTHON=python3.12 selects the interpreter; SECONDS=180 stops the demo after 180 seconds.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9%-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

# constraints.txt pins every version: pip fails rather than install one that was not tested
$(INSTALLED): pyproject.toml constraints.txt deploy/venv.sh
	@echo "setting up .venv (a minute, once)"
	@test -x $(BIN)/pip || PYTHON=$(PYTHON) deploy/venv.sh .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[stack,dev]'
	@touch $@

.PHONY: setup
setup: $(INSTALLED) ## Make the virtual environment with everything in it

.PHONY: demo
demo: $(INSTALLED) ## Run everything on this machine and watch it (SECONDS=180: stop after 180 s)
	@$(BIN)/jelmon demo $(if $(SECONDS),--seconds $(SECONDS))

.PHONY: test
test: check ## Set up what is missing, then run every check and all tests
	@$(BIN)/pytest -n 6 --dist worksteal -m "not quiet"
	@$(BIN)/pytest -m quiet

.PHONY: check
check: lint types imports drift ## Lint, types, imports and drift, without tests

.PHONY: lint
lint: $(INSTALLED) ## Style and common mistakes
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check . || { echo "run: make fmt"; exit 1; }

.PHONY: types
types: $(INSTALLED) ## Strict static types
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
e2e: $(INSTALLED) ## Only the end-to-end tests
	@$(BIN)/pytest tests/e2e

.PHONY: golden
golden: $(INSTALLED) ## Rewrite the golden files of the tests
	@$(BIN)/pytest -q tests/generators --golden

.PHONY: bench
bench: $(INSTALLED) ## Every benchmark, each against the obvious alternative
	@set -e; for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file; done

bench-%: $(INSTALLED) ## One benchmark: bench-exporter, bench-client, bench-compiler, ...
	@$(BIN)/python benchmarks/bench_$*.py

.PHONY: coverage
coverage: $(INSTALLED) ## Tests with branch coverage
	@$(BIN)/coverage run -m pytest -q
	@$(BIN)/coverage report --skip-covered

.PHONY: clean
clean: ## Remove the virtual environment, builds and caches
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .grimp_cache .hypothesis .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: wheel
wheel: $(INSTALLED) ## Build the source distribution and the wheel in dist/
	@rm -rf build dist && mkdir dist
	@$(BIN)/python -c 'from setuptools import build_meta as b; print(b.build_sdist("dist")); print(b.build_wheel("dist"))'
	@rm -rf build
