# make demo      the whole pipeline on this machine, on a make-believe company's files
# make test      every check
# `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:

# Any Python from 3.11 on; name another one with `make PYTHON=python3.13 …`.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
RUN := PYTHONPATH=functions:. $(BIN)/python

# The environments are apart as they are in the cloud: functions (with the sandbox and the checks), dbt, and two that stand
# in for Google: the BigQuery engine and the SQL analyzer. Each is made from its lock file, and made anew when that changes.
ENVIRONMENTS := .venv .venvs/dbt .venvs/bigquery .venvs/sql
LOCK_.venv := requirements/dev.txt
LOCK_.venvs/dbt := requirements/dbt.txt
LOCK_.venvs/bigquery := requirements/bigquery.txt
LOCK_.venvs/sql := requirements/sql.txt
# The peers of the benchmarks; made by `make bench` alone.
LOCK_.venvs/bench := requirements/bench.txt

DATA ?=
HOME_DIR ?=
TESTS ?= 1
SEEDS ?= 50
GOLD_SEEDS ?= $(SEEDS)
WORLD = $(if $(DATA),--data "$(DATA)") $(if $(HOME_DIR),--home "$(HOME_DIR)")

.PHONY: bench bench-large help install environments demo up down sql status files reset test test-fast soak lint types format contract lock clean

help: ## what can be made
	@grep -hE '^[a-z][a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: ## the four environments, from their lock files
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or later found. Install one, or name it: make PYTHON=/path/to/python3 $(MAKECMDGOALS)"; exit 1; }
	@$(MAKE) --silent --no-print-directory -j4 environments

environments: $(addsuffix /.made, $(ENVIRONMENTS))

define ENVIRONMENT
$(1)/.made: $$(LOCK_$(1))
	@echo "making $(1) from $$< …"; start=$$$$SECONDS; rm -rf $(1); \
	$$(PYTHON) -m venv $(1); \
	$(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $$<; \
	$(if $(findstring bigquery,$(1)),PYTHONPATH=. $(1)/bin/python -m sandbox.engines.bigquery.prepare >/dev/null;) \
	touch $$@; echo "made   $(1) in $$$$((SECONDS - start)) s"
endef
$(foreach environment, $(ENVIRONMENTS) .venvs/bench, $(eval $(call ENVIRONMENT,$(environment))))

demo: install ## run it all; DATA=folder for your own CSV files, TESTS=0 to leave dbt's tests out
	@$(RUN) -m sandbox demo $(WORLD) $(if $(filter 0,$(TESTS)),--no-tests)

up: install ## keep the local cloud running until Ctrl-C
	@$(RUN) -m sandbox up $(WORLD)

down: ## stop one that runs in the background
	@$(RUN) -m sandbox down $(WORLD)

sql: install ## ask the warehouse: make sql Q="select count(*) from gold.fact_orders" [DATA=folder]
	@$(RUN) -m sandbox sql $(WORLD) $(if $(Q),"$$Q",--help)
export Q

status: install ## what the world holds and does
	@$(RUN) -m sandbox status $(WORLD)

files: install ## account for every row of every file: loaded, set aside, non-rows, and how it was read
	@$(RUN) -m sandbox files $(WORLD)

reset: install ## forget the world (asks first)
	@$(RUN) -m sandbox reset $(WORLD)

test: install lint types contract ## every check: lint, types, generated files, and all tests
	@$(BIN)/pytest

test-fast: install ## the tests that need no whole sandbox
	@$(BIN)/pytest -m "not slow"

soak: install ## storms of repetitions, losses, kills and faults: SEEDS=500 or 1000-1099 (default 50); GOLD_SEEDS as many
	@RELIABILITY_SEEDS=$(SEEDS) RELIABILITY_GOLD_SEEDS=$(GOLD_SEEDS) $(BIN)/pytest tests/reliability -o timeout=0

lint: install ## ruff, sqlfluff
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/sqlfluff lint --disable-progress-bar dbt_job/models dbt_job/tests

types: install ## mypy, strict
	@$(BIN)/mypy

contract: install ## what is generated from functions/pipeline.yaml is not stale
	@$(RUN) -m pipeline.contract --check && $(BIN)/python dbt_job/data_dictionary.py --check

bench: install .venvs/bench/.made ## a million rows from CSV to warehouse, beside DuckDB and dlt; and the doors' imports
	@$(RUN) -m benchmarks

bench-large: install .venvs/bench/.made ## the same with 10 million rows, 1 GB, once: a quarter of an hour and 10 GB of disk
	@$(RUN) -m benchmarks csv load --rows 10000000 --rounds 1

format: install ## make the code look like the lint wants it
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: ## compile the lock files anew (needs uv on the PATH)
	@compile="uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header"; \
	$$compile requirements/runtime.in -o functions/requirements.txt; \
	$$compile -c functions/requirements.txt requirements/dev.in -o requirements/dev.txt; \
	for name in dbt bigquery sql bench; do $$compile requirements/$$name.in -o requirements/$$name.txt; done

clean: ## remove environments and worlds
	@rm -rf .venv .venvs .sandbox dbt_job/target dbt_job/logs
