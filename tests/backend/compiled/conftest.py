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
    from gpucnn.backend.compiled.backend import CompiledBackend

    return CompiledBackend()


@pytest.fixture(scope="session")
def pieces(compiled: Any) -> Callable[..., AbstractContextManager[None]]:
    """`with pieces(floats):` packs so many floats at once, and shares out all work."""
    from gpucnn.backend.compiled import convolution, elementwise, plan, pooling

    @contextmanager
    def of(floats: int) -> Iterator[None]:
        smaller = [
            (plan, "_PACKED", floats), (plan, "_PACKED_BOTH", floats), (convolution, "_FLOPS", 1),
            (elementwise, "_BLOCK", 64), (pooling, "_PIXELS", 64),
        ]  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            for module, name, value in smaller:
                patch.setattr(module, name, value)
            forget(plan)
            yield
        forget(plan)

    def forget(plan: Any) -> None:
        plan.forward_plan.cache_clear()
        plan.backward_plan.cache_clear()

    return of
