"""`gpucnn bench ops`: every primitive on the shapes of a suite."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gpucnn.bench import blocks, elementwise, pooling, products, updates
from gpucnn.bench.cases import Case
from gpucnn.bench.record import Row

if TYPE_CHECKING:
    from gpucnn.bench.session import Bench


def rows(bench: Bench) -> Iterator[Row]:
    """Case by case, so that only the arrays of one are alive."""
    dtype = bench.options.dtype
    for case in _cases(bench):
        nbytes = case.values * np.dtype(dtype).itemsize + case.more
        row = Row("ops", case.name, case.case, dtype, case.flop, nbytes)
        yield bench.guarded(row, functools.partial(case.prepare, bench))


def count(bench: Bench) -> int:
    """How many `rows` there will be."""
    return len(_cases(bench))


def _cases(bench: Bench) -> list[Case]:
    suite = bench.options.suite
    return [
        *products.cases(suite),
        *blocks.cases(suite),
        *pooling.cases(suite),
        *elementwise.cases(suite),
        *updates.cases(suite, bench.options.dtype),
    ]
