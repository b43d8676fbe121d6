# Everything begins with `setup`, which does nothing when nothing is missing. Windows and conda: see docs/install.md.
#   make demo      real micrographs denoised, from an empty clone (MINUTES=2 of training)
#   make app       the window
#   make test      what every change must pass     make test-slow   minutes of computing more
#   make bench     measurements, printed as JSON

SHELL := /bin/sh
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$p; break; }; done)
PY := .venv/bin/python
BIN := .venv/bin
MINUTES ?= 2
ARGS ?=
# Two threads are enough for tests; idle threads must sleep, not spin, on shared machines.
TEST_ENV := OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE QT_QPA_PLATFORM=offscreen
XVFB := xvfb-run -a -s "-screen 0 1600x1200x24 +extension GLX +render -noreset"

.PHONY: help setup demo app test test-slow lint pytest gl bench docs clean

help:
	@sed -n '2,5s/^# *//p' Makefile

setup:
	@test -n "$(PYTHON)" || { echo "setup: Python 3.11 or newer is needed (Debian and Ubuntu: apt-get install -y python3 python3-venv)"; exit 1; }
	@$(PYTHON) resources/setup/install.py

demo: setup
	$(PY) main.py demo --minutes $(MINUTES) $(ARGS)

app: setup
	$(PY) main.py $(ARGS)

test: setup
	@$(MAKE) --no-print-directory lint pytest gl

lint:
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

pytest:
	$(TEST_ENV) $(PY) -m pytest -m "not slow and not gl" $(ARGS)

# Tests of the OpenGL painter need a display; a virtual one is enough. No tests collected (5) is no failure.
gl:
	@if command -v xvfb-run >/dev/null 2>&1; then \
		OMP_NUM_THREADS=2 OMP_WAIT_POLICY=PASSIVE QT_QPA_PLATFORM=xcb $(XVFB) $(PY) -m pytest -m "gl and not slow" $(ARGS); \
		code=$$?; test $$code -eq 0 -o $$code -eq 5; \
	else echo "gl tests skipped: xvfb-run is missing (apt-get install -y xvfb xauth)"; fi

test-slow: setup
	$(TEST_ENV) $(PY) -m pytest -m slow $(ARGS)

bench: setup
	@$(PY) -m benchmarks $(ARGS)

docs: setup
	$(PY) -m core.docs_tables

clean:
	rm -rf .venv .pytest_cache .ruff_cache .import_linter_cache .hypothesis
