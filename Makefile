# `make test` and `make demo` each set up all they need: a fresh clone and a Python 3.11 are enough.
# What they do beyond that lies in noxfile.py. Installed packages are compiled, as pip does anyway:
# without bytecode every start-up time that is measured here would be twice what it is.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: test demo setup by-uv by-pip system clean

test: setup
	@$(BIN)/nox -s check

demo: setup
	@$(BIN)/towline demo

setup: system $(READY)

# A lock with hashes, then the project in place; the build backend is in the lock. uv is only the
# quicker way: where it is missing or fails, pip does the same.
$(READY): requirements/dev.txt pyproject.toml
	@if uv --version >/dev/null 2>&1 && $(MAKE) -s by-uv; then :; else $(MAKE) -s by-pip; fi
	@touch $@

by-uv:
	@echo "setup: .venv by uv, from requirements/dev.txt"
	@test -x $(BIN)/python || uv venv -q -p $(PYTHON) .venv
	@uv pip install -q -p $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	@uv pip install -q -p $(BIN)/python --no-deps --no-build-isolation -e .

by-pip:
	@echo "setup: .venv by pip, from requirements/dev.txt"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .

system:
	@PYTHON=$(PYTHON) sh requirements/system.sh

clean:
	rm -rf .venv .nox .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
