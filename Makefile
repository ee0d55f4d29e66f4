PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 15

demo: $(READY) ## train, evaluate and predict on sample_data, and write demo/
	$(VENV)/bin/napari-attnseg demo --out demo

test: $(READY) ## run all tests
	$(PY) -m pytest

check: $(READY) ## ruff, mypy, import-linter, and npe2 where there is a manifest
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy napari_attnseg $(wildcard scripts/*.py benchmarks/*.py)
	$(VENV)/bin/lint-imports --no-logo
	@if [ -f napari_attnseg/napari.yaml ]; then $(VENV)/bin/npe2 validate napari_attnseg/napari.yaml; fi

bench: $(READY) ## measure training and inference, and print a table
	$(PY) -m benchmarks.run

clean: ## remove the virtual environment, caches and what the demo wrote
	rm -rf $(VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew only when what it is made from has changed.
$(READY): pyproject.toml constraints.txt scripts/install_system_libraries.sh
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {v[0]}.{v[1]}. Choose another with: make PYTHON=python3.12")'
	@PYTHON=$(PYTHON) bash scripts/install_system_libraries.sh
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'Install the package python3-venv, then try again.'; exit 1; }
	@echo 'Installing the pinned packages into $(VENV); this takes a few minutes.'
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[viewer,test,dev]'
	@touch $@
