"""The arithmetic of a GPU where it differs from the CPU's: contracted, flushed, an ulp off."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gpucnn.backend.simulator import SimulatorLauncher

ROUGH = "g++ -mfma -ffp-contract=fast -DGPUCNN_ROUGH"


def results(dtype, source):
    """What the kernel writes, beside its operands."""
    tiny = np.finfo(dtype).smallest_subnormal * 64
    x = np.array([1 + np.finfo(dtype).eps, 1 - np.finfo(dtype).eps, -1, tiny, 0.5, 3], dtype)
    launcher = SimulatorLauncher()
    launcher.add_source("rough", source)
    y = launcher.empty((7,), dtype)
    launcher.launch("rough", "rough", 1, 1, launcher.asarray(x), y)
    return x, launcher.to_numpy(y)


@pytest.fixture
def source(compiler):
    return (Path(__file__).parent / "kernels" / "rough.cu").read_text()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_arithmetic(source, dtype):
    x, (product, tiny, quotient, *functions) = results(dtype, source)
    assert product == 0
    assert (tiny, quotient) == (x[3] / 2, 2 * x[3])
    exact = [np.exp(x[1]), np.log(x[5]), np.expm1(x[1]), 1]
    np.testing.assert_allclose(functions, exact, rtol=np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rough_arithmetic(source, monkeypatch, dtype):
    cpu = Path("/proc/cpuinfo")
    if not cpu.exists() or " fma " not in cpu.read_text():
        pytest.skip("this processor has no FMA")
    monkeypatch.setenv("CXX", ROUGH)
    _, (product, tiny, quotient, *functions) = results(dtype, source)
    eps = np.finfo(dtype).eps
    assert product == -(eps**2)  # rounded once
    assert tiny == quotient == 0
    monkeypatch.undo()
    _, plain = results(dtype, source)
    *plain, one = plain[3:]
    *functions, exp_of_zero = functions
    np.testing.assert_allclose(functions, np.array(plain) * (1 + eps), rtol=eps / 2)
    assert (np.array(functions) != plain).all()
    assert exp_of_zero == one == 1
    # The host's arithmetic is what it was.
    assert np.finfo(dtype).smallest_subnormal * dtype(1) > 0
