# Everything a person or CI runs here. Each target sets up what it needs; `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo up test check dashboards format stubs constraints bench wheel clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/demo  ## Run server, proxy and load generator on real digits, with a CPU contention in the middle (< 2 min)
	$(BIN)/tailgate demo $(if $(OUT),--out $(OUT))

up: $(VENV)/demo  ## Run everything until it is interrupted, with Prometheus and Alertmanager where they are installed
	$(BIN)/tailgate up --trouble

test: $(VENV)/dev  ## Run the whole test suite
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --ignore tests/e2e
	# Several processes under real load, in real time: each of these has the machine to itself.
	$(BIN)/python -m pytest tests/e2e

check: $(VENV)/dev  ## Lint, format, types (mypy strict and pyright), generated files fresh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python scripts/stubs.py --check
	$(BIN)/python grafana/build.py --check
	$(BIN)/tailgate slo check

format: $(VENV)/dev  ## Format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dashboards: $(VENV)/dev  ## Write grafana/dashboards and prometheus/rules anew
	$(BIN)/python grafana/build.py
	$(BIN)/tailgate slo generate

stubs: $(VENV)/dev  ## Write tailgate/pb anew from protos/
	$(BIN)/python scripts/stubs.py

constraints:  ## Resolve constraints.txt anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --upgrade --output-file constraints.txt

bench: $(VENV)/dev  ## Run every measurement in bench/ in its quick form
	@for script in bench/[a-z]*.py; do $(BIN)/python $$script --quick || exit 1; done

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
