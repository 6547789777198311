"""Every primitive, in both dtypes and by each algorithm, executed from the PTX that NVRTC makes.

The simulator executes it; NumPy computes the same in float64. This runs all of tests/backend so:
GPUCNN_SIM_FROM=ptx python -m pytest --device sim tests/backend
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from calls import Calls
from checks import assert_close

from gpucnn.backend.cpu.backend import CpuBackend
from gpucnn.backend.cuda.algorithms import ALGORITHMS_OF, force_algorithm
from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.simulator import SimulatorLauncher, xp
from gpucnn.errors import DeviceError, MissingExtraError

MOST_TERMS = 6 * 14 * 14  # that a result of `Calls` adds up
CPU = CpuBackend()


@pytest.fixture(scope="module")
def ptx() -> CudaBackend:
    try:
        return CudaBackend("sim", xp, SimulatorLauncher(compiled_from="ptx"))
    except (DeviceError, MissingExtraError) as error:
        pytest.skip(f"{error.message}: {error.fix}")


def in_float64(array: np.ndarray) -> np.ndarray:
    """The same numbers; learning rates are float32 everywhere."""
    return array.astype(np.float64) if array.dtype == np.float32 and array.size > 1 else array


@pytest.mark.parametrize("name", sorted(Calls(np.asarray).calls))
def test_primitive(ptx: CudaBackend, dtype: str, name: str) -> None:
    got = Calls(ptx.asarray, dtype=dtype).calls[name](ptx)
    oracle = np.array if name == "begin_step" else in_float64  # it looks learning rates up
    want = Calls(oracle, dtype=dtype).calls[name](CPU)
    for part, right in zip(map(ptx.to_numpy, got), want, strict=True):
        if right.dtype.kind == "f":
            lost = np.isnan(right)  # what an index out of range gives
            np.testing.assert_array_equal(np.isnan(part), lost)
            part[lost], right[lost] = 0, 0
            assert_close(part, np.asarray(right, np.float64), MOST_TERMS, name)
        else:
            np.testing.assert_array_equal(part, right)


def operands(name: str, rng: np.random.Generator, dtype: str) -> tuple[Any, dict[str, Any]]:
    """Of a size that every algorithm takes: arrays, and options."""
    x, w = (2, 4, 9, 8), (35, 4, 3, 3)
    conv: dict[str, Any] = {"padding": 1}
    shapes, options = {
        "conv2d_forward": ((x, w, (35,)), {"activation": "relu", **conv}),
        "conv2d_backward_input": (((2, 35, 9, 8), w), {"x_shape": x, **conv}),
        "conv2d_backward_weight": (((2, 35, 9, 8), x), {"w_shape": w, **conv}),
        "matmul": (((19, 37), (37, 35)), {}),
    }[name]
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes], options


CASES = [(name, one, "float32") for name, every in ALGORITHMS_OF.items() for one in every]
CASES += [(name, one, "float64") for name in ALGORITHMS_OF for one in ("naive", "shared")]


@pytest.mark.parametrize(("name", "algorithm", "dtype"), CASES)
def test_algorithm(
    ptx: CudaBackend, rng: np.random.Generator, name: str, algorithm: str, dtype: str
) -> None:
    arrays, options = operands(name, rng, dtype)
    with force_algorithm(ptx, name, algorithm):
        got = getattr(ptx, name)(*map(ptx.asarray, arrays), **options)
    want = getattr(CPU, name)(*(array.astype(np.float64) for array in arrays), **options)
    assert_close(ptx.to_numpy(got), want, MOST_TERMS, f"{algorithm} {name}")
