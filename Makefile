# Everything one does with a checkout of membuf. `make` alone lists the targets.
#
# Three environments, so that none spoils another:
#   .venv       membuf as a user installs it (make demo)
#   .venv-test  the tools, and the wheel under test (make test, lint, types, docs ...)
#   .venv-dev   an editable install that rebuilds on import (make dev)

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first of these that is new enough; make PYTHON=... chooses another.
NEW_ENOUGH := 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")'
PYTHON ?= $(firstword $(foreach name,python3.11 python3,$(shell $(name) -c $(NEW_ENOUGH) 2>/dev/null)))
export PYTHON
JOBS ?= 2
FUZZ_SECONDS ?= 60
PYTEST_ARGS ?=

ROOT := $(CURDIR)
TOOLS := $(ROOT)/.venv-test/bin
# Builds without isolation find meson and ninja on the PATH.
BUILD_PIP := PATH="$(TOOLS):$$PATH" $(TOOLS)/pip
SOURCES := $(shell find src tools meson.build meson.options LICENSE -type f -not -name '*.pyc')
OUTSIDE = cd "$$(mktemp -d)"
PYTEST := $(TOOLS)/pytest -c $(ROOT)/pyproject.toml --rootdir $(ROOT) --timeout 900
FAST := -n $(JOBS) -m "not slow" --ignore $(ROOT)/tests/meta --ignore $(ROOT)/tests/typing
# What runs whole commands drives the same native code, many times slower under a sanitizer.
NO_COMMANDS := --ignore $(ROOT)/tests/docs --ignore $(ROOT)/tests/interop \
  --ignore-glob '$(ROOT)/tests/unit/test_cli_*' --ignore $(ROOT)/tests/unit/test_bench.py
# A build for one purpose, beside the installed wheel: $(call variant,NAME,MESON OPTIONS)
variant = rm -rf build/variant/$(1) && $(BUILD_PIP) install -q --no-deps --no-build-isolation \
  --target build/variant/$(1) $(addprefix -Csetup-args=,$(2)) -Ccompile-args=-j$(JOBS) .

##@ Use it
.PHONY: demo
demo: .venv/.membuf ## install membuf and copy a real disk image with it
	PATH="$(ROOT)/.venv/bin:$$PATH" examples/demo.py

##@ Check it
.PHONY: test
test: .venv-test/.membuf native ## build the wheel, install it and run every test against it
	$(OUTSIDE) && MEMBUF_TEST_INSTALLED=1 $(PYTEST) -n $(JOBS) $(ROOT)/tests $(PYTEST_ARGS)

.PHONY: native
native: .venv-test/.tools ## the C tests of the block store, plainly built
	tools/native-tests build/native

.PHONY: lint
lint: .venv-test/.tools ## ruff, cython-lint and the formatting of all Python files
	$(TOOLS)/ruff check .
	$(TOOLS)/ruff format --check .
	git ls-files -z '*.pyx' '*.pxd' | PATH="$(TOOLS):$$PATH" xargs -0 -r cython-lint

.PHONY: types
types: .venv-test/.membuf ## mypy --strict, pyright strict, and the stubs against the built modules
	$(TOOLS)/mypy
	$(TOOLS)/pyright --pythonpath $(TOOLS)/python
	$(TOOLS)/stubtest membuf --concise --mypy-config-file pyproject.toml \
	  --allowlist tests/typing/stubtest-allowed.txt --ignore-unused-allowlist

.PHONY: asan
asan: .venv-test/.membuf native-asan ## C tests and Python tests under AddressSanitizer and UBSan
	$(call variant,asan,-Db_sanitize=address$(COMMA)undefined -Db_lundef=false -Dbuildtype=debugoptimized)
	nm -D build/variant/asan/membuf/_native*.so | grep -q __asan_report # or nothing would be checked
	$(OUTSIDE) && env MEMBUF_TEST_INSTALLED=1 PYTHONPATH=$(ROOT)/build/variant/asan PYTHONMALLOC=malloc \
	  LD_PRELOAD="$$(cc -print-file-name=libasan.so):$$(cc -print-file-name=libubsan.so)" \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	  $(PYTEST) $(FAST) $(NO_COMMANDS) $(ROOT)/tests $(PYTEST_ARGS)

.PHONY: native-asan
native-asan: .venv-test/.tools
	tools/native-tests build/native-asan -Db_sanitize=address,undefined

.PHONY: tsan
tsan: .venv-test/.tools ## C tests under ThreadSanitizer
	tools/native-tests build/native-tsan -Db_sanitize=thread

