# make demo   the whole stack, 10,000 cards in and out, every figure checked
# make test   checks, then all tests on real servers
# Both set up everything they need. Works from any folder: make -C "path with spaces" demo

.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
ARGS ?=

.PHONY: help install install-dev demo up test check bench torture fuzz clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: ## .venv with the locked packages and the extrophi command
	@scripts/install embedded

install-dev:
	@scripts/install dev

demo: install ## start the whole stack, import and export 10,000 cards, check every figure, stop
	@.venv/bin/extrophi demo $(ARGS)

up: install ## the stack in the foreground; Ctrl-C stops all of it
	@.venv/bin/extrophi up $(ARGS)

check: install-dev ## format, lint, types, layers, migrations equal tables
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	.venv/bin/lint-imports --no-cache
	$(PY) -m backend.embedded.check_migrations

test: check ## check, then the whole test suite, integration tests included
	$(PY) -m pytest -n auto --dist loadfile --no-loadscope-reorder --integration $(ARGS)

bench: ## our figures beside raw COPY's and peers', in one run
	@scripts/install bench
	$(PY) -m benchmarks $(ARGS)

torture: install-dev ## imports under random kills of every process
	$(PY) -m backend.tests.faults.torture $(ARGS)

fuzz: install-dev ## schema-driven and property fuzzing, at full length
	$(PY) -m pytest backend/tests/fuzz --integration --long $(ARGS)

clean: ## remove what was made here, data included
	rm -rf .venv .data .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
