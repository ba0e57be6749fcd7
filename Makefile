# Everything runs in .venv, which a stamp file keeps up to date: a second run starts at once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?=
TESTS  ?=

.PHONY: help demo test unit statistics crash lint bench requirements clean

help:
	@echo "make demo        play a year's first half of real flights: data to champion, on a simulated clock"
	@echo "make test        lint, types, layers and every test; TESTS=tests/unit: only those"
	@echo "make unit        the fast tests alone"
	@echo "make statistics  the statistical promises, simulated at length"
	@echo "make crash       kill processes at hundreds of random moments, and look what is lost (hours)"
	@echo "make lint        lint, types, layers"
	@echo "make bench       measure the gateway and the queries on this machine"

demo: $(VENV)/.demo
	$(BIN)/mainspring demo $(DEMO)

# Compiled once, also where the environment forbids Python to keep what it compiles: hundreds of processes start.
test: lint
	$(BIN)/python -m compileall -q src
	$(BIN)/python $(if $(TESTS),-m pytest $(TESTS),tests/lanes.py)

unit: $(VENV)/.test
	$(BIN)/python -m pytest tests/unit tests/shape

statistics: $(VENV)/.test
	MAINSPRING_STATISTICS=long $(BIN)/python -m pytest tests/statistics -s

crash: $(VENV)/.test
	MAINSPRING_CRASH=long $(BIN)/python -m pytest tests/crash tests/story/erasure

lint: $(VENV)/.test
	$(BIN)/ruff check src tests examples bench
	$(BIN)/ruff format --check src tests examples bench
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.test
	for one in bench/[!_]*.py; do $(BIN)/python "$$one" || exit 1; done

# The demo needs fewer packages than the tests, at the same versions. What is pinned is installed by hash, and then the
# project alone, without asking for anything more.
$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(VENV)/bin/python
	@test -e $(VENV)/.test || $(BIN)/python -m pip install --quiet --require-hashes -r requirements/demo.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/test.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mainspring needs Python 3.11 or later: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

# Pins every package with its hashes. No address is written, so any index that has the same files will do.
COMPILE := CUSTOM_COMPILE_COMMAND="make requirements" $(BIN)/pip-compile --quiet --generate-hashes --strip-extras \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --allow-unsafe

requirements: | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet pip-tools
	$(COMPILE) --extra test -o requirements/test.txt pyproject.toml requirements/build.in
	$(BIN)/python requirements/tidy.py requirements/test.txt
	$(COMPILE) --extra demo -c requirements/test.txt -o requirements/demo.txt pyproject.toml requirements/build.in
	$(COMPILE) -c requirements/test.txt -o requirements/core.txt pyproject.toml requirements/build.in
	$(BIN)/python requirements/tidy.py requirements/demo.txt requirements/core.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist build
