# Rarewave: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup test check clean

setup: .venv/.installed  ## .venv with everything the tests need

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[test,dev]'
	touch $@

test: setup  ## the whole suite
	$(BIN)/pytest

check: setup  ## format, lint, types, layers, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q -m 'not slow and not e2e'

clean:
	rm -rf .venv runs dist build
