# make test | demo | check | soak | bench | windows-proof: each sets up what it needs first (as root on Debian by apt, the rest in .venv).
# Once set up that takes no time: stamps lie in .make/.

PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
ROOT := $(filter 0,$(shell id -u))
BIN := .venv/bin
WORKERS ?= 2
PYTEST := $(BIN)/python -m pytest

.PHONY: help setup lab test check soak demo bench windows-proof clean clean-lab
help:
	@echo 'make demo   boot 8 real hosts and patch them through the real command line (root, Debian 12)'
	@echo 'make test   make check, then all tests; without root all but those that need real hosts'
	@echo 'make check  ruff, mypy --strict, import rules'
	@echo 'make soak   the long versions of tests'
	@echo 'make bench  measure against bare paramiko, pyinfra and Ansible, side by side (root)'
	@echo 'make windows-proof  pack every text for Windows, for somebody who has one (docs/howto/windows-proof.md)'
	@echo 'make setup  only set up; make clean removes caches, make clean-lab the hosts and their base as well'

setup: .make/venv

# The interpreter and its venv module: on Debian packages of their own.
.make/python:
	@mkdir -p .make
	@if [ -n "$(PYTHON)" ] && $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then :; \
	elif [ -n "$(ROOT)" ] && command -v apt-get >/dev/null; then \
		apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends \
			python3 python3-venv ca-certificates; \
	else echo 'needs Python 3.11 or newer with venv: as root, apt-get install python3 python3-venv' >&2; exit 1; fi
	@touch $@

.make/venv: pyproject.toml .make/python
	@[ -x $(BIN)/python ] || $(or $(PYTHON),python3) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# What booting hosts needs, and their base: built once, kept outside the checkout (tests/lab/README.md).
# The Kerberos clients are C: what builds them comes with the lab's packages.
lab: setup
	@$(BIN)/python -m tests.lab setup
	@$(BIN)/python -c 'import gssapi, kerberos, krb5' 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[kerberos]' \
		|| echo 'the Kerberos clients could not be built: their tests are left out' >&2

check: setup
	@status=0; \
	for tool in 'ruff check patchctl tests bench' 'mypy' 'lint-imports --no-cache --no-logo'; do \
		echo "== $$tool"; $(BIN)/$$tool || status=1; \
	done; exit $$status

# The tests run even if a check fails: one run tells all.
test: setup lab
	@status=0; $(MAKE) --no-print-directory check || status=$$?; \
	echo '== pytest'; $(PYTEST) -n $(WORKERS) --dist loadfile || status=$$?; exit $$status

soak: setup lab
	PATCHCTL_SOAK=1 $(PYTEST) -m soak --timeout 3600

demo: setup lab
	@$(BIN)/python -m tests.lab.demo

bench: setup lab
	@$(BIN)/python -m bench

windows-proof: setup
	@$(BIN)/python -m tests.windows.proof build

clean:
	rm -rf .make .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find patchctl tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

clean-lab:
	@$(or $(PYTHON),python3) -m tests.lab remove
