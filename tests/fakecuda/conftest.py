"""Fixtures of the tests that run below run.py: CuPy on the driver, and the kernels of faults.cu."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucnn.backend.cuda import sources


@pytest.fixture(scope="session")
def cupy() -> Any:
    """CuPy, led to the driver."""
    return importlib.import_module("cupy")


@pytest.fixture
def kernel(cupy: Any) -> Callable[[str], Any]:
    """A kernel of faults.cu by its name, as CuPy gives it."""
    text = Path(__file__).with_name("faults.cu").read_text()

    def compiled(name: str) -> Any:
        alone = sources.specialize(text, "faults", name, None, False, {}).text
        module = cupy.RawModule(code=alone, options=("-std=c++17",), backend="nvrtc")
        return module.get_function(name)

    return compiled


@pytest.fixture
def fails(cupy: Any) -> Callable[[str], Any]:
    """``with fails("words"):`` for an error of the driver or of the runtime that has them."""
    errors = cupy.cuda.driver.CUDADriverError, cupy.cuda.runtime.CUDARuntimeError
    return lambda words: pytest.raises(errors, match=words)
