# One verb per habit; what each does is in scripts/, which needs no make.
.PHONY: demo test lint types bench reference

PYTHON = .venv/bin/python

demo test:
	scripts/$@

lint types:
	scripts/test $@

bench: # figures depend on the machine; CI leaves it out
	scripts/setup dev
	bench/setup
	$(PYTHON) -m bench --write

reference:
	$(PYTHON) -m lumilter.config.reference > conf/lumilter.toml
	$(PYTHON) -m lumilter.config.manpage > docs/man/lumilter.toml.5
	$(PYTHON) -m lumilter.reference functions > docs/functions.md
	$(PYTHON) -m lumilter.reference stubs > docs/stubs.lua
