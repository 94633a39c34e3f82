# Every target bootstraps what it needs: a virtual environment in .venv and, as root on Debian, the system packages.
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo images test tutorials simulate chaos emulated check format bench compatibility mutations clean
SEEDS ?= 1000
ROUNDS ?= 200
FIRST_SEED ?= 0
EMULATED ?= tests/node/runtime/oci tests/disks
LIVE = $(shell grep -rl --include='test_*.py' -e 'mark\.live' tests) tests/live
.DEFAULT_GOAL := help

help:
	@echo "make demo   the whole story in under a minute, on a cluster of its own"
	@echo "make images stand-ins for public images, built from Debian packages, for holdfast image load"
	@echo "make test   unit, simulation and container tests"
	@echo "make tutorials  the part of it that plays tutorials and lessons (docs/tutorials) with real kubectls"
	@echo "make simulate SEEDS=N [FIRST_SEED=M]  lives of StatefulSets while everything fails, on simulated time"
	@echo "make chaos ROUNDS=N  kill -9 at random points of real work, with PostgreSQL under pgbench (2 s a round)"
	@echo "make emulated  containers and volumes on an emulated machine with cgroup v2 and all rights (scripts/emulated.py)"
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

# Side by side, $(1). What fails so is run once more by itself, since who shares two cores may come late: what fails
# then too has failed, and what does not is to be read in the output.
define tests
	$(BIN)/pytest -q $(1) $(2) || $(BIN)/pytest -q --last-failed --last-failed-no-failures none $(2)
endef

test: $(STAMP)
	@scripts/test-programs
	$(call tests,-n 2 --dist loadfile,-m "not live")
	$(call tests,-n 3 --dist loadfile --no-loadscope-reorder,-m "live and not alone" $(LIVE))
	$(BIN)/pytest -q -m "live and alone" $(LIVE)

tutorials: $(STAMP)
	@scripts/test-programs
	$(BIN)/pytest -q -n 3 --dist loadfile tests/live/test_tutorials.py tests/live/test_nfs_tutorial.py tests/live/test_lessons.py

simulate: $(STAMP)
	@$(BIN)/python -m holdfast.simulation mixed --seeds $(SEEDS) --seed $(FIRST_SEED)

chaos: $(STAMP)
	@HOLDFAST_CHAOS_ROUNDS=$(ROUNDS) $(BIN)/pytest -q -x tests/live/test_chaos.py

emulated: $(STAMP)
	@$(BIN)/python scripts/emulated.py $(EMULATED)

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
