# The same commands without make are in the README.

PYTHON ?= python3
PORT ?= 8000
BIN = .venv/bin
INSTALLED = .venv/installed
# An environment belongs to one folder and one Python. If ours came here with a copy, or
# its Python is gone, it is made anew; one that others made is left as it is.
MADE_FOR := $(shell cat $(INSTALLED) 2>/dev/null)
WORKS := $(shell $(BIN)/python -c "" >/dev/null 2>&1 && echo yes)
ifneq ($(WORKS) $(MADE_FOR),yes $(CURDIR))
.PHONY: $(INSTALLED)
CLEAR := $(if $(MADE_FOR),$(shell [ -L .venv ] || echo --clear))
endif
# Side by side on as many cores as there are, up to four; one after the other in a file,
# and the files in their order.
PARALLEL = -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

# One chapter alone is named by its file, its number or its title: 07_lenet, 7, lenet.
ifdef CHAPTER
NAME := $(basename $(notdir $(CHAPTER)))
FORMS := $(NAME) $(NAME)_* 0$(NAME)_* ??_$(NAME)
CHAPTERS := $(wildcard $(FORMS:%=notebooks/%.ipynb))
ifndef CHAPTERS
$(error no chapter is called $(CHAPTER); there are \
	$(sort $(basename $(notdir $(wildcard notebooks/*.ipynb)))))
endif
endif

.PHONY: help book test notebooks rehearse execute results bench soak serve links \
	bundle student pdf adopt clean

help:
	@echo "make book       build the book"
	@echo "make test       run all tests, every notebook included"
	@echo "make notebooks  run the notebooks only (ARGS=--sample: on the sample, offline;"
	@echo "                CHAPTER=07_lenet: one alone)"
	@echo "make rehearse   run the notebooks as in Colab, with the newest packages and, on"
	@echo "                Python 3.11, the oldest (on Linux only)"
	@echo "make execute    run the notebooks on full MNIST and store what comes out"
	@echo "                (CHAPTER=07_lenet: one alone)"
	@echo "make results    measure what the book quotes (about three hours, resumable)"
	@echo "make bench      compare speeds (about half an hour and 5 GB of disk; writes"
	@echo "                results/results.json and what the pages quote of it)"
	@echo "make soak       break things on purpose: kill, damage, repeat (ARGS=--short: a few)"
	@echo "make serve      build the book and serve it on http://localhost:8000"
	@echo "                (PORT=8001: if another program has that port)"
	@echo "make links      ask every address that the book links to whether it is there"
	@echo "make bundle     pack the book, the notebooks and the package for a school offline"
	@echo "make student    write the notebooks without their solutions"
	@echo "make pdf        print the whole book as one PDF"
	@echo "make adopt      give the course the address of your copy: REPO=account/name"
	@echo "make clean      remove what was built, and the virtual environment"

$(INSTALLED): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) and "Python 3.11 to 3.14 is needed, but $(PYTHON) is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(CLEAR) .venv
	$(BIN)/python -m pip install --quiet --requirement requirements.txt --editable .
	@pwd -P > $@

book: $(INSTALLED)
	rm -rf _build/html
	$(BIN)/jupyter-book build . --all -W -n --keep-going
	@echo
	@echo "The book is in $(CURDIR)/_build/html/index.html"

test: $(INSTALLED)
	$(BIN)/python -m pytest $(PARALLEL) --nbval $(ARGS)

notebooks: $(INSTALLED)
	$(BIN)/python -m pytest $(if $(CHAPTERS),,$(PARALLEL) )--nbval $(or $(CHAPTERS),notebooks) $(ARGS)

rehearse: $(INSTALLED)
	$(BIN)/python -m pytest tests/test_rehearsal.py --rehearse $(ARGS)

execute: $(INSTALLED)
	$(BIN)/python tools/execute.py $(CHAPTERS)
	$(BIN)/python tools/chapters.py

results: $(INSTALLED)
	$(BIN)/python tools/results.py

bench: $(INSTALLED)
	set -e; for part in bench peers machines seconds limits; do \
		$(BIN)/python benchmarks/$$part.py; done
	$(BIN)/python tools/results.py --fill

soak: $(INSTALLED)
	$(BIN)/python -m tools.soak $(ARGS)

serve: book
	$(BIN)/python -m http.server --directory _build/html --bind localhost $(PORT)

links: $(INSTALLED)
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

bundle: book
	$(BIN)/python -m tools.bundle

student: $(INSTALLED)
	$(BIN)/python -m tools.student

pdf: book
	$(BIN)/python -m tools.paper

# Needs no environment: this is a copy's first step.
adopt:
	@$(PYTHON) tools/adopt.py "$(REPO)"

clean:
	rm -rf _build .venv .mypy_cache .pytest_cache .ruff_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
