"""The compiled backend, and convolutions that are cut into many units and chunks."""

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
def units(compiled: Any) -> Callable[..., AbstractContextManager[None]]:
    """`with units(floats):` packs units of so many floats, and shares out all work.

    Minimal filtering computes all that it can, also of a few channels and tiles, in units of
    `transformed` floats, or of the same number.
    """
    from gpucnn.backend.numba import convolution, elementwise, pooling
    from gpucnn.backend.numba.direct import plan as direct
    from gpucnn.backend.numba.winograd import loops
    from gpucnn.backend.numba.winograd import plan as winograd

    @contextmanager
    def of(floats: int, transformed: int | None = None) -> Iterator[None]:
        smaller = [
            (direct, "_PACKED", floats), (direct, "_PACKED_BOTH", floats),
            (convolution, "_FLOPS", 1), (convolution, "_SUMMED", 64), (elementwise, "_CHUNK", 64),
            (pooling, "_CHUNK", 64), (loops, "_CHUNK", 40),
            (winograd, "_CHANNELS", 1), (winograd, "_TILES", 1), (winograd, "_LEAST", 24),
            (winograd, "_TRANSFORMED", floats if transformed is None else transformed),
        ]  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            for module, name, value in smaller:
                patch.setattr(module, name, value)
            forget()
            yield
        forget()

    def forget() -> None:
        for module in (direct, winograd):
            module.forward_plan.cache_clear()
            module.backward_plan.cache_clear()

    return of
