# Everything runs in a private environment in .venv; nothing is installed anywhere else.
# Needed: make and Python 3.11 or newer with venv (on Debian: apt install make python3 python3-venv).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COVERAGE_FLOOR := 90
COVERED := tests/unit
PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check
WORKERS := $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
PURE := model state errors authority clean diff digests findings/* hours joining outbox peers planning reasons report routing scripts services showing timeline troubles view wording

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs check fmt build bench bytecode clean

help:
	@echo "make demo    watch one job travel from submission to answer, in a throw-away folder"
	@echo "make test    run the test suite with coverage"
	@echo "make lint    formatting, lint, types, import contracts"
	@echo "make docs    the documents and the reference of the Python API as a site in .cache/site"
	@echo "make check   lint, docs and test"
	@echo "make fmt     format the code and fix what can be fixed"
	@echo "make build   wheel and source archive in dist/"
	@echo "make bench   measure start-up, looks, runs and jobs on a cluster"
	@echo "make clean   remove the environment and everything generated"

demo: $(VENV)/.runtime bytecode
	$(BIN)/scq demo

# The tests run on all cores. Coverage is collected from every process they start, which is slow where thousands are started
# and killed: those tests run without it. They often wait for what they started, so there is one more worker than cores.
test: $(VENV)/.dev bytecode
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(COVERED:%=--ignore=%)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run --source=scq -m scq --version # lists every file, also one that no test loads
	$(BIN)/python -m coverage run --include='$(CURDIR)/scq/*' -m pytest -n $(WORKERS) --dist worksteal $(COVERED)
	-$(BIN)/python -m coverage combine --quiet # a process that a test killed may leave half a file; without any data the report fails
	$(BIN)/python -m coverage report --fail-under=$(COVERAGE_FLOOR)
	$(BIN)/python -m coverage report --include=$(shell echo $(PURE:%=scq/%.py) | tr ' ' ,) --fail-under=100

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict scq tests/typed_script.py
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: lint docs test

fmt: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

build: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build

bench: $(VENV)/.runtime bytecode
	$(BIN)/python -m benchmarks

# Start-up is part of the contract, so the code is compiled even where PYTHONDONTWRITEBYTECODE is set.
bytecode: | $(VENV)/.python
	$(BIN)/python -m compileall -q scq

clean:
	rm -rf $(VENV) .cache dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "scq needs Python 3.11 or newer; '$(PYTHON)' is not. Name another one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "'$(PYTHON)' cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: pyproject.toml $(VENV)/.python
	$(PIP) --editable .
	@touch $@

# uv takes a third of the time of pip and every core, but does not read the configuration of pip: where that is needed, pip has to do.
$(VENV)/.dev: pyproject.toml $(VENV)/.python
	$(PIP) 'uv>=0.5,<1'
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --editable '.[dev]' || $(PIP) --editable '.[dev]'
	@touch $(VENV)/.runtime $@
