# Needs git, make and Python 3.11 to 3.13. Everything else is installed into the virtual environment.

# TensorFlow has no wheels for other versions. This takes the first suitable python, or PYTHON=/path/of/one.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$python; break; }; done)
VENV ?= .venv
export RNNLM_HOME ?= $(CURDIR)/.rnnlm

installed := $(VENV)/installed
bin := $(VENV)/bin
pip := $(bin)/python -m pip --disable-pip-version-check
compiles := $(PYTHONDONTWRITEBYTECODE)

.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow test-faults test-browser test-postgres test-compose screenshots terminal bench check advisories sbom format install lock clean

help: ## this text
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(installed) ## run the whole pipeline on real text, and print the verdict
	$(bin)/rnnlm run demo

up: $(installed) ## start Prefect, MLflow, a worker and the deployments, with the runs in them
	$(bin)/rnnlm up

test: $(installed) ## run the tests, except the slow ones, on all cores
	$(bin)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 20

test-slow: $(installed) ## run the slow tests
	$(bin)/python -m pytest -m slow

test-faults: $(installed) ## damage 200 files, let file operations fail, put a served model under load: about an hour
	RNNLM_FAULTS=200 $(bin)/python -m pytest tests/faults

test-browser: $(installed) ## what a person does in the pages, in Chromium (must be installed)
	$(bin)/python -m pytest -m browser tests/flows/browser

test-postgres: $(installed) ## the same over PostgreSQL (must be installed)
	$(pip) install --quiet 'psycopg[binary]'
	RNNLM_TEST_DATABASE=postgresql $(bin)/python -m pytest -m browser tests/flows/browser

test-compose: $(installed) ## the services of deployments/compose.yaml, in Docker (must be installed)
	$(bin)/python -m pytest -m compose tests/flows/stack/test_compose.py

screenshots: $(installed) ## take the pictures of docs/operations.md again
	RNNLM_SCREENSHOTS=docs $(bin)/python -m pytest -m browser tests/flows/browser -k verdict

terminal: $(installed) ## record the picture of a run at a terminal again
	PATH=$(abspath $(bin)):$$PATH python docs/terminal.py rnnlm run demo

# PEERS=/path/of/python names another interpreter with the peers. Otherwise they get their own environment.
peers := .venv-peers
bench: $(installed) $(if $(PEERS),,$(peers)/installed) ## measure training speed beside PyTorch, fastai and Keras
	$(bin)/python -m benchmarks.speed

$(peers)/installed: benchmarks/peers/requirements.txt
	$(bin)/python -m venv $(peers)
	$(peers)/bin/python -m pip install --disable-pip-version-check -r $<
	@touch $@

check: $(installed) ## format, lint, types, one-way imports
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports

advisories: $(installed) ## compare requirements.lock with the public lists of known weaknesses; needs the internet
	$(bin)/uv tool run pip-audit@2.9.0 --disable-pip --require-hashes -r requirements.lock

sbom: $(installed) ## write sbom.json: what requirements.lock has, in the CycloneDX format; needs the internet
	$(bin)/uv tool run --from cyclonedx-bom==7.0.0 cyclonedx-py requirements requirements.lock --output-file sbom.json

format: $(installed) ## format, and fix what can be fixed automatically
	$(bin)/ruff format .
	$(bin)/ruff check --fix .

install: $(installed) ## make the virtual environment

# The stamp comes last, so that an interrupted installation continues at the next call.
$(installed): requirements.lock pyproject.toml setup.py $(wildcard rnnlm/kernel/src/*)
	@test -n "$(PYTHON)" || { echo "rnnlm needs Python 3.11, 3.12 or 3.13, and none was found. \
	Install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; (3, 11) <= sys.version_info < (3, 14) or \
	sys.exit(f"rnnlm needs Python 3.11, 3.12 or 3.13; $(PYTHON) is {v}. Name another: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	@# uv takes half a minute where pip takes three. It does not read pip's settings (a mirror, say), so pip is second.
	@# Neither compiles, because Python compiles what it imports, once, and all that comes with TensorFlow and MLflow
	@# takes a minute. Where PYTHONDONTWRITEBYTECODE forbids Python to keep that, each start would take twenty seconds
	@# more. There, both compile.
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock
	$(pip) install --require-hashes -r $(VENV)/uv.lock
	$(bin)/uv pip install $(if $(compiles),--compile-bytecode) --python $(bin)/python --require-hashes -r requirements.lock \
	|| { echo "uv failed; pip installs."; \
	$(pip) install $(if $(compiles),,--no-compile) --require-hashes -r requirements.lock; }
	$(pip) install --no-deps --no-build-isolation -e .
	@touch $@

lock: ## resolve all versions again and write requirements.lock
	work=$$(mktemp -d) && trap 'rm -rf "$$work"' EXIT && $(PYTHON) -m venv $$work \
	&& $$work/bin/python -m pip install --disable-pip-version-check --quiet uv \
	&& $$work/bin/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	--upgrade --no-emit-index-url --custom-compile-command "make lock" --quiet --output-file requirements.lock

clean: ## remove the virtual environment and the caches of tools; keep the runs in .rnnlm
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
