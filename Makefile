# make chat  opens the chat on the model that ships;  make test  passes the tests.  Both make .venv first if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Versions known to work together. On Linux it also keeps pip from a newer torch than was tested.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: chat test test-web lint format audit dist clean

chat: $(VENV)/installed
	@$(BIN)/charrnn chat

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal

# In a real browser: Chromium, from the system.
test-web: $(VENV)/installed-dev
	@$(PIP) playwright
	$(BIN)/python -m pytest tests/tui/chromium.py

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Known faults of the versions that were tested, and of the oldest that are allowed; asks the Python package index.
audit: $(VENV)/installed-dev
	@$(PIP) pip-audit
	$(BIN)/pip-audit --no-deps --disable-pip --requirement constraints.txt
	@$(BIN)/python -c 'import tomllib; print(*(d.replace(">=", "==") for d in \
	  tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]), sep="\n")' > $(VENV)/oldest.txt
	$(BIN)/pip-audit --no-deps --disable-pip --requirement $(VENV)/oldest.txt

# Source and wheel into dist/: their descriptions, the same bytes twice (once from the source that is packed), and a whole
# installation in an empty environment, used from an empty folder. What goes in is tested by tests/test_wheel.py.
dist: $(VENV)/installed-dev
	@$(PIP) twine
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m build --no-isolation --wheel --outdir dist/again
	cmp dist/*.whl dist/again/*.whl
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz
	@$(PYTHON) -m venv dist/empty
	@dist/empty/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	@mkdir dist/elsewhere
	cd dist/elsewhere && ../empty/bin/charrnn --version && ../empty/bin/charrnn generate 循环 --length 20 --seed 1
	cd dist/elsewhere && ../empty/bin/charrnn train binary --steps 20 > train.log && ../empty/bin/charrnn ask 你好
	rm -rf dist/again dist/empty dist/elsewhere

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "charrnn needs Python 3.11 or newer; name one with: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: sudo apt install python3-venv"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "installing charrnn into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
