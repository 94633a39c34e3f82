# Every target bootstraps what it needs: a virtual environment in .venv and, as root on Debian, the system packages.
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo images test simulate check format bench compatibility mutations clean
SEEDS ?= 1000
FIRST_SEED ?= 0
.DEFAULT_GOAL := help

help:
	@echo "make demo   the whole story in under a minute, on a cluster of its own"
	@echo "make images stand-ins for public images, built from Debian packages, for holdfast image load"
	@echo "make test   unit, simulation and container tests"
	@echo "make simulate SEEDS=N [FIRST_SEED=M]  lives of StatefulSets while everything fails, on simulated time"
	@echo "make check  format, lint, types, import rules"
	@echo "make bench  cost of each API operation, start-up, memory, ordered sets, the network (prints JSON)"
	@echo "make compatibility  writes docs/compatibility.md anew"
	@echo "make mutations  writes docs/mutations.md anew: which test catches which wrong rule (ten minutes)"
	@echo "make clean  removes what the targets above made"

$(STAMP): pyproject.toml requirements.lock scripts/bootstrap
	@scripts/bootstrap

demo: $(STAMP)
	@$(BIN)/holdfast demo

images: $(STAMP)
	@$(BIN)/python images/build.py --output build/images

test: $(STAMP)
	@scripts/test-programs
	$(BIN)/pytest -q -n 2 --dist loadfile -m "not live"
	$(BIN)/pytest -q -m live

simulate: $(STAMP)
	@$(BIN)/python -m holdfast.simulation mixed --seeds $(SEEDS) --seed $(FIRST_SEED)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP)
	@$(BIN)/python -m benchmarks

compatibility: $(STAMP)
	@$(BIN)/python scripts/compatibility.py

mutations: $(STAMP)
	@$(BIN)/python scripts/mutations.py

clean:
	rm -rf .venv .cache build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
