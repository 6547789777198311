"""The CUDA source of Philox, executed by the simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gpucnn import random
from gpucnn.backend.simulator import SimulatorLauncher
from gpucnn.errors import DeviceError


@pytest.fixture(scope="module")
def launcher() -> Any:
    try:
        return SimulatorLauncher()
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("n", [1, 3, 4, 5, 1021])
@pytest.mark.parametrize("step", [0, 7, 2**32 - 1])
def test_kernel_gives_the_bits_of_random(launcher: Any, n: int, step: int) -> None:
    whole = launcher.asarray(np.full(n + 8, 0xAAAAAAAA, dtype=np.uint32))
    key = random.stream_key(2026, "dropout/dropout1")
    steps = launcher.asarray(np.array([step], dtype=np.uint32))
    block = 32
    grid = -(-n // (4 * block)) + 1  # one block too many: its threads must write nothing
    launcher.launch("philox", "philox_bits", grid, block, whole, n, *key, steps)
    out = launcher.to_numpy(whole)
    np.testing.assert_array_equal(out[:n], random.bits(n, 2026, "dropout/dropout1", step))
    np.testing.assert_array_equal(out[n:], 0xAAAAAAAA)
