# make install | demo | test: each does all set-up it needs in .venv; what is done is skipped.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DATA := data/debian.h5
DEMO := outputs/demo

.PHONY: install demo test lint clean

install: $(INSTALLED)
	$(BIN)/python -m renderer_cuda build

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Real models in, a table and pictures out.
demo: install
	$(BIN)/python scripts/prepare_data.py source=debian output=$(DATA)
	$(BIN)/python train.py experiment=demo data.path=$(DATA) output_dir=$(DEMO)
	$(BIN)/python eval.py checkpoint=$(DEMO)/checkpoints/best.pt data.path=$(DATA) output_dir=$(DEMO)/evaluation save_meshes=8

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: install lint
	$(BIN)/python -m pytest

clean:
	rm -rf $(VENV) outputs multirun renderer_cuda/_native
