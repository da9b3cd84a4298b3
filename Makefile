# The commands people type. `make demo` and `make test` need nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 7860
FILES ?=

.PHONY: demo test test-files check format clean

demo: $(VENV)/.app
	$(BIN)/python -m app --port $(PORT)

# One thread a worker; pages are timed by their own clocks, so a browser has the machine to itself.
test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --ignore tests/browser
	$(BIN)/python -m pytest tests/browser -m "not files"

# The whole set of files, made by ffmpeg and played in Chromium; FILES is a folder that keeps them.
test-files: $(VENV)/.test
	ADASPARK_FILES=$(FILES) $(BIN)/python -m pytest tests/browser/test_files.py

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python tests/js/check.py

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tests/js/check.py --write

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.app: requirements.txt pyproject.toml | $(BIN)/python
	$(BIN)/pip install -q -r requirements.txt
	$(BIN)/pip install -q --no-deps -e .
	touch $@

# Chromium and ffmpeg: what is there, else Playwright's own, else the system's package.
$(VENV)/.test: $(VENV)/.app tests/tools.py
	$(BIN)/pip install -q -e ".[test]"
	$(BIN)/python tests/tools.py
	touch $@

clean:
	rm -rf $(VENV) tests/js/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
