# Every target installs what it needs; nothing outside this folder is changed but for Debian packages that are missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: setup demo test check bench soak test-compose lock

setup: $(INSTALLED)

$(INSTALLED): requirements/development.txt pyproject.toml tools/debian-packages
	@tools/debian-packages mosquitto python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $$($(PYTHON) --version) is not Python 3.11 to 3.13" >&2; \
	       echo "hint: name one that is: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup
	@$(BIN)/python -m tools.demo $(if $(IMAGE),"$(IMAGE)")

test: setup
	@tools/debian-packages mosquitto-clients openssl postgresql faketime
	$(BIN)/pytest --numprocesses 2 --dist loadscope -m "not compose"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.catalogue

# Everything is killed again and again while images are posted: nothing lost, nothing twice. About ten minutes.
soak: setup
	PYTHONPATH=.:tests $(BIN)/python -m faults.soak

test-compose: setup
	$(BIN)/pytest -m compose tests/compose

# Resolves anew and writes the hashes; the files name no host.
lock: setup
	PATH="$(abspath $(BIN)):$$PATH" tools/lock
