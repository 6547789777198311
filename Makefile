# The commands of CONTRIBUTING.md by name: `make install`, and then the others.

.PHONY: install test lint docs ci

install: # everything that a contributor needs, in the active virtual environment
	python -m pip install -e ".[dev,docs]"

test: # the tests on all cores
	python -m pytest -n auto

lint: # style, format and types
	ruff check . && ruff format --check . && mypy

docs: # the documentation site, into site/
	mkdocs build --strict

ci: # what continuous integration runs, in a fresh environment
	.ci/run
