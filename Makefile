# SPDX-License-Identifier: Apache-2.0
# Every target does its own set-up; a fresh Debian machine needs git and make only.
.PHONY: help setup setup-test demo test bazel-test bench fuzz docs lint format clean

PYTHON := .venv/bin/python
JOBS ?= 2
export TF_CPP_MIN_LOG_LEVEL ?= 3
export CUDA_VISIBLE_DEVICES ?=

help:
	@echo "make demo    train, quantize, fuse, evaluate and emulate the digits network"
	@echo "make test    all tests: Python, C, Bazel"
	@echo "make bench   instruction counts and memory of the benchmark networks"
	@echo "make fuzz    a minute of libFuzzer for each target; needs clang"
	@echo "make docs    the documentation as a site, build/site/index.html"
	@echo "make lint    ruff, mypy, clang-format"

setup:
	@tools/setup.sh

setup-test:
	@tools/setup.sh test

demo: setup
	$(PYTHON) -m examples.demo --out=build/demo

test: setup-test
	$(PYTHON) -m pytest -q -n $(JOBS) --dist=loadfile --no-loadscope-reorder tests
	$(MAKE) --no-print-directory bazel-test

bazel-test: setup-test
	tools/bazel_test.sh

bench: setup
	$(PYTHON) -m benchmarks.bench --out=build/bench

fuzz: setup
	$(PYTHON) -m benchmarks.fuzz.native --minutes=1

docs: setup
	@$(PYTHON) -c 'import material, mkdocs, mkdocstrings' 2>/dev/null || \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps -r tools/locks/docs.txt
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --quiet --strict
	@echo "wrote build/site/index.html"

lint: setup
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy tflm_vit toolchain boards tflm_custom_ops converter keras_models firmware nas
	clang-format --dry-run --Werror $$(git ls-files '*.c' '*.h' '*.cc')

format: setup
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .
	clang-format -i $$(git ls-files '*.c' '*.h' '*.cc')

clean:
	rm -rf build
