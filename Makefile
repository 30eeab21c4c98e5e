# The two commands are `make rehearse` and `make test`; both make the virtual environment they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := requirements.lock
# Keystone and Swift, for the tests alone: their libraries and MLflow's do not agree on versions.
OPENSTACK := .venv-openstack
OPENSTACK_LOCK := tests/openstack/requirements.lock
# RecBole and RecTools, for the benchmark of training alone: RecBole asks for NumPy 1.
PEERS := .venv-peers
PEERS_LOCK := benchmarks/train_peers/requirements.lock
# Numba's compiled kernels are kept beside the environment, so that a second run does not compile again.

.PHONY: rehearse test lint bench bench-train bench-serve clean

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

bench-train: $(VENV)/.bench $(PEERS)/.installed
	$(BIN)/python benchmarks/train.py --part speed games games-full ml-100k strangers memory

bench-serve: $(VENV)/.bench
	$(BIN)/python benchmarks/serve.py; served=$$?; $(BIN)/python benchmarks/replay.py && exit $$served

clean:
	rm -rf $(VENV) $(OPENSTACK) $(PEERS) matinee-data .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is written only after its install is complete, so an interrupted one is done again.
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml $(LOCK) | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack,train,serve,dashboard]'
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack,train,serve,dashboard,spark,cloud,dev]'
	touch $@

$(VENV)/.bench: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) --editable '.[stack,train,serve,dashboard,spark,cloud,dev,bench]'
	touch $@

$(OPENSTACK)/.installed: $(OPENSTACK_LOCK)
	test -x $(OPENSTACK)/bin/python || $(PYTHON) -m venv $(OPENSTACK)
	$(OPENSTACK)/bin/python -m pip install --quiet --requirement $(OPENSTACK_LOCK)
	touch $@

$(PEERS)/.installed: $(PEERS_LOCK)
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement $(PEERS_LOCK)
	touch $@
