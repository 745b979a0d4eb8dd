# What a user types. Needs Python 3.11 or later and make; everything else is brought by the first call.
#   make verify   the documented table, judged on real servers      make verify ARGS="--backend redis-sentinel"
#   make test     the test suite                                    make check   format, lint, types, imports
#   make bench    harness overhead against the bare driver          make install set up only

VENV ?= .venv
ARGS ?=
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
BIN := $(VENV)/bin

.PHONY: verify test check bench install clean
.DEFAULT_GOAL := verify

verify: $(VENV)/servers
	@$(BIN)/holdwater verify $(ARGS)

test: $(VENV)/servers
	$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/servers
	$(BIN)/python benchmarks/overhead.py $(ARGS)

install: $(VENV)/servers

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# Two stamps: packages from the index, then the servers that no package brings. Made anew when what they rest on changes.
$(VENV)/servers: $(VENV)/packages harness/deploy/install.py
	$(BIN)/python -m harness.deploy.install
	@touch $@

$(VENV)/packages: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "holdwater: no Python 3.11 or later on PATH (found: $$(python3 --version 2>&1)); set PYTHON=..." >&2; exit 3; }
	@$(PYTHON) -m venv $(VENV) || { echo "holdwater: $(PYTHON) has no working venv module; on Debian: apt install python3-venv" >&2; exit 3; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,servers]'
	@touch $@
