# The front door: everything that people do with this project. It needs Python 3.10 to 3.14; the rest is installed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test test-ui pictures versions live check format docs chaos cluster bench fault-table soak dist lock clean FORCE

# Not empty: the Python to make .venv with; else that of .venv, or the first suitable one on the PATH.
PYTHON :=
# Not empty: `make demo` leaves Airflow running until Ctrl-C; `make chaos`, `make cluster` and `make bench` take minutes less.
KEEP :=
SHORT :=
# Not empty: `make cluster` measures one machine with the LocalExecutor instead.
LOCAL :=
# Not empty: `make cluster` runs few chains on this older version of Airflow, 2.11 or 3.1; all faults without SHORT.
AIRFLOW :=
QUICK :=
# `make bench`: names of the benchmarks to run; all without it.
ONLY :=
# `make chaos`: how many runs, the seed of the plan, the time limit; the last also for `make soak`.
RUNS :=
SEED :=
MINUTES :=
# The older versions of Airflow for `make versions`. `lowest` is 2.11.0 with the lowest supported version of all else.
ON := lowest 2.11 3.0 3.1 3.2

BIN := .venv/bin
LOCK := constraints/airflow-3.3.txt constraints/build.txt
# Airflow writes to AIRFLOW_HOME as soon as it is imported; the user's own must not be touched.
ALONE := .ci/in-own-airflow-home
is_on = $(filter-out 0 no false,$(1))

help: ## Show this list
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 21
	@echo 'Variables:'
	@echo '  PYTHON=python3.12  the Python to make .venv with, 3.10 to 3.14'

demo: .venv/.airflow ## Run the nightly chain on a real Airflow; KEEP=1 leaves it running
	@exec $(BIN)/python -m dev.demo $(if $(call is_on,$(KEEP)),--keep)

install: .venv/.dev ## Install this package, Airflow and the tools into .venv

test: .venv/.dev ## Run all tests, the last of them on a real Airflow
	@.ci/test

test-ui: .venv/.ui ## Click through Airflow's pages in Chromium, which must be installed
	@$(ALONE) $(BIN)/pytest tests/ui

pictures: .venv/.ui ## Take the pictures of the docs and the README with the same tests
	@METAKRAFTWERK_PICTURES=docs/pictures $(ALONE) $(BIN)/pytest tests/ui

versions: $(ON:%=.versions/%/.test) ## Run the tests of Airflow on its older versions; ON='2.11 3.0'
	@.ci/test-versions $(ON)

live: .venv/.dev ## Check what is assumed about MetaKraftwerk on a real account; see docs/evidence/live.md
	@$(ALONE) $(BIN)/pytest -q -m live tests/live

check: .venv/.dev ## Check format, lint and types
	@.ci/check

format: .venv/.dev ## Format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/.dev ## Build the documentation into docs/_build/html
	$(ALONE) $(BIN)/sphinx-build --fail-on-warning --nitpicky --quiet -b html docs docs/_build/html

chaos: .venv/.airflow ## Inject faults while the chain runs; SHORT=1, RUNS=60, SEED=7, MINUTES=30
	@exec $(BIN)/python -m dev.chaos $(if $(call is_on,$(SHORT)),--short) $(RUNS:%=--runs %) $(SEED:%=--seed %) $(MINUTES:%=--minutes %)

cluster: $(if $(AIRFLOW),.versions/$(AIRFLOW),.venv)/.cluster ## Run many chains and faults on Celery, PostgreSQL and Redis; SHORT=1, AIRFLOW=2.11
	@exec $(<D)/bin/python -m dev.cluster $(if $(call is_on,$(SHORT)),--short,$(if $(AIRFLOW),--short --all-faults)) $(if $(call is_on,$(LOCAL)),$(if $(AIRFLOW),,--local))

bench: .venv/.python ## Compare this package with other providers; QUICK=1 takes minutes, not 45
	@exec $(BIN)/python -m dev.benchmarks $(if $(call is_on,$(QUICK)),--quick) $(if $(ONLY),--only $(ONLY))

fault-table: .venv/.python ## Measure how providers handle faults; takes 15 minutes
	@exec $(BIN)/python -m dev.benchmarks.faults

soak: .venv/.python ## Wait for 500 builds an hour in compressed time and see what grows; MINUTES=3
	@exec $(BIN)/python -m dev.benchmarks.soak $(MINUTES:%=--minutes %)

dist: .venv/.dev ## Build wheel and sdist, check them, and test the installed wheel
	@exec $(BIN)/python -m dev.dist

lock: .venv/.python ## Pin the newest versions of everything that is installed
	.ci/lock

clean: ## Remove everything that make has made, .venv too
	rm -rf .uv .venv .versions .bench .chaos .cluster .demo dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.python: FORCE
	@.ci/make-venv .venv '$(PYTHON)'

.venv/.airflow: .venv/.python pyproject.toml $(LOCK)
	@.ci/install .venv constraints/airflow-3.3.txt . --group airflow && touch $@

.venv/.dev: .venv/.python pyproject.toml $(LOCK)
	@.ci/install .venv constraints/airflow-3.3.txt . --group dev && touch $@ .venv/.airflow

.venv/.cluster: .venv/.python pyproject.toml $(LOCK)
	@.ci/install .venv constraints/airflow-3.3.txt . --group cluster && touch $@

.venv/.ui: .venv/.dev
	@.ci/install .venv constraints/airflow-3.3.txt . --group dev --group ui && touch $@

.versions/%/.cluster: .versions/%/.test
	@.ci/install $(@D) constraints/airflow-$*.txt '.[emulator]' --group celery && touch $@

.versions/%/.test: constraints/airflow-%.txt .venv/.python pyproject.toml constraints/build.txt
	@.ci/install-version $* && touch $@
