# make demo: from zero to users in a table.  make test: from zero to tested.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3

.PHONY: demo test check chaos chaos-fleet doris bench lock clean

demo: $(VENV)/.runs
	$(BIN)/scrapy crawl followings -a sandbox=1 -s DOWNLOAD_DELAY=0.1
	@echo
	@echo 'the rows   $(BIN)/scrapy crawl followings -a sandbox=1 -a replay=all -O users.csv'
	@echo 'a report   $(BIN)/scrapy report --sandbox'
	@echo 'your KOLs  cp .env.example .env, fill it in, then $(BIN)/scrapy crawl followings -a test=1'

test: $(VENV)/.tests
	$(BIN)/python -m pytest -n 4 --dist worksteal

# The formatter's layout is final: nothing is kept from it by a comment.
check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	! grep -rn --include='*.py' -e 'fmt: off' -e 'fmt: skip' kolspider tests benchmarks

# The tests marked long, and the long variants: 200 kills, 500 of runs with alerts, 20 mutants, more seeds, 10,000 examples.
chaos: $(VENV)/.tests
	$(BIN)/python -m tests.chaos
	$(BIN)/python -m pytest -n 3 --dist worksteal -m long
	$(BIN)/python -m tests.chaos.fleet --kills 10
	$(BIN)/python -m tests.mutation --sample 20
	KOL_TEST_SEEDS=5 KOL_TEST_EXAMPLES=10000 $(BIN)/python -m pytest -n 3 \
	  tests/e2e/test_soak.py tests/e2e/test_damage.py tests/e2e/test_incremental.py \
	  tests/load tests/options tests/providers tests/db/test_wild_rows.py

# Three workers on one ledger: 100 kills, freezes, and kills of PostgreSQL; then three workers against one.
chaos-fleet: $(VENV)/.tests
	$(BIN)/python -m tests.chaos.fleet

# The end-to-end tests on Doris, by INSERT and by Stream Load: its double, or a real one (see docs/doris.md).
doris: $(VENV)/.tests
	KOL_TEST_DB=doris $(BIN)/python -m pytest $(if $(KOL_TEST_DORIS_URL),,-n 3 --dist worksteal) tests/e2e
	KOL_TEST_DB=doris-stream $(BIN)/python -m pytest $(if $(KOL_TEST_DORIS_URL),,-n 3 --dist worksteal) tests/e2e

bench: $(VENV)/.benches
	$(BIN)/python -m benchmarks $(if $(BASE),--base $(BASE))

# Lock the trees of the three requirements*.in; what still fits stays. make lock UPGRADE=1: the newest.
lock: $(VENV)/.runs
	$(BIN)/pip install --quiet --disable-pip-version-check pip-tools==7.6.2
	for name in requirements requirements-fleet requirements-dev; do \
	  CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet $(if $(UPGRADE),--upgrade) $$name.in || exit 1; \
	done

$(VENV)/.runs: requirements.txt
	@echo 'Installing into $(VENV), which takes about a minute ...'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.tests: requirements-dev.txt $(VENV)/.runs
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	touch $@

$(VENV)/.benches: benchmarks/requirements.txt $(VENV)/.runs
	$(BIN)/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
