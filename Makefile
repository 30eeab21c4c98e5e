# The two commands are `make rehearse` and `make test`; both make the virtual environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
# Keystone and Swift, for the tests alone: their libraries and MLflow's do not agree on versions.
OPENSTACK := .venv-openstack
OPENSTACK_LOCK := tests/openstack/requirements.lock
# Numba's compiled kernels are kept beside the environment, so that a second run does not compile again.

.PHONY: rehearse test lint bench clean

rehearse: $(VENV)/.core
	$(BIN)/matinee rehearse

test: $(VENV)/.dev $(OPENSTACK)/.installed
	bash tests/debian.sh
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/etl.py

clean:
	rm -rf $(VENV) $(OPENSTACK) matinee-data .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only after its install is complete, so an interrupted one is done again.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml $(LOCK) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack]'
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack,cloud,dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack,cloud,dev,bench]'
	touch $@

$(OPENSTACK)/.installed: $(OPENSTACK_LOCK)
	test -x $(OPENSTACK)/bin/python || $(PYTHON) -m venv $(OPENSTACK)
	$(OPENSTACK)/bin/python -m pip install --quiet --requirement $(OPENSTACK_LOCK)
	touch $@
