# Every target sets up what it needs: python3 (3.11 or later) and make are all a machine must have.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PEERS := .venv/.peers

.PHONY: demo test lint types bench bench-scale gaps crash torn linear watchers exclusion schema wheel clean

demo: $(READY)  ## run the main job as a short story
	$(BIN)/statedb demo

test: $(READY)  ## the whole suite
	$(BIN)/pytest -n 2 -q

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy
	$(BIN)/pyright --warnings

bench: $(PEERS)  ## beside other stores, and beside the same rows by hand on SQLite and PostgreSQL; writes benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

bench-scale: $(PEERS)  ## what costs do from 1,000 to 1,000,000 versions, to 100,000 keys, to 8 processes; writes benchmarks/SCALE.md
	$(BIN)/python -m benchmarks.curves

gaps: $(READY)  ## readers of the feed beside 8 writers for 30 s, on both databases: nothing missed, doubled or out of order
	$(BIN)/python -m tests.rigs gaps

crash: $(READY)  ## writers, then the PostgreSQL server, killed under load for 60 s: nothing acknowledged lost or doubled
	$(BIN)/python -m tests.rigs crash

torn: $(READY)  ## 200 processes killed in the middle of a restore, of a merge, of an automatic checkpoint, on both databases
	$(BIN)/python -m tests.rigs torn

linear: $(READY)  ## 6 processes read, write, compare and set a few keys, and are killed, on both databases: it is linearizable
	$(BIN)/python -m tests.rigs linear

watchers: $(READY)  ## 4 watchers beside 8 writers for 60 s, on both databases, killed and resumed while old versions are cut
	$(BIN)/python -m tests.rigs watchers

exclusion: $(READY)  ## 8 processes lock and write for 20 s, on both databases, holders stopped and killed: no two hold one key
	$(BIN)/python -m tests.rigs exclusion

schema: $(READY)  ## write schema.sql anew from statedb/db/tables.py
	$(BIN)/python -m statedb.db.schema > schema.sql

wheel: $(READY)  ## build the wheel, and try it in an empty environment from another folder
	PYTHON=$(PYTHON) bash .ci/wheel

clean:
	rm -rf .venv dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "statedb needs Python 3.11 or later; name it: make PYTHON=python3.12 test")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all,test]'
	touch $(READY)

$(PEERS): $(READY)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[all,test,bench]'
	touch $(PEERS)
