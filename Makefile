# The commands of README.md: each builds the .venv it needs, once, and again when pyproject.toml changes.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PIP = .venv/bin/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test check bench venv clean

demo: .venv/alertd.installed      ## an incident from beginning to end against the built-in simulator
	@.venv/bin/alertd demo

test: .venv/test.installed        ## the test suite; what its hundreds of processes import is compiled once
	@env -u PYTHONDONTWRITEBYTECODE PYTHONPYCACHEPREFIX="$(CURDIR)/.venv/compiled" \
	    .venv/bin/pytest -q -n auto --dist worksteal

check: .venv/gates.installed      ## what a change must pass besides the tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/hadolint Dockerfile

bench: .venv/bench.installed      ## side-by-side measurements; writes benchmarks/README.md
	.venv/bin/python -m benchmarks

venv: .venv/test.installed .venv/gates.installed

clean:
	rm -rf .venv build dist

.venv/alertd.installed: pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "alertd needs Python 3.11 or newer: install it, or say where it is (make PYTHON=/path/to/python3)" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(PIP) --upgrade 'pip>=25.1'
	$(PIP) --editable .
	@touch $@

.venv/test.installed: .venv/alertd.installed
	$(PIP) --group test
	@touch $@

.venv/bench.installed: .venv/alertd.installed
	$(PIP) --group bench
	@touch $@

.venv/gates.installed: .venv/alertd.installed
	$(PIP) --group gates
	@touch $@
