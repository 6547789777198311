"""The compiled backend, and convolutions cut into more pieces than their size calls for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest


@pytest.fixture(scope="session")
def compiled() -> Any:
    """The CPU's backend with compiled kernels."""
    pytest.importorskip("numba", reason="the extra `fast` is not installed")
    from gpucnn.backend.numba.backend import CompiledBackend

    return CompiledBackend()


@pytest.fixture(scope="session")
def pieces(compiled: Any) -> Callable[..., AbstractContextManager[None]]:
    """`with pieces(floats):` packs so many floats at once, and shares out all work.

    Whatever minimal filtering can compute it computes, also for a few channels and tiles, with
    `transformed` floats of a piece, if they are to be others.
    """
    from gpucnn.backend.numba import convolution, elementwise, plan, pooling, winograd

    @contextmanager
    def of(floats: int, transformed: int | None = None) -> Iterator[None]:
        smaller = [
            (plan, "_PACKED", floats), (plan, "_PACKED_BOTH", floats), (convolution, "_FLOPS", 1),
            (elementwise, "_BLOCK", 64), (pooling, "_PIXELS", 64), (winograd, "_CHANNELS", 1),
            (winograd, "_TILES", 1), (winograd, "_LEAST", 24), (winograd, "_WEIGHTS", 40),
            (winograd, "_TRANSFORMED", floats if transformed is None else transformed),
        ]  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            for module, name, value in smaller:
                patch.setattr(module, name, value)
            forget()
            yield
        forget()

    def forget() -> None:
        for module in (plan, winograd):
            module.forward_plan.cache_clear()
            module.backward_plan.cache_clear()

    return of
