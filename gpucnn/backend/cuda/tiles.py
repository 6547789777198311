"""How a tiled kernel covers a matrix product: which tile, and into how many parts the sum is cut.

Large tiles load less for each multiply-add; many tiles keep all multiprocessors busy. A product of
few tiles is cut along its sum, and `sum_parts` adds the parts. The estimated times below need not
be right, only their order. They depend on the sizes and the number of multiprocessors alone, so
that the same call always adds in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from gpucnn.backend.cuda.launcher import Array, Launcher

SHARED_TILE = 16  # rows and columns of a block of the shared algorithm: TILE of kernels/shared.cuh
STEP = 8  # terms of the sum that a block takes at once: BK of kernels/tile.cuh
TILES = ((128, 64), (64, 128), (64, 64), (32, 128))  # (BM, BN)
LEAST_ROWS = min(BM for BM, _ in TILES)
_PARTS = [1] + [2**i * j for i in range(10) for j in (2, 3)]  # 1, 2, 3, 4, 6, 8, 12 ... 1536
MOST_PARTS = _PARTS[-1]
_LEAST_STEPS = 4  # of a part
_RESIDENT_WARPS = 12  # of a multiprocessor: tile.cuh asks for 168 registers a thread at most
_LANES = 128  # multiply-adds a cycle and multiprocessor
_START = 4  # steps that take as long as a block takes to begin
_SUM_THREADS = 256  # of a block of sum_parts
_SUM_ROWS = 8  # threads that add one output, if there are more parts than that
_SUM_BYTES = 16  # a cycle and multiprocessor, reading and writing parts
_SUM_START = 3000  # cycles until a second kernel runs


class TilePlan(NamedTuple):
    """A tile, the number of parts, and the terms of a part (a multiple of STEP)."""

    BM: int
    BN: int
    parts: int
    depth: int

    @property
    def threads(self) -> int:
        return self.BM * self.BN // 64

    @property
    def constants(self) -> dict[str, int]:
        """The constants of the tiled kernels."""
        return {"BM": self.BM, "BN": self.BN}


@lru_cache(maxsize=4096)
def plan(rows: int, columns: int, terms: int, products: int, multiprocessors: int) -> TilePlan:
    """The plan of the least estimated time for `products` products of one size.

    Args:
        rows, columns: of the result.
        terms: of the sum in each element.
        multiprocessors: of the device.
    """
    steps = max(1, -(-terms // STEP))

    def cycles(p: TilePlan) -> float:
        blocks = -(-rows // p.BM) * -(-columns // p.BN) * products * p.parts
        of_one = max(1, -(-blocks // multiprocessors))  # of the multiprocessor that has most
        block_warps = p.threads // 32
        warps = min(of_one * block_warps, max(_RESIDENT_WARPS, block_warps))
        # Four schedulers; several warps on each hide the latency of one.
        busy = min(warps, 4) / 4 * warps / (warps + 2)
        loads = (p.BM + p.BN) * STEP / p.threads  # a thread and step, 8 instructions each
        instructions = (560 + 8 * loads) / 512
        work = p.BM * p.BN * (p.depth + _START * STEP) / _LANES * instructions
        time = of_one * work / busy
        if p.parts > 1:
            moved = 4 * (2 * p.parts + 1) * rows * columns * products
            time += _SUM_START + moved / (_SUM_BYTES * multiprocessors)
        return time

    plans = []
    for parts in _PARTS:
        if parts == 1 or parts * _LEAST_STEPS <= steps:
            of_a_part = -(-steps // parts)
            plans += [
                TilePlan(BM, BN, -(-steps // of_a_part), of_a_part * STEP) for BM, BN in TILES
            ]
    return min(plans, key=cycles)


def workspace(launcher: Launcher, parts: int, shape: Sequence[int], dtype: Any) -> Array:
    """Memory for the parts of a sum; one part is the result itself."""
    return launcher.empty((parts, *shape) if parts > 1 else shape, dtype)


def add_parts(
    launcher: Launcher,
    partial: Array,
    parts: int,
    shape: Sequence[int],
    *,
    bias: Array | None = None,
    inner: int = 1,
    activation: str | None = None,
) -> Array:
    """The result of a kernel that was cut into parts, which must leave bias and activation to this.

    Args:
        partial: from `workspace`.
        bias: (channels,), for element i its element i // inner % channels.
    """
    if parts == 1:
        return partial
    out = launcher.empty(shape, partial.dtype)
    channels = 1 if bias is None else bias.size
    rows = 1 if parts <= _SUM_ROWS else _SUM_ROWS
    launcher.launch(
        "sum_parts", "sum_parts", -(-out.size * rows // _SUM_THREADS), _SUM_THREADS,
        partial, bias, out, out.size, parts, inner, channels, int(activation == "relu"),
        THREADS=_SUM_THREADS, ROWS=rows,
    )  # fmt: skip
    return out


def stored_at_once(launcher: Launcher, out: Array, columns: int) -> int:
    """VECTOR_OUT of kernels/tile.cuh: 1 if four neighbors in a row can be stored at once, else 0.

    Args:
        columns: adjacent elements of a row of `out`.
    """
    return int(columns % 4 == 0 and is_aligned(launcher, out))


def is_aligned(launcher: Launcher, array: Array) -> bool:
    """Whether four floats at a time can be read from the first element on."""
    return launcher.address(array) % 16 == 0
