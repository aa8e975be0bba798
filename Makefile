# Everything lives in .venv; nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
CALLS ?=
.DEFAULT_GOAL := help
.PHONY: help demo run test lint format lock clean

help:  ## show what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# A lock names every package with its hashes, so that what runs here is what was tested.
.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 …")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }

.venv/.run: .venv/pyvenv.cfg requirements/run.txt pyproject.toml
	@echo "Installing the bridge into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/run.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.dev: .venv/.run requirements/dev.txt
	@echo "Installing the test and lint tools into .venv …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

demo: .venv/.run  ## the whole bridge on this machine (CALLS=50 ends by itself)
	@$(BIN)/aventa-bridge demo $(if $(CALLS),--calls $(CALLS)) $(if $(filter-out 0,$(FAULTS)),--faults)

run: .venv/.run  ## the daemon, with config/bridge.toml
	@$(BIN)/aventa-bridge run --config config/bridge.toml

test: .venv/.dev  ## the tests
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

lint: .venv/.dev  ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.dev  ## put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.dev  ## make the locks anew from pyproject.toml (needs uv on the PATH)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group pyproject.toml:build pyproject.toml -o requirements/run.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group pyproject.toml:build --group pyproject.toml:dev pyproject.toml -c requirements/run.txt -o requirements/dev.txt

clean:  ## remove .venv and what tests leave behind
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
