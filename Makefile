# Everything that people do with this project. It needs Python 3.10 to 3.13; the rest it installs into .venv.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test versions check format docs chaos bench soak lock clean FORCE

# Empty: the Python of .venv if there is one, else the first on the PATH that suits.
PYTHON :=
# Not empty: `make demo` leaves Airflow running until Ctrl-C.
KEEP :=
# How often, from which plan, how long, how thoroughly: `make chaos`; how long also: `make soak`.
RUNS :=
SEED :=
MINUTES :=
SHORT :=
# Not empty: `make bench` only shows that it works.
QUICK :=
# The older versions of Airflow that `make versions` tests on. `lowest` is the first 2.11 beside the lowest version of
# whatever else this package asks for.
ON := lowest 2.11 3.0 3.1 3.2

VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.9
LOCK := constraints/airflow-3.3.txt
BUILD_LOCK := constraints/build.txt
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint $(LOCK) --build-constraint $(BUILD_LOCK) --editable .
COMPILE = $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.10 --no-header --no-annotate
# An older Airflow breaks on some of what was released long after it, and does not say so. So its environment is of a day
# soon after its last release, but for what this package asks for in a later version.
COMPILE_OLDER = $(COMPILE) pyproject.toml - --extra emulator --group test \
  --exclude-newer-package aiohttp=2026-03-21 --exclude-newer-package apache-airflow-providers-common-compat=2026-03-21
# Airflow writes to AIRFLOW_HOME as soon as it is imported; nobody's own must be touched.
ALONE := .ci/in-own-airflow-home

help: ## Show this list
	@echo 'Targets:'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18
	@echo 'Variables:'
	@echo '  PYTHON=python3.12  the Python to make .venv with, 3.10 to 3.13'

demo: $(VENV)/.airflow ## Run the nightly chain on a real Airflow; KEEP=1 leaves it running
	@exec $(BIN)/python -m dev.demo $(if $(filter-out 0 no false,$(KEEP)),--keep)

install: $(VENV)/.dev ## Install this package, Airflow and the tools into .venv

test: $(VENV)/.dev ## Run all tests, the last of them on a real Airflow
	@failed=0; \
	for tests in '-n 2 --ignore tests/e2e' tests/e2e; do \
	  echo "pytest $$tests"; $(ALONE) $(BIN)/pytest $$tests || failed=1; \
	done; \
	exit $$failed

versions: $(ON:%=.versions/%/.test) ## Run the tests of Airflow on its older versions; ON='2.11 3.0'
	@failed=0; \
	for version in $(ON); do \
	  case $$version in 3.*) chain='tests/e2e/test_nightly_chain.py tests/e2e/test_secrets.py' ;; *) chain= ;; esac; \
	  for tests in '-n 2 tests/airflow' $${chain:+"$$chain"}; do \
	    echo "pytest $$tests, Airflow $$version"; \
	    $(ALONE) .versions/$$version/bin/python -m pytest $$tests || failed=1; \
	  done; \
	done; \
	exit $$failed

check: $(VENV)/.dev ## Check format, lint and types
	@failed=0; \
	for tool in '$(BIN)/ruff format --check .' '$(BIN)/ruff check .' '$(ALONE) $(BIN)/mypy'; do \
	  echo "$$tool"; $$tool || failed=1; \
	done; \
	exit $$failed

format: $(VENV)/.dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Build the documentation into docs/_build/html
	$(ALONE) $(BIN)/sphinx-build --fail-on-warning --nitpicky --quiet -b html docs docs/_build/html

chaos: $(VENV)/.airflow ## Kill, cut and delay while the chain runs; SHORT=1, RUNS=60, SEED=7, MINUTES=30
	@exec $(BIN)/python -m dev.chaos $(if $(filter-out 0 no false,$(SHORT)),--short) $(if $(RUNS),--runs $(RUNS)) $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

bench: $(VENV)/.python ## Measure this package beside other providers; QUICK=1 takes a few minutes, not 45
	@exec $(BIN)/python -m dev.benchmarks $(if $(filter-out 0 no false,$(QUICK)),--quick)

soak: $(VENV)/.python ## Wait for 500 builds an hour, compressed, and see what grows; MINUTES=3
	@exec $(BIN)/python -m dev.benchmarks.soak $(if $(MINUTES),--minutes $(MINUTES))

lock: $(VENV)/.python ## Pin the newest versions of all that is installed
	$(COMPILE) pyproject.toml --group dev --output-file $(LOCK)
	echo apache-airflow==2.11.0 | $(COMPILE_OLDER) --resolution lowest-direct --exclude-newer 2025-09-05 --output-file constraints/airflow-lowest.txt
	echo apache-airflow==2.11.* | $(COMPILE_OLDER) --exclude-newer 2026-03-21 --output-file constraints/airflow-2.11.txt
	echo apache-airflow==3.0.* | $(COMPILE_OLDER) --exclude-newer 2025-09-05 --output-file constraints/airflow-3.0.txt
	echo apache-airflow==3.1.* | $(COMPILE_OLDER) --exclude-newer 2026-03-18 --output-file constraints/airflow-3.1.txt
	echo apache-airflow==3.2.* | $(COMPILE_OLDER) --exclude-newer 2026-06-05 --output-file constraints/airflow-3.2.txt
	echo hatchling | $(COMPILE) - --output-file $(BUILD_LOCK)

clean: ## Remove everything that make has made, .venv too
	rm -rf $(VENV) .versions .bench .chaos .demo dist docs/_build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# Its content changes only with .venv itself, so that the stamps below follow.
$(VENV)/.python: FORCE
	@.ci/make-venv '$(VENV)' '$(UV_VERSION)' '$(PYTHON)'

$(VENV)/.airflow: $(VENV)/.python pyproject.toml $(LOCK) $(BUILD_LOCK)
	@echo 'Installing Airflow and this package into $(VENV); the first time takes a minute or two ...'
	@$(INSTALL) --group airflow
	@touch $@

$(VENV)/.dev: $(VENV)/.python pyproject.toml $(LOCK) $(BUILD_LOCK)
	@echo 'Installing this package, Airflow and the tools into $(VENV); the first time takes a minute or two ...'
	@$(INSTALL) --group dev
	@touch $@ $(VENV)/.airflow

# The Python of .venv if that Airflow runs on it, else the first on the PATH that does.
.versions/%/.test: PYTHONS := >=3.10,<3.13
.versions/3.1/.test .versions/3.2/.test: PYTHONS := >=3.10,<3.14
.versions/%/.test: constraints/airflow-%.txt $(VENV)/.python pyproject.toml $(BUILD_LOCK)
	@echo 'Installing this package and an older Airflow into .versions/$*; the first time takes a minute ...'
	@PATH="$$($(BIN)/python -c 'import sys; print(sys.base_prefix)')/bin:$$PATH" \
	  $(BIN)/uv venv --quiet --clear --no-python-downloads --python '$(PYTHONS)' .versions/$*
	@$(BIN)/uv pip install --quiet --python .versions/$*/bin/python --constraint $< --build-constraint $(BUILD_LOCK) \
	  --editable '.[emulator]' --group test
	@touch $@
