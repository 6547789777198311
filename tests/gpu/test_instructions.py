"""The instructions that C++ has no words for, on a GPU: the tests of their twins, run there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simulator.test_memory import test_asynchronous_copies
from simulator.test_tensor_cores import test_product, test_rounding

KERNELS = Path(__file__).parents[1] / "simulator" / "kernels"

__all__ = ["test_asynchronous_copies", "test_product", "test_rounding"]
pytestmark = pytest.mark.slow


@pytest.fixture
def launcher(gpu: Any) -> Any:
    """The launcher of the device under test, which knows the test kernels."""
    for name in ("memory", "tensor_cores"):
        gpu.launcher.add_source(name, (KERNELS / f"{name}.cu").read_text())
    return gpu.launcher
