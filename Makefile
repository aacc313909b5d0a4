# Everything a person or CI runs. `make` alone lists the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
FAST   := $(wildcard core/_fast/*.pyx core/_fast/*.pxd)

.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip "setuptools>=80" "cython>=3.1,<4"
	AGORA_EXTENSIONS=none $(BIN)/pip install --quiet --no-build-isolation --editable '.[dev]'
	@touch $@

$(VENV)/.compiled: $(VENV)/.installed setup.py $(FAST)
	$(BIN)/python setup.py --quiet build_ext --inplace --parallel 2
	@touch $@

setup: $(VENV)/.compiled  ## virtual environment, dependencies, compiled modules

.PHONY: help setup
