"""The algorithms of a kernel by name, and forcing one of them, for comparisons.

    naive    one thread, one output: the formula as it is written
    shared   16x16 tiles of the operands in shared memory
    tiled    8x8 outputs in the registers of a thread
    direct   convolutions of few channels, with the weights in shared memory

kernels/README.md explains them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.backend.contract import Backend
from gpucnn.backend.cuda.launcher import Launcher
from gpucnn.errors import UsageError

_MATMUL = ("naive", "shared", "tiled")
_CONVOLUTION = (*_MATMUL, "direct")
ALGORITHMS = _CONVOLUTION
# Primitive -> its algorithms; the primitives that are not here have one kernel.
ALGORITHMS_OF = {
    "conv2d_forward": _CONVOLUTION,
    "conv2d_backward_input": _CONVOLUTION,
    "conv2d_backward_weight": _CONVOLUTION,
    "matmul": _MATMUL,
}


@contextmanager
def force_algorithm(backend: Backend, primitive: str, algorithm: str) -> Iterator[None]:
    """Has a primitive use one algorithm within the context.

    Args:
        backend: one that launches kernels: "cuda" or "sim".
        primitive: the name of the method: "conv2d_forward".
        algorithm: one of `ALGORITHMS`.

    Raises:
        UsageError: the backend has no kernels, or the primitive no such algorithm. A call in the
            context raises it, too, if the algorithm does not take its sizes or its dtype.
    """
    launcher = getattr(backend, "launcher", None)
    if not isinstance(launcher, Launcher):
        raise UsageError(
            f"{backend.name} has no algorithm {algorithm!r}",
            cause="algorithms are those of the CUDA kernels",
            fix="choose the device cuda or sim, or leave the algorithm to the backend",
        )
    known = ALGORITHMS_OF.get(primitive, ())
    if algorithm not in known:
        raise UsageError(
            f"{primitive} has no algorithm {algorithm!r}",
            cause=f"it has {', '.join(known)}" if known else "it has one kernel, and no choice",
            fix=f"choose one of {', '.join(known)}"
            if known
            else "leave the algorithm to the backend",
        )
    before, launcher.algorithm = launcher.algorithm, algorithm
    try:
        yield
    finally:
        launcher.algorithm = before
