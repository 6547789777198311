# The checks of .ci/run beside the README's tests, in its environment.
#
# `make -j` starts them in the order of `all`, each on a core that is free: the long ones first. The
# last one runs on two cores itself, so that none is idle at the end.

SHELL := /bin/bash
checks := address commands extras others driver kernels rough ptx numpy lint docs planted
.PHONY: all $(checks)
all: $(checks)

pytest := python -m pytest -q
# The slow tests of these take as long as those of all others.
some := tests/cli tests/data tests/test_examples.py

# The kernels under AddressSanitizer. Not the slow tests: offsets of 64 bits and more sizes of a
# kernel change no bound.
address:
	LD_PRELOAD=$$(g++ -print-file-name=libasan.so) ASAN_OPTIONS=detect_leaks=0 \
		GPUCNN_SIM_SANITIZE=address $(pytest) --device sim \
		tests/backend/test_cuda_convolution.py tests/backend/test_cuda_kernels.py

commands:
	$(pytest) -m slow $(some)

# What the other checks need: notebook, browser, linters; CuPy and NVRTC, which compile without a GPU.
extras:
	python -m pip install --quiet "gpucnn[dev,docs,cuda12]"

others: extras
	$(pytest) -m slow $(addprefix --ignore=,$(some)) tests

# --device cuda on a driver that needs no GPU. Not each tile and algorithm on each shape, which the
# host launches in one way: test_plans.py and test_algorithms.py launch each of them.
driver: extras
	python tests/fakecuda/run.py -m pytest -q --device cuda -k cuda \
		--ignore=tests/backend/test_cuda_convolution.py tests/fakecuda tests/backend

# Compiled for every architecture, and executed from PTX.
kernels: extras
	$(pytest) tests/kernels tests/backend/test_diagnosis.py

ptx: extras
	$(pytest) tests/simulator -k ptx

# In another order of threads, with the arithmetic of a GPU (see docs/cuda.md).
rough:
	GPUCNN_SIM_ORDER=shuffled GPUCNN_SIM_SANITIZE= CXX="g++ -mfma -ffp-contract=fast -DGPUCNN_ROUGH" \
		$(pytest) --device sim -k sim tests/backend

numpy:
	GPUCNN_NUMBA=0 $(pytest) -m "" tests/training tests/test_keras.py

lint: extras
	ruff check .
	ruff format --check .
	mypy

docs: extras
	$(MAKE) docs

planted:
	python tests/planted_bugs.py
