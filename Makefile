# Everything runs in .venv, which `make setup` builds from pyproject.toml and constraints.txt.
# Needs Python 3.11 or newer, make and git. Another interpreter: make PYTHON=python3.12 setup

SHELL := bash
PYTHON ?= python3
WORKERS ?= 2

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Each file is a benchmark; the folders beside them hold what benchmarks are made of.
BENCHMARKS = $(wildcard benchmarks/*.py)
CACHES := .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .numba_cache

.DEFAULT_GOAL := help
.PHONY: help setup demo kafka flink mlflow test lint bench soak clean

help:
	@echo "make setup   build .venv (once, and again when the requirements change)"
	@echo "make demo    the whole loop on shipped real data"
	@echo "make kafka   a local Kafka broker until Ctrl-C (needs Java 17 and Maven)"
	@echo "make flink   a local Flink cluster until Ctrl-C (needs Java 17 and Maven)"
	@echo "make mlflow  a local MLflow server until Ctrl-C"
	@echo "make test    all tests"
	@echo "make lint    style, types and import walls"
	@echo "make bench   every benchmark, then one line a figure"
	@echo "make soak    long kill, fault and endurance tests (MILLSTREAM_SOAK_SHARE=0.05: a twentieth)"
	@echo "make clean   remove .venv, caches and builds"

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "millstream needs Python 3.11 or newer, received: $$($(PYTHON) --version 2>&1)." \
	    "Name another one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv \
	  && $(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[dev,mlflow-server,sentences]' \
	  || $(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev,mlflow-server,sentences]'
	@touch $@

demo: setup
	$(BIN)/millstream demo

kafka: setup
	$(BIN)/python -m infra.kafka

flink: setup
	$(BIN)/python -m infra.flink

mlflow: setup
	$(BIN)/python -m infra.mlflow

test: setup
	$(BIN)/pytest -n $(WORKERS) --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; set -o pipefail; failed=; \
	for file in $(BENCHMARKS); do \
	  echo "== $$file"; \
	  $(BIN)/python -u "$$file" | tee -a "$$out" || failed="$$failed $$file"; \
	done; \
	echo "== figures"; grep -E '^(FIGURE|SKIPPED) ' "$$out"; \
	test -z "$$failed" || { echo "failed:$$failed" >&2; exit 1; }

soak: setup
	$(BIN)/pytest -m soak --timeout=0 -s

clean:
	rm -rf $(VENV) $(CACHES) build dist
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
