"""What CUDA does not let a launch do is an error in the simulator, too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gpucnn.backend.cuda import sources
from gpucnn.backend.cuda.backend import CudaBackend
from gpucnn.backend.simulator import SimulatorLauncher, resources, xp
from gpucnn.backend.simulator.resources import Need
from gpucnn.errors import KernelError

TEXT = (Path(__file__).parent / "kernels" / "limits.cu").read_text()
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


@everywhere
@pytest.mark.parametrize("block", [0, 1025, (32, 33), (1, 1, 65), (4, 0), (-1, -1)])
def test_a_block_that_no_gpu_takes(launcher, block):
    y = launcher.empty((1024,), np.float32)
    with pytest.raises(KernelError, match="a block of") as caught:
        launcher.launch("limits", "unbounded", 1, block, y)
    assert caught.value.cause == "a GPU takes 1 to 1024, and at most 64 along z"
    launcher.launch("limits", "unbounded", 1, (4, 4, 64), y)


@pytest.mark.parametrize("grid", [2**31, (1, 65536), (1, 1, 65536)])
def test_a_grid_that_no_gpu_takes(launcher, grid):
    y = launcher.empty((1024,), np.float32)
    with pytest.raises(KernelError, match="a grid of") as caught:
        launcher.launch("limits", "unbounded", grid, 32, y)
    assert "2147483647, 65535, 65535" in caught.value.cause
    launcher.launch("limits", "unbounded", (1, 1, 65535), 1, y)


@pytest.fixture
def needing(monkeypatch: pytest.MonkeyPatch) -> Callable:
    """A launcher that takes a kernel of limits.cu to need so much, whatever it needs."""

    def make(kernel, architecture=80, registers=32, shared=0):
        launcher = SimulatorLauncher(architecture=architecture)
        launcher.add_source("limits", TEXT)
        made = sources.specialize(launcher.text("limits"), "limits", kernel, None, False, {})
        digest = resources.digest(made.name, made.text)
        table = {digest: {architecture: Need(registers, shared)}}
        monkeypatch.setattr(resources, "table", lambda: table)
        return launcher

    return make


@pytest.mark.parametrize(
    ("registers", "threads"),
    [(16, 1024), (64, 1024), (65, 896), (128, 512), (168, 384), (255, 256)],
)
def test_registers(needing, registers, threads):
    """A warp gets them in units of 256, from one of four parts of a multiprocessor."""
    launcher = needing("unbounded", registers=registers)
    y = launcher.empty((1024,), np.float32)
    launcher.launch("limits", "unbounded", 1, threads, y)
    if threads < 1024:
        with pytest.raises(KernelError, match=f"with {registers} registers each") as caught:
            launcher.launch("limits", "unbounded", 1, threads + 1, y)
        assert caught.value.cause == "a multiprocessor has 65,536 registers"


@pytest.mark.parametrize(("architecture", "limit"), [(75, 64), (80, 163), (90, 227), (120, 99)])
@pytest.mark.parametrize("static", [4, 48 << 10])
def test_static_and_dynamic_shared_memory(needing, architecture, limit, static):
    launcher = needing("dynamic", architecture, shared=static)
    y, dynamic = launcher.empty((32,), np.float32), (limit << 10) - static
    launcher.launch("limits", "dynamic", 1, 32, y, shared=dynamic)
    with pytest.raises(KernelError, match=f"and {static} of the kernel's own") as caught:
        launcher.launch("limits", "dynamic", 1, 32, y, shared=dynamic + 1)
    assert f" has {limit} KiB" in caught.value.cause


def test_a_kernel_that_is_not_in_the_table_is_not_checked(needing):
    launcher = needing("dynamic", registers=1000)
    launcher.launch("limits", "unbounded", 1, 1024, launcher.empty((1024,), np.float32))


def test_the_kernels_of_the_library_are_in_the_table(compiler, monkeypatch):
    table = {digest: {80: Need(300, 0)} for digest in resources.table()}  # no block can start
    monkeypatch.setattr(resources, "table", lambda: table)
    backend = CudaBackend("sim", xp, SimulatorLauncher())
    x = backend.asarray(np.ones(8, np.float32))
    with pytest.raises(KernelError, match="with 300 registers each"):
        backend.relu_backward(x, x)


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
