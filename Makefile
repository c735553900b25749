# make install | demo | test | test-all | test-processors | docs | wheel: each does all set-up it needs
# in .venv; what is done is skipped.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

DATA := data/demo.h5
SHAPES := data/demo_shapes.h5
DEMO := outputs/demo

# Where `make wheel` puts the wheel, and what goes into it.
WHEELS := dist
PREBUILT := build/prebuilt
PLAIN := build/wheel

SETS := baseline avx2 avx512

# Threads which wait do not take a core from another process; see docs/scaling.md.
export OMP_WAIT_POLICY ?= passive

# A process for each core, eight at most, with one thread each: threads beyond the cores would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: install demo test test-all test-processors $(SETS:%=test-%) lint docs wheel clean

install: $(INSTALLED)
	$(BIN)/python -m renderer_cuda build

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed" if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Real models in, a table and pictures out; generated shapes where Debian's packages cannot be had, and
# beside them in training. Kernels for CUDA are built by the first step on a GPU, where there is one.
demo: $(INSTALLED)
	$(BIN)/python -m renderer_cuda build cpu
	$(BIN)/python scripts/prepare_data.py source=debian fallback=shapes output=$(DATA)
	$(BIN)/python scripts/prepare_data.py source=shapes source.objects_per_category=100 source.seed=1 source.split=train \
	  output=$(SHAPES)
	$(BIN)/python train.py experiment=finetune data.path=$(DATA) output_dir=$(DEMO) \
	  'data.mixture={real:{weight:1},generated:{path:$(SHAPES),weight:1}}'
	$(BIN)/python eval.py checkpoint=$(DEMO)/checkpoints/best.pt data.path=$(DATA) output_dir=$(DEMO)/evaluation save_meshes=8 report=true

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The site, in build/docs: pages of docs/ and the reference out of docstrings. Warnings are errors.
docs: $(INSTALLED)
	$(BIN)/sphinx-build --quiet --fresh-env --fail-on-warning --keep-going --doctree-dir build/doctrees docs build/docs

test: install lint docs
	$(PYTEST)

# Also the slow tests, which install packages of several GB (kept in build/venvs).
test-all: install lint docs
	$(PYTEST) -m ''

# The suite, or TESTS of it, once for each instruction set that this processor has, with the kernels of
# the rasterizer and of torch and its libraries for no newer one.
test-processors: $(SETS:%=test-%)
test-baseline: OLDER := ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 ONEDNN_MAX_CPU_ISA=SSE41
test-avx2: OLDER := ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2
$(SETS:%=test-%): test-%: install
	export $(OLDER) RENDERER_CUDA_INSTRUCTION_SET=$*; \
	if $(BIN)/python -m renderer_cuda | grep -q ' $*:'; then $(PYTEST) $(TESTS); \
	else echo 'no kernels for $* run here'; fi

# A wheel with the compiled kernels: it runs without a compiler, on every Python >= 3.10 and torch
# >= 2.10. auditwheel finds the oldest libc that has what the kernels need, and names it in the tag
# (manylinux); made on an older system the wheel serves older ones, too.
wheel: install
	rm -rf $(PREBUILT) $(PLAIN)
	$(BIN)/python -m renderer_cuda prebuild $(PREBUILT)
	RENDERER_CUDA_PREBUILT=$(PREBUILT) $(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir $(PLAIN) .
	PATH="$(BIN):$$PATH" $(BIN)/python -m auditwheel repair --exclude 'libtorch*' --wheel-dir $(WHEELS) $(PLAIN)/*.whl

clean:
	rm -rf $(VENV) outputs multirun renderer_cuda/_native build dist docs/reference *.egg-info
