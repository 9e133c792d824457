# Zehrava: one command each. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

HOST ?= 127.0.0.1
PORT ?= 8000
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TYPED := audit intents reviews zehrava_site sdk/src/zehrava

export PYTHONUNBUFFERED := 1

.PHONY: help run demo test bench chaos screenshots lint format types clean constraints environment

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

environment: $(READY) ## .venv with the pinned versions (every other target makes it if it is missing)

# Keyed on what decides the versions, so that a second run costs nothing.
$(READY): constraints.txt pyproject.toml sdk/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Zehrava needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Say which one to use: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "Making $(VENV) with the pinned versions (about half a minute, once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e sdk -e '.[dev]'
	@touch $@

run: $(READY) ## serve the portal with its worker and scheduler on http://127.0.0.1:8000 (PORT=, HOST=)
	@HOST=$(HOST) PORT=$(PORT) exec $(BIN)/python -m zehrava_site.serving

demo: $(READY) ## people, agents, policies and a scripted agent, in the same data as make run
	@$(BIN)/python manage.py migrate --verbosity 0
	@$(BIN)/python manage.py bootstrap
	@PORT=$(PORT) $(BIN)/python manage.py demo

test: $(READY) ## the whole suite on every component this machine has (PYTEST_ARGS= is passed on)
	@$(BIN)/python -m tests.components run $(PYTEST_ARGS)

bench: $(READY) ## every measurement in tests/bench
	@shopt -s nullglob; files=(tests/bench/bench_*.py); \
	if [ $${#files[@]} = 0 ]; then echo "There is no measurement in tests/bench yet."; exit 0; fi; \
	for file in "$${files[@]}"; do echo "== $$file"; $(BIN)/python "$$file" || exit 1; done

chaos: $(READY) ## the long version of the crash and race tests: real processes, kill -9, every database there is
	@if compgen -G 'tests/chaos/test_*.py' >/dev/null; then ZEHRAVA_CHAOS=full $(BIN)/python -m tests.components run tests/chaos -n 0 --timeout 3600 $(PYTEST_ARGS); \
	else echo "There is no crash test in tests/chaos yet."; fi

screenshots: $(READY) ## the pictures of the README, taken from a portal of their own
	@if [ -f tests/screenshots.py ]; then $(BIN)/python -m tests.screenshots; \
	else echo "There is no tests/screenshots.py yet."; fi

lint: $(READY) ## ruff: rules and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(READY) ## let ruff format and mend what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

types: $(READY) ## mypy
	@$(BIN)/mypy $(wildcard $(TYPED))

constraints: $(READY) ## write constraints.txt from what is installed now
	@{ echo "# Exact versions of everything that is installed, transitive ones too. Made by: make constraints"; \
	$(BIN)/pip freeze --exclude-editable --exclude zehrava --exclude zehrava-portal; } > constraints.new
	@! grep -n '@ \|://' constraints.new && mv constraints.new constraints.txt && touch $(READY)

clean: ## remove what make can make again; ./var (your data and keys) stays unless DATA=1
	@find . -path ./var -prune -o \( -name __pycache__ -o -name '*.egg-info' \) -type d -prune -exec rm -rf {} +
	@rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis .coverage .coverage.* htmlcov test-results
	@if [ "$(DATA)" = 1 ]; then rm -rf var; echo "Removed everything, ./var with its data and keys too."; \
	elif [ -d var ]; then echo "Kept ./var: database, keys and admin password. To remove it too: make clean DATA=1"; fi
