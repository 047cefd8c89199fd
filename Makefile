# `make demo` and `make test` need Python 3.11 (or 3.12), pip, gcc and g++; all else is set up here.
SHELL := /bin/bash
VENV := .venv
PY := $(VENV)/bin/python
# Arguments passed on to tools/demo.py and to pytest, e.g. `make test PYTEST_ARGS='-x -k metric'`.
DEMO_ARGS ?=
PYTEST_ARGS ?=
# Processes that share the tests, each with up to 6 GB of memory; 0 for pytest's own alone.
TEST_WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format wheel clean distclean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Create .venv with the pinned reference stack, mmcv's compiled ops and mmps itself.
	@bash tools/env/setup.sh

demo: setup  ## Train a small SeqXt on generated scenes, evaluate it and write a results page.
	@$(PY) tools/demo.py $(DEMO_ARGS)

test: setup lint  ## Lint, check types and run the tests.
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=$${MKL_NUM_THREADS:-1} \
	  $(PY) -m pytest -n $(TEST_WORKERS) --dist worksteal $(PYTEST_ARGS)

lint: setup  ## Run ruff and mypy.
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup  ## Let ruff sort the imports and format the code.
	@$(PY) -m ruff check --select I --fix .
	@$(PY) -m ruff format .

wheel: setup  ## Build the wheel into dist/.
	@$(PY) -m build --wheel --no-isolation

clean:  ## Remove caches and built packages.
	@rm -rf dist build .pytest_cache .ruff_cache .mypy_cache
	@find mmps tools tests configs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean  ## Remove the virtual environment too.
	@rm -rf $(VENV)
