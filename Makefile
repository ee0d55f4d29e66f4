PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# The libraries that the benchmark compares with have an environment of their own, with this project in it.
BENCH_VENV := .venv-bench
BENCH_PY := $(BENCH_VENV)/bin/python
BENCH_READY := $(BENCH_VENV)/.ready
# the parts and options of the benchmark, see python -m benchmarks.run --help
BENCH ?=
# the screen in memory that pytest-xvfb starts; its own default has 800 x 600 pixels of 16 bits
SCREEN := -o xvfb_width=1280 -o xvfb_height=1024 -o xvfb_colordepth=24
# What the second binding is spared; all of it there too: make test-pyqt6 SPARED=
SPARED ?= -m 'not one_binding'
# how long the training in the pictures takes; on a busy machine more
MINUTES ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo test test-engine test-pyqt5 test-pyqt6 check bench screenshots clean

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 19

demo: $(READY) ## train, evaluate and predict on sample_data, write demo/, and show it in napari where there is a display
	$(VENV)/bin/napari-attnseg demo --out demo

test: $(READY) ## run all tests, those of the viewer on PyQt5 and the shorter of them again on PyQt6
	@echo 'Two parts at a time run side by side; what a part says comes when it is done, after some minutes.'
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-pyqt5 test-engine test-pyqt6

# Each waits a lot and keeps one core busy at most.
test-engine: $(READY)
	$(PY) -m pytest --ignore=tests/viewer
test-pyqt5 test-pyqt6: test-%: $(READY)
	QT_API=$* PYTEST_QT_API=$* $(PY) -m pytest $(SCREEN) $(OPTIONS) tests/viewer
test-pyqt6: OPTIONS = $(SPARED)

check: $(READY) ## ruff, mypy, import-linter, and npe2 where there is a manifest
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy napari_attnseg benchmarks $(wildcard scripts/*.py)
	$(VENV)/bin/lint-imports --no-logo
	@if [ -f napari_attnseg/napari.yaml ]; then $(VENV)/bin/npe2 validate napari_attnseg/napari.yaml; fi

bench: $(BENCH_READY) ## measure everything beside other libraries and print tables, an hour or two; BENCH='PART --data DIR'
	$(BENCH_PY) -m benchmarks.run $(BENCH)

screenshots: $(READY) ## take the README's pictures of the docks, with real trainings, and in light colours build/screenshots
	QT_API=pyqt6 xvfb-run -a -s '-screen 0 1280x800x24' $(PY) scripts/make_screenshots.py --minutes $(MINUTES)
	QT_API=pyqt6 xvfb-run -a -s '-screen 0 1280x800x24' $(PY) scripts/make_screenshots.py --minutes $(MINUTES) --theme light --out build/screenshots

clean: ## remove the virtual environment, caches and what the demo wrote
	rm -rf $(VENV) $(BENCH_VENV) demo build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Made anew only when what it is made from has changed.
$(READY): pyproject.toml constraints.txt scripts/install_system_libraries.sh
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or newer is needed; {sys.executable} is {v[0]}.{v[1]}. Choose another with: make PYTHON=python3.12")'
	@PYTHON=$(PYTHON) bash scripts/install_system_libraries.sh
	@[ -x $(PY) ] || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo 'Install the package python3-venv, then try again.'; exit 1; }
	@echo 'Installing the pinned packages into $(VENV); this takes a few minutes.'
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt -e '.[viewer,pyqt6,test-viewer,dev]'
	@touch $@

$(BENCH_READY): pyproject.toml benchmarks/requirements.txt benchmarks/constraints.txt scripts/install_system_libraries.sh
	@PYTHON=$(PYTHON) bash scripts/install_system_libraries.sh
	@[ -x $(BENCH_PY) ] || $(PYTHON) -m venv $(BENCH_VENV) || { rm -rf $(BENCH_VENV); echo 'Install the package python3-venv, then try again.'; exit 1; }
	@echo 'Installing the libraries to compare with into $(BENCH_VENV); they take some gigabytes, and a while.'
	@$(BENCH_PY) -m pip install -qq --disable-pip-version-check -c benchmarks/constraints.txt -r benchmarks/requirements.txt -e '.[viewer]'
	@touch $@
