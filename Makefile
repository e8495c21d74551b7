# make help lists the targets. Everything lives in .venv, made on first use from pyproject.toml under constraints.txt.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=

.DEFAULT_GOAL := help
.PHONY: help install train test check bench ui clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## set up .venv

train: $(VENV)/.installed ## train on the made sample; make train ARGS="usecase=steel backbone=resnet50"
	$(VENV)/bin/python train.py usecase=casting backbone=efficientnet_b4 $(ARGS)

test: $(VENV)/.installed-dev ## run the tests; PARTSIGHT_TEST_DATA=FOLDER switches the real data on
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(TESTS)

check: $(VENV)/.installed-dev ## ruff, ruff format, mypy strict
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/.installed ## measure this machine; make bench ARGS="usecase=steel backbone=resnet50"
	$(VENV)/bin/partsight bench $(if $(ARGS),$(ARGS),usecase=casting backbone=resnet50)

ui: $(VENV)/.installed ## compare runs in the browser (MLflow)
	$(VENV)/bin/partsight ui

clean: ## remove .venv; runs and the MLflow store stay
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@
