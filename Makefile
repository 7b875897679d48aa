# Needs make and Python 3.11 or later, and nothing else. ARGS="…" is handed on to what a target runs.

SHELL := /bin/sh
PY := .venv/bin/python
ARGS ?=

# Where this is set, each of the demo's processes would compile every package anew at each start.
unexport PYTHONDONTWRITEBYTECODE

# A machine may have an authority of its own among its certificates; uv looks there only when told to.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help demo test check audit watch manage story prove fuzz chaos bench screenshots messages test-browser lock clean reset sync-demo sync-dev

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: sync-demo ## Everything in one terminal: PostgreSQL, Valkey, web, worker, beat and a payment sandbox
	@exec $(PY) manage.py up $(ARGS)

test: sync-dev ## All tests, on PostgreSQL and Valkey of their own
	@exec $(PY) -m pytest -n auto --dist worksteal $(ARGS)

test-browser: sync-dev ## Only the tests that drive a real Chromium, and Node's of the browser client
	@exec $(PY) -m pytest tests/browser $(ARGS)

screenshots: sync-dev ## Draw docs/screenshots anew, from the running stack
	@exec $(PY) -m tests.browser.screenshots $(ARGS)

check: export ORDERCAST_DEMO = true
check: sync-dev ## Format, lint, types, import contracts, migrations, settings for production
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy .
	.venv/bin/lint-imports
	DJANGO_SETTINGS_MODULE=backend.config.offline $(PY) manage.py makemigrations --check --dry-run
	$(PY) -m tests.advisories
	@echo "manage.py check --deploy, with settings like production's"
	@env -i PATH="$$PATH" HOME="$$HOME" $(PRODUCTION) $(PY) manage.py check --deploy --fail-level WARNING

audit: sync-dev ## Known vulnerabilities of the locked packages
	@exec $(PY) -m tests.advisories

# Long enough to be accepted, and plainly no secrets.
PRODUCTION = DATABASE_URL=postgresql://ordercast@db/ordercast VALKEY_URL=redis://valkey/0 \
	ORDERCAST_PUBLIC_URL=https://pay.example.com ORDERCAST_HOSTS=pay.example.com \
	ORDERCAST_HOUSE_URL=https://payments.example.com ORDERCAST_HOUSE_KEY=an-example-of-a-key \
	ORDERCAST_HOUSE_WEBHOOK_SECRETS=whsec_YW4tZXhhbXBsZS1vZi1hLXNlY3JldA== \
	ORDERCAST_SERVICE_TOKEN=an-example-of-a-service-token \
	ORDERCAST_SECRET_KEY=an-example-Of-a-5ecret-key_that-is-long-enough-for-the-check

watch: sync-demo ## Follow an order live in this terminal, as a page does: make watch ORDER=<ref>
	@[ -n "$(ORDER)" ] || { echo "which order? make watch ORDER=<its 32 characters>" >&2; exit 2; }
	@ORDERCAST_DEMO=true exec $(PY) manage.py watch $(ORDER) $(ARGS)

manage: sync-demo ## Django's command line for the demo: make manage ARGS="verify_orders"
	@ORDERCAST_DEMO=true exec $(PY) manage.py $(ARGS)

story: sync-dev ## A client plays every chapter against the running stack, and times each step
	@exec $(PY) -m tests.story $(ARGS)

messages: export ORDERCAST_DEMO = true
messages: sync-dev ## Bring the translations in step with the code, and compile them
	@exec $(PY) -m tests.catalogues

fuzz: sync-dev ## Throw all that is nasty at every endpoint, at length (ARGS="--frames 1000" for less)
	@exec $(PY) -m tests.fuzz $(ARGS)

prove: sync-dev ## Thousands of examples of the state machine (EXAMPLES=2000, SEED= plays a run again)
	@EXAMPLES=$(EXAMPLES) SEED=$(SEED) $(PY) -m tests.prove

chaos: sync-dev ## Kill everything while hundreds of pages watch; none may lose anything (CHAOS_SECONDS=60, SEED= plays a plan again)
	@CHAOS_SECONDS=$(CHAOS_SECONDS) SEED=$(SEED) $(PY) -m tests.chaos

bench: sync-dev ## Measure, beside peers where there are any: BENCH=fanout, spread, memory, resume, journey, reconcile, journal, admin or page
	@exec $(PY) -m tests.bench $(or $(BENCH),fanout)

lock: .uv/path ## Lock the dependencies anew (ARGS=--upgrade for newer ones)
	@uv=$$(cat .uv/path) && export UV_CUSTOM_COMPILE_COMMAND="make lock" && set -x && \
	$$uv pip compile -q pyproject.toml --extra demo --extra stripe --universal --python-version 3.11 --generate-hashes \
		$(ARGS) -o requirements.lock && \
	$$uv pip compile -q pyproject.toml --extra demo --extra stripe --group dev --universal --python-version 3.11 --generate-hashes \
		$(ARGS) -c requirements.lock -o requirements-dev.lock

clean: ## Remove the environments and caches; the demo's data stays
	rm -rf .venv .uv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

reset: ## Remove the demo's data
	rm -rf .data

# The test's packages are the demo's and more, so the demo is content with either.
sync-demo: .uv/path
	@stamp=$$(cat .venv/in-sync 2>/dev/null || true); \
	[ "$$stamp" = "$$(cksum requirements.lock)" ] || [ "$$stamp" = "$$(cksum requirements-dev.lock)" ] || \
	$(MAKE) --no-print-directory .sync LOCK=requirements.lock

sync-dev: .uv/path
	@[ "$$(cat .venv/in-sync 2>/dev/null)" = "$$(cksum requirements-dev.lock)" ] || \
	$(MAKE) --no-print-directory .sync LOCK=requirements-dev.lock

.PHONY: .sync
.sync:
	@echo "Installing the packages of $(LOCK) into .venv"
	@rm -f .venv/in-sync
	@$(PY) -c "" 2>/dev/null || $$(cat .uv/path) venv -q --clear --python "$$(cat .uv/python)" .venv
	@$$(cat .uv/path) pip sync -q --python .venv --require-hashes --compile-bytecode $(LOCK)
	@cksum $(LOCK) > .venv/in-sync

# Which Python, and which uv: the machine's, or one in a virtual environment of its own.
.uv/path:
	@for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$(command -v "$$candidate"); break; \
		fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "Ordercast needs Python 3.11 or later; here is $$(python3 --version 2>/dev/null || echo none)." >&2; exit 1; \
	fi; \
	mkdir -p .uv && echo "$$python" > .uv/python && \
	if command -v uv >/dev/null 2>&1; then command -v uv > .uv/path; exit 0; fi; \
	echo "Installing uv into .uv"; \
	if ! "$$python" -m venv .uv >/dev/null 2>&1; then \
		echo "$$python cannot make a virtual environment; on Debian: apt-get install python3-venv" >&2; exit 1; \
	fi; \
	.uv/bin/python -m pip install -q --disable-pip-version-check uv && echo .uv/bin/uv > .uv/path
