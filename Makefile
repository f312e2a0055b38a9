# Every target installs what it needs; nothing outside this folder is changed but by install-service and uninstall-service,
# and for Debian packages that are missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PROGRAMS := $(VENV)/.programs
INSTALLED := $(VENV)/.installed
AUDIT := .venv-audit
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: setup programs demo test test-again docs screenshots check bench soak defences test-compose audit sbom fuzz lock install-service uninstall-service

setup: $(INSTALLED)

# What it takes to run the three programs; everybody else needs the tools of `setup` as well, which are twice as much.
programs: $(PROGRAMS)

$(PROGRAMS): requirements/runtime.txt pyproject.toml tools/debian-packages
	@tools/debian-packages mosquitto python3-venv
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "error: $$($(PYTHON) --version) is not Python 3.11 to 3.13" >&2; \
	       echo "hint: name one that is: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(INSTALLED): requirements/development.txt $(PROGRAMS)
	@echo "installing the tools of development into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/development.txt
	@touch $@

demo: programs
	@$(BIN)/python -m tools.demo $(if $(IMAGE),"$(IMAGE)")

test: setup
	@tools/debian-packages mandoc mosquitto-clients openssl postgresql faketime chromium systemd
	$(BIN)/pytest --numprocesses 2 --dist loadscope -m "not compose"

# The pictures of the gallery in docs/pictures, by the tests that look at these pages; with the fonts that they were taken with.
screenshots: setup
	@tools/debian-packages chromium fonts-liberation
	PICTURES=docs/pictures $(BIN)/pytest -k axe_finds tests/browser/test_barriers.py

# What failed the last time, alone: nothing else runs beside it. Fails where nothing did.
test-again: setup
	$(BIN)/pytest --last-failed --last-failed-no-failures none -p no:xdist -m "not compose"

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# docs/reference/ and docs/man/, from the commands themselves; a test says when they are stale.
docs: setup
	@$(BIN)/python -m tools.reference

bench: setup
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.catalogue
	$(BIN)/python -m benchmarks.decoding
	$(BIN)/python -m benchmarks.flood
	$(BIN)/python -m benchmarks.logins
	$(BIN)/python -m benchmarks.watching
	$(BIN)/python -m benchmarks.album
	@tools/debian-packages chromium
	$(BIN)/python -m benchmarks.gallery
	$(BIN)/python -m benchmarks.newcomer

# Everything is killed again and again while images are posted: nothing lost, nothing twice. About ten minutes.
soak: setup
	PYTHONPATH=.:tests $(BIN)/python -m faults.soak

# Each defence of docs/threats.md is taken out of a copy, and its test has to fail. `make defences ATTACKS="…"` names some.
defences: setup
	PYTHONPATH=.:tests $(BIN)/python -m defences $(ATTACKS)

test-compose: setup
	$(BIN)/pytest -m compose tests/compose

$(AUDIT)/.installed: requirements/audit.txt | setup
	@$(PYTHON) -m venv $(AUDIT)
	@$(AUDIT)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt
	@touch $@

# The code, secrets in tracked files (the keys of the test vectors are made up), the bill of materials, and advisories about
# the locked packages. Without the advisory service this fails: `--strict`, since pip-audit passes over what it cannot find.
audit: $(AUDIT)/.installed sbom
	$(AUDIT)/bin/bandit --quiet --configfile pyproject.toml --recursive broker common publisher registrar subscriber
	git ls-files -z -- . ':!tests/vectors/readers/*.pem' | xargs -0 $(AUDIT)/bin/detect-secrets-hook \
	  --disable-plugin Base64HighEntropyString --disable-plugin HexHighEntropyString --disable-plugin KeywordDetector
	@for lock in runtime development; do \
	  $(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --requirement requirements/$$lock.txt \
	    || { echo "error: requirements/$$lock.txt: a package has an advisory, or could not be looked up (see above)" >&2; \
	         exit 1; }; \
	done

# CycloneDX, of what is installed to run Sealcast; the same lock gives the same bytes.
sbom: $(AUDIT)/.installed
	@mkdir -p dist
	$(AUDIT)/bin/python -W ignore::UserWarning -m cyclonedx_py requirements --pyproject pyproject.toml \
	  --output-reproducible --validate --output-file dist/sbom.cdx.json requirements/runtime.txt

# Each target for FUZZ_SECONDS (60). `make fuzz KEEP=--keep` merges what was found into the corpus, `TARGETS=cms` names some.
fuzz: setup
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/fuzzing.txt \
	  || { echo "error: atheris cannot be installed: it has wheels for Linux on x86-64 only" >&2; exit 1; }
	cd tests && PYTHONPATH=..:. ../$(BIN)/python -m fuzz $(TARGETS) $(KEEP)

# Resolves anew and writes the hashes; the files name no host.
lock: setup
	PATH="$(abspath $(BIN)):$$PATH" tools/lock

# SERVICE is subscriber or watch, for the user who types it, or registrar, for the machine (docs/services.md). DESTDIR is put
# before every path.
SERVICE ?= subscriber
install-service uninstall-service: %-service:
	@tools/debian-packages python3-venv $(if $(filter registrar,$(SERVICE)),mosquitto)
	@$(PYTHON) tools/install_service.py $* $(SERVICE) $(if $(DESTDIR),--root "$(DESTDIR)")
