# Rarewave: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-all check lint bench results leaderboard docs sbom audit chromium clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed  ## .venv with everything the tests need

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[test,dev]'
	touch $@

demo: .venv/.installed  ## fit, score and export the sample recordings, then serve them (HEADLESS=1: stop before)
	$(BIN)/rarewave demo --port $(PORT) $(if $(HEADLESS),--headless)

test: setup chromium  ## the whole suite
	$(BIN)/pytest -n 2 --dist loadfile -m 'not e2e and not extensive'
	$(BIN)/pytest -m 'e2e and not extensive'

test-all: setup chromium  ## the suite and the tests that take minutes
	$(BIN)/pytest -m ''

check: lint  ## format, lint, types, layers, docstrings, fast tests
	$(BIN)/pytest -q -n 2 --dist loadfile -m 'not slow and not e2e and not extensive'

lint: setup  ## format, lint, types, layers, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: setup  ## docs/results.md from the committed results of the benchmarks
	$(BIN)/python benchmarks/report.py > docs/results.md

leaderboard: bench results  ## every peer beside ours again, then the page

bench: setup  ## benchmarks, JSON into benchmarks/results (RAREWAVE_DATA: folder of the data sets)
	for name in ecg_interpatient tabular calibration recordings explanation transfer; do \
	  $(BIN)/python benchmarks/$$name.py --json benchmarks/results/$$name.json || exit 1; done

docs: setup  ## checks that what the documents show is what the program prints
	$(BIN)/pytest -q tests/docs

sbom: setup  ## what is installed, as CycloneDX JSON in dist/
	mkdir -p dist && $(BIN)/pip install --quiet cyclonedx-bom
	$(BIN)/cyclonedx-py environment .venv --output-format JSON -o dist/sbom.json

audit: setup  ## known weaknesses in the code and in what it depends on
	$(BIN)/pip install --quiet bandit pip-audit
	$(BIN)/bandit --quiet -ll -r app flowcore pipelines; $(BIN)/pip-audit --local

# The browser test wants Chromium; where it cannot be had, the test says what to install.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 \
	  || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	       && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	  || echo "no Chromium: the browser tests will say how to install it"

clean:  ## remove what make made
	rm -rf .venv runs dist build
