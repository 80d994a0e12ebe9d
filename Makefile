# Two commands do everything on a fresh machine with Python 3.11 or newer: `make report` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= reports
# one notebook at a time with all cores each: a fleet uses them better than two notebooks side by side
WORKERS ?= 1

.PHONY: help report test lab ledger bench lint clean

help:
	@echo "make report   install into $(VENV), run the notebooks at report size, write HTML reports to $(OUT)/index.html"
	@echo "make test     install into $(VENV), run all tests (notebooks in their smoke profile included)"
	@echo "make lab      open JupyterLab in notebooks/"
	@echo "make ledger   make report, then save its ledger as data/ledger.csv and in the README"
	@echo "make bench    print the speed tables"
	@echo "make lint     ruff, and the contract of every notebook"

# The stamp holds the state of the dependency files: it is made again when they change.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

report: $(VENV)/.installed
	$(BIN)/labkit run all --profile report --out $(OUT) --workers $(WORKERS)
	$(BIN)/labkit run when_does_smoothing_help --profile report -p dataset gaussians --out $(OUT)
	if [ -n "$$LABKIT_DATA" ]; then \
	  $(BIN)/labkit run real_precincts --profile report -p dataset senc --out $(OUT) && \
	  $(BIN)/labkit run bags_by_attribute --profile report -p dataset adult --out $(OUT) && \
	  $(BIN)/labkit run real_candidate_sets --profile report -p dataset lost --out $(OUT) && \
	  $(BIN)/labkit run real_candidate_sets --profile report -p dataset MSRCv2 --out $(OUT) && \
	  $(BIN)/labkit run on_real_predictions --profile report -p dataset cifar10 --out $(OUT); fi

ledger: report
	$(BIN)/labkit ledger --out $(OUT) --save data/ledger.csv
	$(BIN)/python benchmarks/readme.py --reports $(OUT)

test: $(VENV)/.installed lint
	$(BIN)/pytest -n 2 --dist loadgroup

lab: $(VENV)/.installed
	$(BIN)/labkit lab

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/fleet.py --memory --save data/speed.json
	$(BIN)/python benchmarks/sweeps.py --save data/sweeps.json
	$(BIN)/python benchmarks/count_loss.py --save data/count_loss.json
	$(BIN)/python benchmarks/metrics.py --save data/metrics_speed.json
	$(BIN)/python benchmarks/runner.py

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/labkit check

clean:
	rm -rf $(OUT) build *.egg-info
