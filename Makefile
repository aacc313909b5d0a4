# Everything a person or CI runs. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FAST   := $(wildcard core/_fast/*.pyx core/_fast/*.pxd)
CYTHON := $(FAST) $(wildcard bench/*.pyx tests/leaks/*.pyx)

.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

# -- setting up -------------------------------------------------------------------------------------------

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Agora needs Python 3.11 or newer; name one: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --upgrade pip "setuptools>=80" "cython>=3.1,<4"
	AGORA_EXTENSIONS=none $(BIN)/pip install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/.compiled: $(VENV)/.installed setup.py $(FAST)
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	@touch $@

setup: $(VENV)/.compiled  ## virtual environment, dependencies, compiled modules

# -- the five commands ------------------------------------------------------------------------------------

run: setup  ## start the gateway on 127.0.0.1:8000 with examples/market.toml: the opinion market
	@$(BIN)/agora serve examples/market.toml

quickstart: setup  ## start it with examples/quickstart.toml, and an HTTP service behind it
	@$(BIN)/python examples/quickstart.py

test: setup  ## run the whole suite
	$(BIN)/pytest

check: setup  ## lint, format, types, layers, file sizes, stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint $(CYTHON)
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_layers.py tests/test_sizes.py tests/test_stubs.py tests/test_compiled.py

bench: setup  ## measure beside nginx, HAProxy, Envoy and others; figures as a table and as JSON
	$(BIN)/python -m bench

clean:  ## remove what was built: compiled modules, caches, the virtual environment
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find core bench tests \( -name '*.so' -o -name '*.c' -o -name '*.html' \) -type f -delete

# -- instrumented builds: a copy of the tree in build/, so that the ordinary modules stay as they are --------

COMPILER  ?= $(or $(CC),gcc)
RUNTIMES   = $(foreach name,asan ubsan stdc++,$(realpath $(shell $(COMPILER) -print-file-name=lib$(name).so)))
BY_HAND   := -p no:cacheprovider -o timeout=900 --capture=sys
# The sanitizer keeps freed memory back, so what measures memory is left out.
MEASURES    := a_client_that_reads_nothing_holds_back_the_upstream a_large_answer_passes_whole_through_little_memory \
	a_large_upload_passes_whole_through_little_memory
ASAN_TESTS  ?= tests/test_compiled.py tests/core tests/native tests/plugins tests/gateway \
	$(MEASURES:%=--deselect tests/native/test_streaming.py::test_%)
LEAKS_TESTS ?= tests/leaks/soak.py

define copy_tree
	@mkdir -p $(1)
	@find $(1) -type f ! -name '*.so' ! -name '*.c' -delete
	@tar -cf - --exclude='*.so' --exclude='*.c' --exclude='*.html' --exclude=__pycache__ --exclude=results \
		core engines plugins gateway tests bench examples docs pyproject.toml setup.py README.md | tar -xf - -C $(1)
endef

asan: setup  ## run the compiled code's tests under the address and undefined-behaviour sanitizers
	$(call copy_tree,build/asan)
	cd build/asan && AGORA_SANITIZE=address,undefined ../../$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	cd build/asan && LD_PRELOAD="$(RUNTIMES)" PYTHONMALLOC=malloc PYTHONPATH="$(CURDIR)/build/asan" \
		ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1 \
		../../$(BIN)/python -m pytest $(BY_HAND) $(ASAN_TESTS)

leaks: setup  ## run exchanges by the thousand and count what is left of them
	$(call copy_tree,build/leaks)
	cd build/leaks && AGORA_LEAKS=1 ../../$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	cd build/leaks && PYTHONMALLOC=malloc GLIBC_TUNABLES=glibc.malloc.tcache_count=0 PYTHONPATH="$(CURDIR)/build/leaks" \
		../../$(BIN)/python -m pytest $(BY_HAND) -p no:logging $(LEAKS_TESTS)

.PHONY: help setup run quickstart test check bench clean asan leaks
