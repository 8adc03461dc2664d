# Everything a contributor types. `demo` and `test` set up a fresh Debian or Ubuntu machine by themselves.
SHELL := /bin/bash
PY := .venv/bin/python

.PHONY: help setup demo test check package code bench protocol clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: ## Debian packages (where allowed), virtual environment, Node modules
	@scripts/setup

demo: ## the main job end to end in a terminal
	@scripts/demo

test: ## everything: units, root and rootless, peers, a real VS Code
	@scripts/test

check: setup ## lint, types, contracts between the layers
	@scripts/check

package: setup ## dist/orlop.vsix
	@scripts/package

code: ## a real VS Code in the browser with the extension and the example open
	@scripts/code

bench: setup ## figures beside Docker's, interleaved
	@scripts/bench

protocol: setup ## write the method table as TypeScript
	@$(PY) -m orlop.protocol.typescript extension/src/protocol.gen.ts

clean: ## what the above made inside this clone
	@rm -rf .venv node_modules dist extension/dist build server/libs .mypy_cache .ruff_cache .pytest_cache
