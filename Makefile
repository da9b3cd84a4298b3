# The commands people type. `make demo` and `make test` need nothing but Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PORT ?= 7860
FILES ?=
# Tests with targets of their own.
APART := not cluster and not lmms and not wheel and not files

.PHONY: demo test test-all test-files fuzz load audit test-oldest test-newest test-ray test-wheel test-eval check format clean
.PHONY: space-zerogpu space-static space-docker badges

demo: $(VENV)/.app
	$(BIN)/python -m app --port $(PORT)

# One thread a worker. `test` leaves out what is marked long: more values, and tests that take long.
test test-all: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --ignore tests/browser -m "$(TRIED)"
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal tests/browser -m "$(TRIED)"

test: TRIED := $(APART) and not long
test-all: TRIED := $(APART)

# The whole set of files, made by ffmpeg and played in Chromium; FILES is a folder that keeps them.
test-files: $(VENV)/.test
	ADASPARK_FILES=$(FILES) $(BIN)/python -m pytest tests/browser/test_file_kinds.py -m files

# The laws and all that touches transformers, with the oldest supported version and with the newest
# there is; an unknown one is warned of, which is no failure here.
test-oldest: OF := ==5.17.*
test-newest: OF := <6
test-oldest test-newest: $(VENV)/.test
	$(BIN)/pip install -q --upgrade --target build/$@ "transformers$(OF)"
	PYTHONPATH=build/$@ OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto -W "ignore:transformers:UserWarning" tests/test_laws.py tests/model

# Broken videos sent to a real service; what must hold is in .github/SECURITY.md.
fuzz: $(VENV)/.test
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz.py --out assets/results/reliability/fuzz.json

# 32 visitors at once, six minutes to warm up and ten that count, then 500 questions, through the real server.
load: $(VENV)/.test
	PYTHONPATH=tests:. $(BIN)/python tests/load.py --out assets/results/reliability/load.json

# Known vulnerabilities of what is installed; asks pypi.org.
audit: $(VENV)/.app
	$(PYTHON) -m venv build/audit
	build/audit/bin/pip install -q pip-audit
	build/audit/bin/pip-audit --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"

# A real Ray cluster of two nodes, one of which is killed; several minutes.
test-ray: $(VENV)/.test
	$(BIN)/pip install -q -e ".[ray]"
	$(BIN)/python -m pytest -m cluster tests/inspect

# The wheel and the sdist, in a fresh environment of each supported Python that is here, also of
# pyenv; torch comes along, gigabytes where the only wheel is for CUDA, and is removed again.
test-wheel: $(VENV)/.test
	$(BIN)/python -m pytest -m wheel tests/test_wheel.py

# The real lmms-eval, in an environment of its own: it wants other versions of what we use.
test-eval: $(VENV)-eval/.test
	$(VENV)-eval/bin/python -m pytest -m lmms tests/eval/test_lmms_real.py

$(VENV)-eval/.test: pyproject.toml
	$(PYTHON) -m venv $(VENV)-eval
	$(VENV)-eval/bin/pip install -q -e ".[eval]" pytest hypothesis
	touch $@

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

# A folder ready for `hf upload`, in build/.
space-zerogpu space-static space-docker: $(VENV)/.app
	rm -rf build/$@
	$(BIN)/python -m app.web.spaces $(@:space-%=%) --out build/$@

# Links to Colab in the notebooks, which need to know whose repository this is: OWNER=name.
badges:
	$(PYTHON) tests/badges.py "$(OWNER)"

clean:
	rm -rf $(VENV) tests/js/node_modules build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
