# Two commands do all set-up:  make demo   and   make test.   Everything lands in .venv and saves/.

PYTHON   ?= $(shell command -v python3.11 || command -v python3)
PIP_ARGS ?=
PORT     ?= 7860
HOST     ?= 127.0.0.1
BIN      := .venv/bin
PIP      := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: demo studio install test browser check format tiny-model docs clean help

help:            ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/installed      ## fine-tune the built-in tiny model and watch it in the studio
	@$(BIN)/tunesmith webui --host $(HOST) --port $(PORT) --start examples/demo.yaml

studio: .venv/installed    ## the studio alone
	@$(BIN)/tunesmith webui --host $(HOST) --port $(PORT)

install: .venv/installed   ## .venv with the product

test: .venv/installed-test browser   ## all tests that need no GPU
	$(BIN)/python -m pytest $(TESTS)

check: .venv/installed-dev ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-dev ## rewrite the code in house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: .venv/installed      ## pages made from the declarations
	$(BIN)/python -m engine.schema.docs > docs/arguments.md

tiny-model: .venv/installed ## train data/tiny-qwen3 anew (up to 40 minutes on a CPU)
	$(BIN)/python data/tiny/build.py

browser:         ## Chromium for the browser tests, from the distribution
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	       && apt-get update -q && apt-get install -y -q --no-install-recommends chromium fonts-noto-cjk; } \
	  || { echo "The browser tests need Chromium. Install the package chromium (or google-chrome) and try again."; exit 1; }

clean:           ## remove .venv and caches; runs in saves/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info build

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Tunesmith needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=/path/to/python3.11 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/created pyproject.toml constraints.txt
	$(PIP) install -q $(PIP_ARGS) -c constraints.txt -e ".[eval]"
	@touch $@

.venv/installed-test: .venv/installed
	$(PIP) install -q $(PIP_ARGS) -c constraints.txt -e ".[test]"
	@touch $@

.venv/installed-dev: .venv/installed
	$(PIP) install -q $(PIP_ARGS) -c constraints.txt -e ".[dev]"
	@touch $@
