"""The CUDA source of Philox, executed on the CPU: compiled as C++, one loop turn a thread."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from gpucnn import random

# What the kernel needs of CUDA. It has no barriers, so its threads can run one after another.
HARNESS = """
#define __global__
#define __device__
struct Index { unsigned int x; };
static thread_local Index blockIdx, threadIdx, blockDim;
%s
extern "C" void run(unsigned grid, unsigned block, unsigned *out, unsigned long long n,
                    unsigned key0, unsigned key1, unsigned step) {
    blockDim.x = block;
    for (blockIdx.x = 0; blockIdx.x < grid; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < block; ++threadIdx.x)
            philox_bits(out, n, key0, key1, &step);
}
"""


@pytest.fixture(scope="module")
def philox(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++ or clang++) to execute the kernel with")
    kernels = resources.files("gpucnn.kernels")
    source = "".join((kernels / name).read_text() for name in ("philox.cuh", "philox.cu"))
    folder: Path = tmp_path_factory.mktemp("philox")
    (folder / "philox.cpp").write_text(HARNESS % source)
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all", "-static-libubsan"]
    subprocess.run(
        [compiler, *flags, "philox.cpp", "-o", "philox.so"], cwd=folder, check=True, timeout=120
    )
    return ctypes.CDLL(str(folder / "philox.so"))


@pytest.mark.parametrize("n", [1, 3, 4, 5, 1021])
@pytest.mark.parametrize("step", [0, 7, 2**32 - 1])
def test_kernel_gives_the_bits_of_random(philox: ctypes.CDLL, n: int, step: int) -> None:
    out = np.full(n + 8, 0xAAAAAAAA, dtype=np.uint32)
    key = random.stream_key(2026, "dropout/dropout1")
    block = 32
    grid = -(-n // (4 * block)) + 1  # one block too many: its threads must write nothing
    philox.run(
        grid, block, ctypes.c_void_p(out.ctypes.data), ctypes.c_ulonglong(n),
        ctypes.c_uint(key[0]), ctypes.c_uint(key[1]), ctypes.c_uint(step),
    )  # fmt: skip
    np.testing.assert_array_equal(out[:n], random.bits(n, 2026, "dropout/dropout1", step))
    np.testing.assert_array_equal(out[n:], 0xAAAAAAAA)
