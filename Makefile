# Two commands do everything on a fresh machine: `make demo` and `make test`.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo test lint types imports unit escape package mutation bench clean

help:  ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## / — /'

setup: $(READY)  ## virtual environment, dependencies, system packages

$(READY): pyproject.toml uv.lock .ci/setup
	@bash .ci/setup
	@touch $@

demo: $(READY)  ## the main job on real input, in a temporary folder
	@$(BIN)/python docs/demo

test: lint types imports unit package  ## every check that main must pass

lint: $(READY)  ## ruff: format and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY)  ## mypy --strict
	$(BIN)/mypy

imports: $(READY)  ## which room may import which
	$(BIN)/lint-imports

unit: $(READY)  ## pytest with coverage; README, docs and notebooks run too
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --durations=20
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --include='guardrails/blastwall/*.py,guardrails/blastwall/policy/*,guardrails/blastwall/advice/*,guardrails/blastwall/imports/*,guardrails/blastwall/provenance/*,guardrails/blastwall/screening/*' --fail-under=100
	@# Proxies, workers and guests run in processes and machines of their own, unmeasured.
	$(BIN)/coverage report --omit='*/blastwall_mcp/*,*/sandbox/_*.py,*/vm/_*.py,*/egress/process.py' --fail-under=95

escape: $(READY)  ## every way out that we know, on every backend, nothing left out; writes docs/escape.md
	$(BIN)/python tests/core/escape/table.py

package: $(READY)  ## the wheel installs alone, imports, and leaves other packages untouched
	$(BIN)/python tests/package/check_wheel.py

mutation: $(READY)  ## one small mistake at a time in the pure rooms; an unexplained survivor fails; hours
	$(BIN)/python tests/mutation/run.py

bench: $(READY)  ## measure against peers, as ratios
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/egress.py
	$(BIN)/python benchmarks/policy.py
	$(BIN)/python benchmarks/provenance.py
	$(BIN)/python benchmarks/proxies.py

clean:  ## remove what was made here
	rm -rf $(VENV) dist build .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis
