# Everything this project does, by name. `make` alone lists it.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PORT ?= 8000
# The name holds the folder's checksum: a copied or moved checkout installs anew instead of using the old one's code.
STAMP := $(VENV)/installed-$(shell pwd | cksum | cut -d' ' -f1)
# Extra words for pip. On Linux, the small CPU build of torch: --extra-index-url https://download.pytorch.org/whl/cpu
PIP_ARGS ?=
BUILD := $(PY) $(VENV)/bin/jupyter-book build --warningiserror --keep-going --quiet .

# Outputs of notebooks are compared word for word: the same order of sets, no progress bars.
export PYTHONHASHSEED := 0
export TQDM_DISABLE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.PHONY: help environment book serve lab test quick chapters exercises figures bench repository lint clean

help:  ## list these commands
	@echo "Usage: make COMMAND"
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile

book: environment  ## build the book; warnings are errors
	@$(BUILD)
	@echo
	@echo "The book is in _build/html. Read it with:  make serve"

serve:  ## serve the built book on this machine (PORT=8000)
	@test -f _build/html/index.html || { echo "There is no book yet. Build it with:  make book" >&2; exit 1; }
	@echo "The book: http://localhost:$(PORT)  (Ctrl-C stops it)"
	@$(PY) -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

lab: environment  ## open the chapters in JupyterLab
	$(PY) -m jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) chapters

test: environment  ## run every check: lint, types, book, tests, notebooks
	@$(PY) -m book.tools.checks all

quick: environment  ## lint, types and the fast tests, in under two minutes
	@$(PY) -m book.tools.checks quick

chapters: environment  ## run the notebooks again and store their outputs (CHAPTER=02 for one)
	@$(PY) -m book.tools.notebooks execute $(CHAPTER)

exercises: environment  ## make students' notebooks and the chapters' sections from the masters (CHAPTER=02 for one)
	@$(PY) -m book.tools.exercises build $(CHAPTER)

figures: environment  ## draw the book's own pictures, fill in README's measured numbers
	@$(PY) -m book.figures.draw
	@$(PY) -m book.tools.results
	@$(PY) -m book.tools.session

bench: environment  ## measure again what benchmarks/results holds
	@$(PY) -m benchmarks
	@$(PY) -m book.tools.results
	@$(PY) -m book.tools.session

repository: environment  ## name another repository everywhere (URL=https://github.com/you/fork)
	@$(PY) -m book.tools.repository "$(URL)" $(BRANCH)

lint: environment  ## mend the format, then report what is left
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

clean:  ## remove what was built (not the environment: delete .venv for that)
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +

environment: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "Needs Python 3.11 or later with its venv module; '$(PYTHON)' is: $$($(PYTHON) --version 2>&1)." >&2; \
	  echo "Name another one:  make PYTHON=python3.12 $(MAKECMDGOALS)    (Debian: apt install python3-venv)" >&2; exit 1; }
	@$(PY) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	PYTHONWARNINGS=ignore $(PY) -m pip install --quiet $(PIP_ARGS) -c constraints.txt -e '.[dev,book]'
	@rm -f $(VENV)/installed-*
	@touch $@
