# Two commands for everybody: `make demo` and `make test`. Both make their own environment in .venv.

PYTHON ?= python3
VENV   ?= .venv
# Where packages come from. With a plain package index, torch's CPU build needs its own:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

.PHONY: demo test check fix slow clean

demo: $(VENV)/.train
	$(BIN)/smidgen demo

test: check
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.train: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) torch
	$(INSTALL) --editable '.[train]'
	touch $@

# torchvision is an oracle of the tests, not a dependency: its own requirements would pull another torch.
$(VENV)/.dev: $(VENV)/.train
	$(INSTALL) --editable '.[train,dev]'
	$(INSTALL) --no-deps torchvision
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