.PHONY: fuzz
fuzz: .venv-test/.membuf ## libFuzzer on the C core and on the NBD protocol, FUZZ_SECONDS a target
	tools/system-packages check
	$(TOOLS)/pip install -q --group fuzz
	tools/fuzz build/fuzz $(FUZZ_SECONDS)
	tools/fuzz-protocol build/fuzz-protocol $(FUZZ_SECONDS)

.PHONY: test-threads
test-threads: .venv-test/.membuf ## build without liburing; the tests of targets, on threads
	$(call variant,threads,-Dliburing=disabled)
	test -z "$$(find build/variant/threads -name '_uring*.so')"
	$(OUTSIDE) && env MEMBUF_TEST_INSTALLED=1 MEMBUF_TEST_ENGINES=threads \
	  PYTHONPATH=$(ROOT)/build/variant/threads $(PYTEST) $(FAST) $(ROOT)/tests/docs \
	  $(ROOT)/tests/unit/test_{bus,cli,request,target}_*.py $(PYTEST_ARGS)

.PHONY: interpreters
interpreters: system-packages ## build for every other Python found here and run the fast tests
	tools/other-interpreters

.PHONY: conformance
conformance: .venv-test/.membuf ## run the cases of the specification; results into build/conformance.json
	$(TOOLS)/python -m pytest -q -p tests.conformance.results --results build/conformance.json tests/conformance

.PHONY: docs
docs: .venv-test/.membuf ## the documentation, warnings fatal, into docs/_build/html
	$(TOOLS)/sphinx-build -E -n -W --keep-going -q -b html docs docs/_build/html

.PHONY: bench
bench: .venv-test/.membuf ## measure against the peers and fill the README's table
	tools/system-packages bench
	$(TOOLS)/pip install -q --group bench
	$(TOOLS)/python -m bench --write

.PHONY: instructions
instructions: .venv-test/.membuf ## instruction counts of the hot paths against the recorded ones
	tools/system-packages instructions
	$(TOOLS)/python -m bench.instructions
	! $(TOOLS)/python -m bench.instructions --plant --only "lookaside allocate + delete"

.PHONY: ci
ci: ## everything the landing check runs
	.ci/run

##@ Work on it
.PHONY: dev
dev: .venv-dev/.membuf ## an editable install with every tool, in .venv-dev
	@echo "source .venv-dev/bin/activate"

.PHONY: format
format: .venv-test/.tools ## mend what ruff can mend
	$(TOOLS)/ruff check --fix .
	$(TOOLS)/ruff format .

.PHONY: wheel
wheel: dist/.wheel ## the wheel, into dist/
	@ls dist/*.whl

.PHONY: clean
clean: ## remove what was built, the environments included
	rm -rf build dist docs/_build demo-data .venv .venv-test .venv-dev

.PHONY: help
help:
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What the targets above stand on.
COMMA := ,

.PHONY: system-packages
system-packages:
	@tools/system-packages build io_uring test

# Without the right to install liburing the library still works, on the thread engine.
.PHONY: user-packages
user-packages:
	@tools/system-packages build demo
	@tools/system-packages io_uring || echo "continuing without io_uring: the thread engine does the I/O"

.venv/.membuf: $(SOURCES) pyproject.toml | user-packages
	$(PYTHON) -m venv .venv
	.venv/bin/pip install -q --disable-pip-version-check .
	touch $@

.venv-test/.tools: pyproject.toml | system-packages
	$(PYTHON) -m venv .venv-test
	$(TOOLS)/pip install -q --upgrade 'pip>=25.1'
	$(TOOLS)/pip install -q --group build --group test --group typing --group lint --group docs
	touch $@

dist/.wheel: $(SOURCES) README.md .venv-test/.tools
	rm -rf dist
	$(BUILD_PIP) wheel -q --no-deps --no-build-isolation -Ccompile-args=-j$(JOBS) -w dist .
	touch $@

.venv-test/.membuf: dist/.wheel
	$(TOOLS)/pip uninstall -q -y membuf
	$(TOOLS)/pip install -q dist/*.whl
	touch $@

.venv-dev/.membuf: pyproject.toml | system-packages
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/pip install -q --upgrade 'pip>=25.1'
	.venv-dev/bin/pip install -q --group build --group test --group typing --group lint --group docs
	PATH="$(ROOT)/.venv-dev/bin:$$PATH" .venv-dev/bin/pip install -q --no-build-isolation --editable .
	touch $@
