# Tierwise. `make` lists what can be made.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

ENVS := core litellm langgraph crewai pydantic-ai joint
MEMBERS := $(wildcard packages/*)
COMMON := packages/tierwise packages/tierwise-ollama tools/embedded
MEMBERS_core := $(COMMON) examples/kit
MEMBERS_litellm := $(COMMON) packages/tierwise-litellm
MEMBERS_langgraph := $(COMMON) packages/tierwise-langgraph examples/kit
MEMBERS_crewai := $(COMMON) packages/tierwise-crewai examples/kit
MEMBERS_pydantic-ai := $(COMMON) packages/tierwise-pydantic-ai examples/kit
MEMBERS_joint := $(COMMON) packages/tierwise-langgraph packages/tierwise-crewai packages/tierwise-pydantic-ai
FRAMEWORKS := langgraph crewai pydantic-ai
UV := $(shell command -v uv || echo .venvs/uv/bin/uv)
PYTHON := >=3.11,<3.14
export UV_NO_PROGRESS := 1
export LITELLM_LOCAL_MODEL_COST_MAP := True
export NO_MKDOCS_2_WARNING := 1

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-zA-Z%_-]+:.*?## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*?## "} {printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2}'

.PHONY: demo
demo: .venvs/core/.ready ## Run the main job on real local models: no server and no key needed
	@.venvs/core/bin/tierwise demo

.PHONY: test
test: lint $(addprefix test-,$(ENVS)) docs ## Install what the tests need, and run every test
	@echo "every test passed"

.PHONY: test-core
test-core: .venvs/core/.ready ## Test the core, the Ollama backend, the embedded models, the docs' code, the examples' kit
	.venvs/core/bin/python -m tierwise_embedded fetch
	.venvs/core/bin/pytest packages/tierwise packages/tierwise-ollama tools/embedded tests examples/kit/tests --ignore tests/joint

.PHONY: test-%
test-%: .venvs/%/.ready
	.venvs/$*/bin/python -m tierwise_embedded fetch
	.venvs/$*/bin/pyright --pythonpath .venvs/$*/bin/python packages/tierwise-$* $(wildcard examples/*-$*)
	cd packages/tierwise-$* && ../../.venvs/$*/bin/pytest
	$(if $(filter $*,$(FRAMEWORKS)),.venvs/$*/bin/pytest examples/coding-$* examples/research-$* examples/notebooks)

.PHONY: test-joint
test-joint: .venvs/joint/.ready ## Test all adapters together, in one pinned environment
	.venvs/joint/bin/pytest tests/joint

.PHONY: lint
lint: .venvs/core/.ready ## Check style and types
	.venvs/core/bin/ruff check .
	.venvs/core/bin/ruff format --check .
	.venvs/core/bin/pyright --pythonpath .venvs/core/bin/python

.PHONY: format
format: .venvs/core/.ready ## Format the code
	.venvs/core/bin/ruff check --fix-only .
	.venvs/core/bin/ruff format .

.PHONY: docs
docs: .venvs/core/.ready ## Build the site into site/
	.venvs/core/bin/mkdocs build --strict --quiet

.PHONY: bench
bench: .venvs/core/.ready ## Print the overhead of routing
	.venvs/core/bin/python benchmarks/overhead.py

.PHONY: bench-rivals
bench-rivals: .venvs/core/.ready ## The same, beside rivals in environments of their own
	for rival in cascadeflow litellm; do \
	  test -d .venvs/bench-$$rival || $(UV) venv --quiet --python '$(PYTHON)' .venvs/bench-$$rival; \
	  $(UV) pip install --quiet --python .venvs/bench-$$rival $$rival pytest pytest-benchmark; \
	done
	.venvs/core/bin/python benchmarks/overhead.py

.PHONY: bench-adapters
bench-adapters: $(foreach env,core langgraph crewai pydantic-ai,.venvs/$(env)/.ready) ## Print what the adapters add to their frameworks
	test -d .venvs/bench-adapters || $(UV) venv --quiet --python '$(PYTHON)' .venvs/bench-adapters
	$(UV) pip install --quiet --python .venvs/bench-adapters cascadeflow langchain-core pydantic-ai-slim pytest pytest-benchmark
	.venvs/core/bin/python benchmarks/adapters.py

MEASURE = for f in $(FRAMEWORKS); do .venvs/$$f/bin/python -m tierwise_examples.measure run --form $(1) \
	  --json .measured/$(1)-$$f.json examples/coding-$$f examples/research-$$f; done

.PHONY: examples
examples: $(foreach env,core $(FRAMEWORKS),.venvs/$(env)/.ready) ## Run each example agent on one case with small real models, and print what it cost
	$(call MEASURE,ci)
	.venvs/core/bin/python -m tierwise_examples.measure table $(FRAMEWORKS:%=.measured/ci-%.json)

.PHONY: examples-full
examples-full: $(foreach env,core $(FRAMEWORKS),.venvs/$(env)/.ready) ## The same with all cases and all three models: writes the table in examples/README.md
	$(call MEASURE,full)
	.venvs/core/bin/python -m tierwise_examples.measure table $(FRAMEWORKS:%=.measured/full-%.json) --into examples/README.md

.PHONY: storm
storm: .venvs/core/.ready ## Send 5,000 calls through a provider that fails at random, kill a process, and check what must hold
	.venvs/core/bin/python benchmarks/storm

.PHONY: lock
lock: $(UV) ## Resolve every environment anew and write requirements/
	@mkdir -p requirements
	for env in $(ENVS); do \
	  $(UV) pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --no-header --group $$env \
	    $(foreach m,$(MEMBERS),--no-emit-package $(notdir $(m))) --no-emit-package tierwise-embedded \
	    --no-emit-package tierwise-examples \
	    -o requirements/$$env.txt; \
	done

# make takes them for intermediate files, and would delete them.
.SECONDARY: $(foreach env,$(ENVS),.venvs/$(env)/.ready)

# One environment for each framework: their requirements contradict each other. Everything is installed with its hash
# checked; the workspace's own packages are installed as they lie here.
.venvs/%/.ready: requirements/%.txt packages/*/pyproject.toml tools/*/pyproject.toml examples/kit/pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python '$(PYTHON)' .venvs/$*
	$(UV) pip install --quiet --python .venvs/$* --require-hashes -r requirements/$*.txt
	$(UV) pip install --quiet --python .venvs/$* --no-deps --no-build-isolation $(foreach m,$(MEMBERS_$*),-e $(m))
	@touch $@

.venvs/uv/bin/uv:
	python3 -m venv .venvs/uv
	.venvs/uv/bin/pip install --quiet 'uv>=0.9'

.PHONY: clean
clean: ## Remove environments, caches and built files; downloaded models stay
	rm -rf .venvs .measured site dist .pytest_cache .ruff_cache
