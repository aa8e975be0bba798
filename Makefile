# Everything lives in .venv; nothing outside this folder is touched.
PYTHON ?= python3
BIN := .venv/bin
CALLS ?=
# A file's tests stay together: they share what is slow to set up. Many wait for a daemon or a disk,
# so there are two files at a time for each core; the slow ones come first (tests/process/conftest.py).
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$((n > 4 ? 8 : 2 * n)))
IN_PARALLEL := -n $(WORKERS) --dist loadfile --no-loadscope-reorder
.DEFAULT_GOAL := help
.PHONY: help demo soak run test coverage bench watch dashboards docs simulate identity mutants powercut sbom audit licences wheel image deb debtest lint format lock clean

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

# Apart from the rest: what looks at the environment is no part of it.
.venv/.supply: .venv/pyvenv.cfg requirements/supply.txt
	@echo "Installing what lists and audits into .venv/supply …"
	@$(PYTHON) -m venv .venv/supply
	@.venv/supply/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/supply.txt
	@touch $@

demo: .venv/.run  ## the whole bridge on this machine (CALLS=50 ends by itself, FAULTS=1 lets a fifth fail)
	@$(BIN)/aventa-bridge demo $(if $(CALLS),--calls $(CALLS)) $(if $(filter-out 0,$(FAULTS)),--faults)

soak: .venv/.run  ## 10,000 calls through faults and ten kills (CALLS=, KILLS=, SEED=): exit 0 only if each arrived once
	@$(BIN)/aventa-bridge demo --calls $(or $(CALLS),10000) --rate 60 --faults --kills $(or $(KILLS),10) --requests-per-minute 200000 --in-flight 256 $(if $(SEED),--seed $(SEED))

run: .venv/.run  ## the daemon, with config/bridge.toml
	@$(BIN)/aventa-bridge run --config config/bridge.toml

test: .venv/.dev  ## the tests
	@$(BIN)/python -m pytest $(IN_PARALLEL)

coverage: .venv/.dev  ## the tests once more, with a floor under what they cover; takes twice as long
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(IN_PARALLEL)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

bench: .venv/.dev  ## the benchmarks, each beside a baseline of the same run (SHORT=1: a minute, ratios only; ONLY=calls,latency)
	@$(BIN)/python tests/bench/bench_run.py $(if $(filter-out 0,$(SHORT)),--short) $(if $(ONLY),--only $(ONLY))

watch: .venv/.dev  ## a busy bridge watched by a real Prometheus: every panel and rule asked, every alert fired (PICTURES=1 draws them); needs root
	@$(BIN)/python tests/watch/watch_run.py $(if $(filter-out 0,$(PICTURES)),--pictures docs/images)

dashboards: .venv/.dev  ## Grafana's dashboards, anew from config/grafana/source
	@$(BIN)/python config/grafana/source/build.py

docs: .venv/.dev  ## what is made from the code: docs/configuration.md, licences, the manual page, completions
	@$(BIN)/python tools/configuration.py
	@$(BIN)/python tools/manual.py
	@$(BIN)/python tools/completions.py
	@$(BIN)/python tools/licences.py

simulate: .venv/.dev  ## days of calls on a virtual clock, faults and crashes by seed (SEEDS=2000)
	@$(BIN)/python tests/simulation/simulate.py --seeds $(or $(SEEDS),2000) --jobs 2

identity: .venv/.dev  ## random people against the sandbox's contact cards (EXAMPLES=5000)
	@IDENTITY_EXAMPLES=$(or $(EXAMPLES),5000) $(BIN)/python -m pytest -q tests/simulation/test_identity.py

mutants: .venv/.dev  ## faults put in on purpose, each of which the simulation has to find
	@$(BIN)/python tests/simulation/mutants.py

powercut: .venv/.dev  ## the power cut at many moments of a recording (CUTS=1000); needs strace
	@$(BIN)/python tests/powercut/powercut_run.py --cuts $(or $(CUTS),1000)

sbom: .venv/.run .venv/.supply  ## dist/aventa-bridge.cdx.json: what is shipped, as CycloneDX, the same bytes each time
	@$(BIN)/python tools/sbom.py .venv/supply

audit: .venv/.supply  ## ask for known weaknesses in what is locked; exit 2 where nobody can be asked
	@$(BIN)/python tools/audit.py .venv/supply/bin/pip-audit requirements/run.txt requirements/otel.txt

licences: .venv/.dev  ## the licences of what is shipped, against those that are allowed
	@$(BIN)/python tools/licences.py --check

image:  ## the container image, built by buildah on a base of Debian's own packages, and tried; needs root
	@.ci/image

wheel: .venv/.run  ## the wheel into dist/, built twice and compared byte by byte
	@$(BIN)/python tools/wheel.py

deb:  ## a Debian package in dist/; needs debhelper and python3-venv
	@packaging/build.sh

debtest: .venv/.dev  ## the package installed, run, upgraded under load and purged in a clean Debian, and under a real systemd; needs root and mmdebstrap
	@$(BIN)/python tests/package/package_run.py
	@$(BIN)/python tests/package/package_booted.py

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
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group pyproject.toml:build --extra otel pyproject.toml -c requirements/run.txt -o requirements/otel.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group pyproject.toml:build --group pyproject.toml:dev --extra otel pyproject.toml -c requirements/otel.txt -o requirements/dev.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links --group pyproject.toml:supply -o requirements/supply.txt

clean:  ## remove .venv and what tests leave behind
	rm -rf build dist .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
