"""What CUDA does not let a launch do is an error in the simulator, too."""

from __future__ import annotations

import numpy as np
import pytest

from gpucnn.errors import KernelError

everywhere = pytest.mark.parametrize("launcher", ["assembly", "ptx"], indirect=True)


@everywhere
@pytest.mark.parametrize("most", [None, 32, "THREE * 32"])
def test_launch_bounds(launcher, most):
    constants = {} if most is None else {"MOST": most, "THREE": 3}
    limit = {None: 64, 32: 32, "THREE * 32": 96}[most]
    y = launcher.empty((1024,), np.float32)
    launcher.launch("limits", "bounded", 1, (8, limit // 8), y, **constants)
    assert np.nansum(launcher.to_numpy(y)) == 8 * 1  # threadIdx.x alone
    with pytest.raises(KernelError, match=r"bounded on .* a block of \(8, \d+, 1\)") as caught:
        launcher.launch("limits", "bounded", 1, (8, limit // 8 + 1), y, **constants)
    assert f"__launch_bounds__({limit})" in caught.value.cause


@everywhere
def test_without_launch_bounds(launcher):
    y = launcher.empty((1024,), np.float32)
    launcher.launch("limits", "unbounded", 1, 1024, y)
    assert (launcher.to_numpy(y) == 1).all()


@pytest.mark.parametrize(
    ("architecture", "limit"), [(75, 64), (80, 163), (86, 99), (90, 227), (120, 99), (61, 1 << 20)]
)
def test_dynamic_shared_memory(simulator, architecture, limit):
    launcher = simulator(architecture=architecture)
    y = launcher.empty((32,), np.float32)
    launcher.launch("limits", "dynamic", 1, 32, y, shared=min(limit, 227) << 10)
    assert (launcher.to_numpy(y) == 1).all()
    if limit < 1 << 20:
        with pytest.raises(KernelError, match="bytes of dynamic shared memory") as caught:
            launcher.launch("limits", "dynamic", 1, 32, y, shared=(limit << 10) + 1)
        major, minor = divmod(architecture, 10)
        assert caught.value.cause == f"compute capability {major}.{minor} has {limit} KiB"


@everywhere
@pytest.mark.parametrize("first", [0, 1, 31])
def test_an_output_that_overlaps_an_input_is_refused(launcher, first):
    memory = launcher.asarray(np.arange(64, dtype=np.float32))
    x = launcher.asarray(np.ones(32, np.float32))
    for y, z in (
        (memory[:32], memory[first : first + 32]),
        (memory[first : first + 32], memory[:32]),
    ):
        with pytest.raises(KernelError, match=r"sum on .*: z overlaps y") as caught:
            launcher.launch("limits", "sum", 1, 32, x, y, z)
        assert "const __restrict__" in caught.value.cause
    np.testing.assert_array_equal(launcher.to_numpy(memory), np.arange(64))


@everywhere
def test_other_overlaps_are_taken(launcher):
    memory = np.arange(64, dtype=np.float32)
    whole = launcher.asarray(memory)
    x, y = whole[:32], whole[32:]
    launcher.launch("limits", "sum", 1, 32, x, y, x)  # x is not __restrict__; y lies beside it
    np.testing.assert_array_equal(launcher.to_numpy(x), memory[:32] + memory[32:])
    z = launcher.empty((32,), np.float32)
    launcher.launch("limits", "sum", 1, 32, y, y, z)  # both are read
    np.testing.assert_array_equal(launcher.to_numpy(z), 2 * memory[32:])
    launcher.launch("limits", "sum", 1, 32, y, None, z)
    np.testing.assert_array_equal(launcher.to_numpy(z), memory[32:])
    launcher.launch("limits", "sum", 0, 32, y, y, y)  # launches nothing
    empty = y[:0]
    launcher.launch("limits", "sum", 1, 32, y, empty, z)
