# The billing console. `make demo` shows it, `make test` proves it; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-long test-dates screenshots bench bench-long check clean

PYTHON ?= python3
PORT ?= 5000
RESET ?=
# For example PYTEST_ARGS="--random-order-bucket=global --random-order-seed=7": the tests in another order.
PYTEST_ARGS ?=
VENV := .venv
RUN := $(VENV)/bin/python
SERVICES := $(RUN) -m billing_console.embedded run --
STAMP := $(VENV)/.requirements-are-installed

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the pinned requirements (PYTHON=python3.13 to choose one)

$(STAMP): requirements/base.txt requirements/dev.txt
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh requirements/install.sh
	@touch $@

demo: setup ## Show everything, with stand-ins for Taiga and Invoice Ninja (RESET=1 from nothing, PORT=5000)
	@exec $(RUN) manage.py demo --port $(PORT) $(if $(RESET),--reset)

test: setup check ## Every check and every test, on a real PostgreSQL and a real Redis
	@command -v chromium chromium-browser google-chrome >/dev/null || \
		echo "*** BROWSER TESTS WILL BE SKIPPED: there is no Chromium here (on Debian: apt-get install chromium) ***"
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) -m pytest -n 2 --dist loadgroup -m "not long" $(PYTEST_ARGS)

test-long: setup ## What takes minutes: the demo for real, in both modes, with kills in the middle; other dates
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) -m pytest -n 1 --dist loadgroup -m long -o faulthandler_timeout=0 $(PYTEST_ARGS)
	$(RUN) -m tests.dates

test-dates: setup ## The suite under other clocks: first days, leap days, both midnights, next year (part of test-long)
	$(RUN) -m tests.dates $(PYTEST_ARGS)

screenshots: setup ## Take the pictures of the manual and the README anew, into docs/images
	BROWSER_TESTS=required WRITE_SCREENSHOTS=docs/images ENVIRONMENT=sandbox $(SERVICES) \
		$(RUN) -m pytest tests/browser/test_setting_up.py tests/browser/test_office.py -q

bench: setup ## Measure what must be fast, as ratios; table here, numbers in var/bench.json
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) -m bench

bench-long: setup ## The measurements that take minutes
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) -m bench --long

check: setup ## Format, lint, types, import rules, migrations, Django's own checks
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) manage.py makemigrations --check --dry-run
	ENVIRONMENT=sandbox $(SERVICES) $(RUN) manage.py check --fail-level WARNING

clean: ## Delete the demo's data, caches and what was made; .venv stays
	@if [ -x $(RUN) ]; then $(RUN) -m billing_console.embedded remove; fi
	rm -rf var .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
