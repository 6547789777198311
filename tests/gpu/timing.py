"""Timing calls side by side, on a GPU by events, and what the machine could do at best."""

from __future__ import annotations

import contextlib
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

_FLUSH_BYTES = 256 << 20  # several times the L2 of any GPU
_HOLD_CYCLES = 400_000  # 0.2 ms: enough for the host to queue up a call

# So much is multiplied and added: 8 independent chains a thread hide the latency.
_FMA = r"""
extern "C" __global__ void fma_loop(float *out, float a, float b, int n) {
    float v[8];
    for (int j = 0; j < 8; ++j) v[j] = threadIdx.x + j;
    for (int i = 0; i < n; ++i)
#pragma unroll
        for (int j = 0; j < 8; ++j) v[j] = v[j] * a + b;
    float sum = 0;
    for (int j = 0; j < 8; ++j) sum += v[j];
    if (sum == 12345.678f) out[0] = sum;
}
extern "C" __global__ void hold(long long cycles) {
    const long long start = clock64();
    while (clock64() - start < cycles) {}
}
"""


class Times(NamedTuple):
    """Of one call, in seconds."""

    median: float
    p10: float
    p90: float
    host: float  # median until the call returned: the time to launch, where a GPU computes
    all: list[float]

    def as_dict(self) -> dict[str, float]:
        """In microseconds."""
        return {key: round(1e6 * getattr(self, key), 3) for key in ("median", "p10", "p90", "host")}


class Stopwatch:
    """Times calls on the device of a backend."""

    def __init__(self, backend: Any, repeats: int) -> None:
        self.backend = backend
        self.repeats = repeats
        self.on_gpu = backend.name.startswith("cuda")
        if self.on_gpu:
            self.cupy = backend.xp
            self.cupy.cuda.Device(backend.launcher.index).use()
            self._module = self.cupy.RawModule(code=_FMA)
            self._hold = self._module.get_function("hold")
            self._flush = self.cupy.empty(_FLUSH_BYTES // 4, np.float32)

    def compare(self, calls: dict[str, Callable[[], Any]]) -> dict[str, Times]:
        """Each call in turn, again and again: A B A B. The results are dropped at once.

        On a GPU the L2 is flushed before each, and the time is that between two events, the first
        of which waits until the call is queued up: launching does not count, unless it takes
        longer than a call may be held back (`host` tells).
        """
        for call in calls.values():
            for _ in range(2):
                call()
        taken: dict[str, list[Any]] = {name: [] for name in calls}
        host: dict[str, list[float]] = {name: [] for name in calls}
        with _no_collection():
            for repeat in range(self.repeats):
                for name, call in calls.items():
                    begin, end = self._before(repeat)
                    start = time.perf_counter()
                    call()
                    host[name].append(time.perf_counter() - start)
                    if self.on_gpu:
                        end.record()
                    taken[name].append((begin, end))
        return {name: self._times(taken[name], host[name]) for name in calls}

    def ceilings(self) -> dict[str, float] | None:
        """Bytes a second of a large copy, and operations a second of a loop of FMAs."""
        if not self.on_gpu:
            return None
        cupy, n, threads = self.cupy, 4096, 256
        source = cupy.empty(1 << 28, np.float32)
        target = cupy.empty_like(source)
        blocks = 16 * cupy.cuda.Device().attributes["MultiProcessorCount"]
        fma = self._module.get_function("fma_loop")
        arguments = (target, np.float32(0.999), np.float32(0.5), np.int32(n))
        found = self.compare(
            {
                "copy": lambda: cupy.copyto(target, source),
                "fma": lambda: fma((blocks,), (threads,), arguments),
            }
        )
        return {
            "bytes_per_second": 2 * source.nbytes / found["copy"].median,
            "flop_per_second": 2 * 8 * n * threads * blocks / found["fma"].median,
        }

    def _before(self, repeat: int) -> tuple[Any, Any]:
        if not self.on_gpu:
            return None, None
        begin, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        self._flush.fill(repeat)
        self._hold((1,), (1,), (np.int64(_HOLD_CYCLES),))
        begin.record()
        return begin, end

    def _times(self, taken: list[Any], host: list[float]) -> Times:
        if self.on_gpu:
            taken[-1][1].synchronize()
            elapsed = self.cupy.cuda.get_elapsed_time
            seconds = [1e-3 * elapsed(begin, end) for begin, end in taken]
        else:
            seconds = host
        p10, p90 = np.percentile(seconds, [10, 90])
        median = statistics.median(seconds)
        return Times(median, float(p10), float(p90), statistics.median(host), seconds)


def ratio(ours: Times, theirs: Times) -> float:
    """How many times as long ours takes: the median over the pairs."""
    return statistics.median(a / b for a, b in zip(ours.all, theirs.all, strict=True))


def floor(flop: float, nbytes: float, ceilings: dict[str, float] | None) -> float | None:
    """The least time of an operation, by the roofline; None without measured ceilings."""
    if ceilings is None:
        return None
    return max(flop / ceilings["flop_per_second"], nbytes / ceilings["bytes_per_second"])


def noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal float32 numbers. Beyond 4 million they repeat: drawing takes longer than timing."""
    size = int(np.prod(shape))
    drawn = rng.standard_normal(min(size, (1 << 22) - 3), dtype=np.float32)
    return np.resize(drawn, shape)


def load_torch() -> Any:
    """PyTorch in full float32, choosing the fastest of cuDNN's kernels; None if it is not there."""
    try:
        import torch
    except ImportError:
        print("PyTorch is not installed: ours is timed alone", flush=True)
        return None
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch


def to_torch(torch: Any, array: np.ndarray, backend: Any) -> Any:
    """The array on the same device as the backend's."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if backend.name.startswith("cuda"):
        return tensor.to(backend.name)
    return tensor


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
