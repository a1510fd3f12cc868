# Everything a person or CI does here. `make help` lists it.
PYTHON ?= python3
BIN := .venv/bin
DATA ?= tenfold-data
.DEFAULT_GOAL := help
.PHONY: help setup demo run test test-fast lint types bench ci clean

help: ## what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-10s %s\n", $$1, $$2}'

.venv/ready: requirements/dev.txt pyproject.toml demo/node/package-lock.json tests/node/package-lock.json
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@if command -v npm >/dev/null 2>&1; then for part in demo tests; do \
		npm ci --prefix $$part/node --silent --no-audit --no-fund || true; done; fi
	@tests/tools/pgbouncer || echo "no PgBouncer: the tests through a pooler are skipped"
	@touch $@

setup: .venv/ready ## install what is locked into .venv

demo: setup ## the main job, end to end: three shops, real clients, a real mail server
	$(BIN)/python -m demo

run: setup ## keep a server up under $(DATA)
	$(BIN)/tenfold serve --data-dir $(DATA)

test: setup ## all tests
	$(BIN)/pytest

test-fast: setup ## the tests that take no time
	$(BIN)/pytest -m "not slow"

lint: setup ## style and the order of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup ## pyright, strict
	$(BIN)/pyright

bench: setup ## the benchmarks, as ratios and JSON
	$(BIN)/tenfold bench --json bench.json

ci: lint types test ## what CI runs

clean: ## remove what was installed and made
	rm -rf .venv $(DATA)
