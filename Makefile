# Every target sets up what it needs: a virtual environment in .venv, from pip alone.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-reference check bench bench-check bench-gpu eval sim chaos mutants sample pictures clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# the realesrgan package, to compare with, has old needs and an environment of its own
REFERENCE := .venv-reference
REFERENCE_READY := $(REFERENCE)/.ready
# where to get PyTorch from, if not from pip's usual index: make demo TORCH_INDEX=https://…/cpu
TORCH_INDEX ?=
SEEDS ?= 0:200
# in make sim: runs in which the program dies twice; 0:0 are none
PAIRS ?= 0:0
PIP := $(BIN)/python -m pip --disable-pip-version-check install --progress-bar on --constraint constraints.txt
REFERENCE_PIP := $(REFERENCE)/bin/python -m pip --disable-pip-version-check install --progress-bar on --constraint constraints-reference.txt

help:
	@echo "make demo      the whole story on this computer, no account needed"
	@echo "make test      the tests that take seconds each (a few minutes in all)"
	@echo "make test-all  every test, the figures of the shipped models and the frame cost;"
	@echo "               with AFTER_TEST=1 without those that make test has just run"
	@echo "make test-reference  our networks against the realesrgan package (an environment of 6 GB)"
	@echo "make check     format, lint, types and import rules, secrets, known vulnerabilities"
	@echo "make bench     our engine beside PyTorch and realesrgan, what a frame costs, and what the"
	@echo "               controller needs for 500 machines"
	@echo "make bench-gpu our engine beside PyTorch and realesrgan on a CUDA device"
	@echo "make eval      figures of the shipped models, image by image"
	@echo "make sim SEEDS=A:B  the whole deployment in virtual time, faults and crashes by seeds;"
	@echo "               with PAIRS=A:B also runs in which the program dies twice, by seeds as well"
	@echo "make chaos     real processes under load, 200 kills of the controller and 100 of runners"
	@echo "make mutants   plants bugs in copies of the tree, and tells which test notices each"
	@echo "make pictures  the pictures of the docs, from the web chat in a headless Chromium"
	@echo "make clean     remove the environment, caches and the demo (never your data)"

demo: $(READY)
	@$(BIN)/noxfvr demo

# many tests wait for programs that run in real time: a third worker fills in
test: $(READY)
	@$(BIN)/python -m pytest -n 3 --dist worksteal -m "not slow and not gpu and not reference" tests

test-all: $(READY)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "$(if $(AFTER_TEST),(slow or gpu) and not reference,not reference)" tests
	@$(MAKE) --no-print-directory eval
# a machine that others use as well is too noisy for the limit of record, which make bench has
	@$(BIN)/python -m tests.benchmarks.frame_cost --limit 2

test-reference: $(REFERENCE_READY)
	@$(REFERENCE)/bin/python -m pytest -m reference tests/reference

check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.security.secret_scan
	@$(BIN)/python -m tests.security.advisory_scan

bench: $(READY) $(REFERENCE_READY)
	@$(BIN)/python -m tests.benchmarks.engine --check
	@$(BIN)/python -m tests.benchmarks.frame_cost
	@$(BIN)/python -m tests.benchmarks.controller_load --minutes 10

# limits that hold on a machine that others use as well; those of record are in make bench
bench-check: $(READY) $(REFERENCE_READY)
	@$(BIN)/python -m tests.benchmarks.engine --check --short --limit-network 0.9 --limit-end 1.1

bench-gpu: $(READY) $(REFERENCE_READY)
	@$(BIN)/python -m tests.benchmarks.engine --device cuda
	@$(BIN)/python -m tests.benchmarks.frame_cost --device cuda

eval: $(READY)
	@$(BIN)/python data/models/evaluate.py

sim: $(READY)
	@$(BIN)/python -m tests.simulation $(SEEDS)
	@$(if $(filter 0:0,$(PAIRS)),,$(BIN)/python -m tests.simulation --pairs $(PAIRS))

chaos: $(READY)
	@$(BIN)/python -m tests.chaos --kills 200 --runner-kills 100 --jobs 20 --json chaos.json

mutants: $(READY)
	@$(BIN)/python -m tests.mutants --jobs 2

sample: $(READY)
	@$(BIN)/python data/samples/make_sample.py

# needs chromium
pictures: $(READY)
	@$(BIN)/python docs/make_pictures.py

clean:
	@rm -rf $(VENV) $(REFERENCE) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@rm -rf data/demo

$(READY): pyproject.toml constraints.txt bot/requirements.txt remote_runner/requirements.txt tests/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "noxfvr needs Python 3.11 or newer; make PYTHON=python3.11 names one"; exit 2; }
	@echo "[1/3] A virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "[2/3] PyTorch"
	@$(PIP) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	@echo "[3/3] noxfvr and the other libraries"
	@$(PIP) --editable '.[bot,runner,dev]'
	@touch $@

# PyTorch first: the others ask for it while they are built, from sources that name no builder.
# Of our own needs the headless OpenCV stays out: realesrgan brings the other one, in its place.
$(REFERENCE_READY): pyproject.toml constraints-reference.txt remote_runner/requirements.txt remote_runner/requirements-reference.txt tests/reference/requirements.txt
	@echo "[1/3] A virtual environment in $(REFERENCE)"
	@$(PYTHON) -m venv $(REFERENCE)
	@echo "[2/3] PyTorch and torchvision with CUDA, which work on a CPU as well (several gigabytes)"
	@$(REFERENCE_PIP) torch torchvision numpy cython setuptools wheel
	@echo "[3/3] realesrgan, noxfvr and the other libraries"
	@$(REFERENCE_PIP) --no-build-isolation --requirement remote_runner/requirements-reference.txt \
	  --requirement tests/reference/requirements.txt \
	  --requirement <(grep -v '^opencv' remote_runner/requirements.txt)
	@$(REFERENCE_PIP) --no-build-isolation --no-deps --editable .
	@touch $@
