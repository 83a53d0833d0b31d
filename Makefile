# Two commands do everything, from a fresh checkout: `make demo` and `make test`.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PARTS  := .parts
BENCH  := $(PARTS)/bench

PROGRAMS := prometheus promtool prometheus-alertmanager amtool redis-server valgrind
PACKAGES := prometheus prometheus-alertmanager redis-server valgrind
JOBS     ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test lint types suite parts bench storm soak clean

help:
	@echo "make demo   run the example shop under gunicorn, drive requests at it, show what came out"
	@echo "make test   lint, check the types, run every test with coverage"
	@echo "make parts  install the real servers that the tests use where they are there"
	@echo "make bench  measure what an event costs, beside other libraries, and write tests/bench/RESULTS.md"
	@echo "make storm  kill workers under load, again and again, and account for every request"
	@echo "make soak   do everything at once for ten minutes, and see that nothing grows"
	@echo "make clean  remove what the others made"

# The stamp is newer than the metadata as soon as the installation has gone through.
$(VENV)/.installed: setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is missing: install it, or name one with make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]' \
		|| { echo "The packages could not be installed: see the message of pip above, and check the network"; exit 1; }
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/python -m examples.demo

test: lint types suite

lint: $(VENV)/.installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.installed
	$(BIN)/mypy

# pytest-cov would start after the plugin under test was imported: coverage runs pytest, and not the other way round.
suite: $(VENV)/.installed
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -rs -n $(JOBS) $(PYTEST_ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# What is there already costs nothing. The tests run servers of their own: whatever the packages start is left alone.
parts: $(PARTS)/bugsink/.installed
	@for program in $(PROGRAMS); do command -v $$program >/dev/null || missing=yes; done; \
	if [ -n "$$missing" ]; then \
		command -v apt-get >/dev/null || { echo "Install $(PROGRAMS) yourself: there is no apt-get here"; exit 1; }; \
		root=; if [ "$$(id -u)" != 0 ]; then root=sudo; fi; \
		if [ -n "$$root" ] && ! command -v $$root >/dev/null; then \
			echo "Run this as root, or install sudo: apt-get install $(PACKAGES)"; exit 1; fi; \
		$$root apt-get update -qq && $$root env DEBIAN_FRONTEND=noninteractive \
			apt-get install -y -qq --no-install-recommends $(PACKAGES); \
	fi

# Bugsink is a tool of the tests alone, under a licence of its own: it never meets our packages.
$(PARTS)/bugsink/.installed: tests/parts/bugsink.txt
	@rm -rf $(PARTS)/bugsink
	@$(PYTHON) -m venv $(PARTS)/bugsink
	@$(PARTS)/bugsink/bin/python -m pip install --quiet --disable-pip-version-check -r $< \
		|| { echo "Bugsink could not be installed: see the message of pip above, and check the network"; exit 1; }
	@touch $@

# The libraries that we are compared with never meet our tests: some of them change what is installed beside them.
$(BENCH)/.installed: setup.cfg pyproject.toml
	@rm -rf $(BENCH)
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,bench]' \
		|| { echo "The packages could not be installed: see the message of pip above, and check the network"; exit 1; }
	@touch $@

bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m tests.bench

storm: $(VENV)/.installed
	$(BIN)/python -m tests.proof.storm

soak: $(VENV)/.installed
	$(BIN)/python -m tests.proof.soak

clean:
	rm -rf $(VENV) $(PARTS) build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache events.jsonl
