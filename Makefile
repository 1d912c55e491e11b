# Everything a person or CI runs here. Each target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Half of what tests do is wait, so there are more workers than processors.
WORKERS = $(shell echo $$(( ($$(getconf _NPROCESSORS_ONLN) * 3 + 1) / 2 )))

# Tests start dozens of processes, each of which would compile everything anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up test check lint types pyright fresh dashboards format stubs reference constraints bench faults wheel clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo  ## Run server, proxy and load generator on real digits, with a CPU contention in the middle (< 2 min)
	$(BIN)/tailgate demo $(if $(OUT),--out $(OUT))

up: $(VENV)/demo  ## Run everything until it is interrupted, with Prometheus and Alertmanager where they are installed
	$(BIN)/tailgate up --trouble

test: $(VENV)/dev  ## Run the whole test suite
	@# Those that are marked `alone` have the machine to themselves, one after another, whatever became of the others.
	@status=0; set -x; \
	$(BIN)/python -m pytest -m 'not alone' --numprocesses $(WORKERS) --dist worksteal || status=$$?; \
	$(BIN)/python -m pytest -m alone || status=$$?; \
	exit $$status

check: $(VENV)/dev  ## Lint, format, types (mypy strict and pyright), generated files fresh
	@# Two of the four at a time, each with what it says in one piece; one that fails keeps no other from being made.
	@$(MAKE) --no-print-directory --jobs 2 --keep-going $(if $(filter output-sync,$(.FEATURES)),--output-sync) \
		pyright types fresh lint

lint: $(VENV)/dev  ## Of the checks: ruff, lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev  ## Of the checks: mypy, strict
	$(BIN)/mypy

pyright: $(VENV)/dev  ## Of the checks: pyright
	$(BIN)/pyright

fresh: $(VENV)/dev  ## Of the checks: are generated files what would be generated?
	$(BIN)/python scripts/stubs.py --check
	$(BIN)/python scripts/reference.py --check
	$(BIN)/python grafana/build.py --check
	$(BIN)/tailgate slo check
	$(BIN)/python scripts/reliability.py --check

format: $(VENV)/dev  ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(VENV)/dev  ## Write grafana/dashboards and prometheus/rules anew
	$(BIN)/python grafana/build.py
	$(BIN)/tailgate slo generate

stubs: $(VENV)/dev  ## Write tailgate/pb anew from protos/
	$(BIN)/python scripts/stubs.py

reference: $(VENV)/dev  ## Write docs/reference/proxy.md anew from the proxy's configuration
	$(BIN)/python scripts/reference.py

constraints:  ## Resolve constraints.txt anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --upgrade --output-file constraints.txt

bench: $(VENV)/dev  ## Run every measurement in bench/ in its quick form
	@for script in bench/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

faults: $(VENV)/dev  ## Bring about every fault of docs/reliability.md, ten seeds each, as far as this machine allows
	$(BIN)/python -m faults
	$(BIN)/python scripts/reliability.py

wheel: $(VENV)/dev  ## Build a wheel with a compiled data path into dist/, for this Python and machine (needs a C compiler)
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 $(BIN)/python -m hatchling build --target wheel --directory dist

clean:  ## Remove the environment and everything that was made
	rm -rf $(VENV) runs build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# The environment: with uv where it is there, else with venv and pip. The files mark what is installed in it.
$(VENV)/demo: pyproject.toml constraints.txt
	@$(call install,demo)

$(VENV)/dev: pyproject.toml constraints.txt
	@$(call install,dev)
	@touch $(VENV)/demo

define install
$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Tailgate needs Python 3.11 or newer; $(PYTHON) is %d.%d. Try: make PYTHON=python3.11" % v[:2])'
echo "Installing Tailgate and what it needs into $(VENV) (torch is large: this takes a while the first time) ..."
if command -v uv >/dev/null; then \
	{ test -x $(BIN)/python || uv venv --quiet --seed --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); } \
	&& uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable '.[$(1)]'; \
else \
	{ test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); } \
	&& $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[$(1)]'; \
fi
touch $(VENV)/$(1)
endef
