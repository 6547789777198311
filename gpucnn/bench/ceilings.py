"""The two ceilings of the roofline, measured: arithmetic and memory bandwidth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gpucnn.backend.cpu.parallel import get_threads, parallel
from gpucnn.bench.stopwatch import Call, Stopwatch

_GEMM = 1024  # rows and columns of a matrix: 4 MB, at which BLAS reaches its best
_COPY_BYTES = 256 << 20  # several times the caches of any CPU in use
_GPU_COPY_BYTES = 1 << 30
# The turns are a multiple of those that kernels/stopwatch.cu unrolls.
_FMA_THREADS, _FMA_BLOCKS, _FMA_TURNS, _FMA_CHAINS = 256, 16, 4096, 8


class Ceilings(NamedTuple):
    """The ceilings of one machine and one dtype, float32 by default."""

    flop_per_second: float
    bytes_per_second: float

    def roofline_time(self, flop: float, nbytes: float) -> float:
        """The least seconds that the ceilings allow for so many operations and bytes."""
        return max(flop / self.flop_per_second, nbytes / self.bytes_per_second)


def measure(watch: Stopwatch, dtype: str = "float32") -> Ceilings | None:
    """Operations a second of a large computation, and bytes a second of a large copy.

    On a CPU the computation is large matrix products, one for each thread with a BLAS of one
    thread, as our own code runs; on a GPU it is a loop of multiply-adds in registers. A copy counts
    the bytes that it reads and writes. The tenth percentile of the times counts: another process
    that disturbs the measurement does not lower a ceiling. None on the simulator, which does not
    time.
    """
    if not watch.ticks:
        return None
    compute, flop = fma_loop(watch, dtype) if watch.on_gpu else _gemm(dtype)
    flop_per_second = flop / watch.compare({"": compute}, held=[""])[""].seconds().p10
    copy, nbytes = _gpu_copy(watch) if watch.on_gpu else _cpu_copy()
    return Ceilings(
        flop_per_second, nbytes / watch.compare({"": copy}, held=[""])[""].seconds().p10
    )


def _gemm(dtype: str) -> tuple[Call, float]:
    threads = range(get_threads())
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((len(threads), _GEMM, _GEMM)).astype(dtype) for _ in range(2))
    c = np.empty_like(a)
    flop = 2.0 * _GEMM**3 * len(threads)
    return lambda: parallel(lambda i: np.matmul(a[i], b[i], out=c[i]), threads), flop


def _cpu_copy() -> tuple[Call, float]:
    threads = get_threads()
    source = np.ones(_COPY_BYTES // 8)
    target = np.zeros_like(source)
    # Each thread copies one contiguous part.
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    return lambda: parallel(lambda part: np.copyto(*part), parts), 2.0 * source.nbytes


def fma_loop(watch: Stopwatch, dtype: str) -> tuple[Call, float]:
    """A GPU's multiply-adds: a call, and its operations."""
    launcher = watch.backend.launcher  # type: ignore[attr-defined]
    blocks = _FMA_BLOCKS * launcher.multiprocessors
    out = watch.backend.xp.zeros(blocks * _FMA_THREADS, dtype)
    flop = 2.0 * _FMA_CHAINS * _FMA_TURNS * out.size
    return lambda: launcher.launch(
        "stopwatch", "fma_loop", blocks, _FMA_THREADS, out, 0.999, 0.5, _FMA_TURNS,
        CHAINS=_FMA_CHAINS,
    ), flop  # fmt: skip


def _gpu_copy(watch: Stopwatch) -> tuple[Call, float]:
    xp = watch.backend.xp
    source = xp.zeros(_GPU_COPY_BYTES // 4, np.float32)
    target = xp.empty_like(source)
    return lambda: xp.copyto(target, source), 2.0 * source.nbytes
