"""The plans of small and of large GPUs compute the same: the layers of `cnn` and their gradients.

The number of multiprocessors decides into how many parts a sum is cut, and with that the tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from checks import assert_close
from fakecuda import run

from gpucnn import backend

pytest.importorskip("cupy_hooks", reason=run.reason_to_skip())

GPUS = (4, 46, 132)  # multiprocessors: of the simulator, of a small GPU, of an H200
N = 4

# The call, the shapes of its arrays, and the terms of its longest sum.
Call = Callable[..., Any]
CALLS: dict[str, tuple[Call, tuple[tuple[int, ...], ...], int]] = {
    "conv2d_forward": (
        lambda device, x, w: device.conv2d_forward(x, w),
        ((N, 32, 26, 26), (64, 32, 3, 3)),
        32 * 9,
    ),
    "conv2d_backward_input": (
        lambda device, g, w: device.conv2d_backward_input(g, w, (N, 32, 26, 26)),
        ((N, 64, 24, 24), (64, 32, 3, 3)),
        64 * 9,
    ),
    "conv2d_backward_weight": (
        lambda device, g, x: device.conv2d_backward_weight(g, x, (64, 32, 3, 3)),
        ((N, 64, 24, 24), (N, 32, 26, 26)),
        N * 24 * 24,
    ),
    "conv2d_backward_weight of one channel": (
        lambda device, g, x: device.conv2d_backward_weight(g, x, (32, 1, 3, 3)),
        ((64, 32, 26, 26), (64, 1, 28, 28)),
        64 * 26 * 26,
    ),
    "matmul": (lambda device, a, b: device.matmul(a, b), ((64, 9216), (9216, 128)), 9216),
    "bias_grad": (lambda device, g: device.bias_grad(g), ((64, 64, 24, 24),), 64 * 24 * 24),
}


@pytest.fixture(scope="module")
def operands() -> dict[tuple[int, ...], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    shapes = {shape for _, shapes, _ in CALLS.values() for shape in shapes}
    return {shape: rng.standard_normal(shape, dtype=np.float32) for shape in sorted(shapes)}


@pytest.mark.parametrize("name", CALLS)
def test_call(cupy: Any, monkeypatch: Any, operands: Any, name: str) -> None:
    call, shapes, terms = CALLS[name]
    arrays = [operands[shape] for shape in shapes]
    want = call(backend.get("cpu"), *[array.astype(np.float64) for array in arrays])
    device = backend.get("cuda")
    launches: dict[int, list[Any]] = {}
    run = device.launcher._run
    for multiprocessors in GPUS:
        made = launches.setdefault(multiprocessors, [])

        def note(handle: Any, grid: Any, *rest: Any, made: list[Any] = made) -> None:
            made.append((handle.name, grid))
            run(handle, grid, *rest)

        monkeypatch.setattr(device.launcher, "multiprocessors", multiprocessors)
        monkeypatch.setattr(device.launcher, "_run", note)
        got = device.to_numpy(call(device, *map(device.asarray, arrays)))
        assert_close(got, want, terms, f"{name} on {multiprocessors} multiprocessors")
    assert launches[4] != launches[132], "a test of one plan only"
