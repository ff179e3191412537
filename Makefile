# make demo    set up, and do the main job on an embedded corpus (dates in words to ISO dates)
# make test    set up, and run the tests
# make coverage   set up, and run the tests with a report of the lines that they do not reach
# make check   set up, and run what reads the code: ruff, mypy, import-linter
# make documentation   set up, and run all commands of README and of the pages in docs; PAGES chooses some
# make docs    set up, and build the documentation site in build/site; make docs-serve also shows it
# make packages   set up, build sdist and wheel, install the wheel and use it, and run the kernels of other platforms
# make lessons   set up, train the models of the lessons one after the other, and measure their figures
# make reference   set up, and write docs/reference.md, the page of all recipe keys

PYTHON ?= python3
PAGES ?= page
SITE := build/site
SITE_PORT ?= 8000
PACKAGES := tests/unit/nn/kernels/test_wheel.py tests/unit/nn/test_other_platforms.py
BIN := .venv/bin

.PHONY: demo test documentation docs docs-serve packages coverage check slow lessons reference

demo: .venv/base
	$(BIN)/regard demo

# The processes that tests start would compile regard anew each time without cached bytecode.
test documentation packages coverage slow: export PYTHONDONTWRITEBYTECODE =

test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal

documentation: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal tests/documentation -m slow -k '$(PAGES)'

docs: .venv/dev
	$(BIN)/python -m sphinx -q -b html -n -W --keep-going -c docs/site . $(SITE)
	@echo "written to $(SITE)/index.html"

docs-serve: docs
	@echo "http://127.0.0.1:$(SITE_PORT)/ (Ctrl-C ends)"
	@$(BIN)/python -m http.server $(SITE_PORT) --bind 127.0.0.1 --directory $(SITE) > /dev/null 2>&1 || true

packages: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist loadfile $(PACKAGES) -m slow

coverage: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --cov --cov-report=term:skip-covered

slow: .venv/dev
	$(BIN)/python -m pytest -q -m slow

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lessons: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/python -m regard.lessons.build

reference: .venv/base
	$(BIN)/python -m regard.runs.recipe_reference docs/reference.md

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "regard needs Python >= 3.11; name one by: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/base: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch .venv/base $@
